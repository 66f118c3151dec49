/*
 * Users and groups of an image, read from its own /etc/passwd and /etc/group and never through
 * the host's NSS. Both files are hostile: only regular files are read, at most 1 MiB of them, and
 * never in a way that can block.
 *
 * "user" or "user:group", each a name or a number. What consists of digits is a number whatever
 * the files say (CVE-2016-3697), and has to lie in 0..2147483647 (CVE-2024-40635).
 */
#ifndef WHERRY_RUNTIME_USER_H
#define WHERRY_RUNTIME_USER_H

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

struct user {
	uid_t uid;
	gid_t gid;
	/* Supplementary groups; the primary one first, so that it cannot be shed (CVE-2022-36109).
	 * Owned: user_finish(). */
	gid_t *groups;
	size_t group_count;
	char home[256]; /* "/" when the files do not say */
};

/* Resolves @spec against the text of both files (each may be NULL: there is none). */
int user_resolve(const char *spec, const char *passwd, const char *group, struct user *user,
	struct error *err);

/* As user_resolve() with the files below @root, a descriptor of the container's root. */
int user_lookup(int root, const char *spec, struct user *user, struct error *err);

/* The home of @uid as /etc/passwd below @root has it, "/" by default. */
void user_home(int root, uid_t uid, char *home, size_t size);

void user_add_group(struct user *user, gid_t gid);
void user_finish(struct user *user);

#endif
