/*
 * Sysctls of the container's own namespaces, written through the procfs that we mounted ourselves.
 * Anything that would reach beyond them is refused (CVE-2022-0811).
 */
#include <errno.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/sys.h"
#include "runtime/child.h"

static const struct {
	const char *name; /* ends in a dot: a prefix */
	int namespace;
} allowed[] = {
	{ "net.", CLONE_NEWNET },
	{ "fs.mqueue.", CLONE_NEWIPC },
	{ "kernel.msgmax", CLONE_NEWIPC },
	{ "kernel.msgmnb", CLONE_NEWIPC },
	{ "kernel.msgmni", CLONE_NEWIPC },
	{ "kernel.sem", CLONE_NEWIPC },
	{ "kernel.shmall", CLONE_NEWIPC },
	{ "kernel.shmmax", CLONE_NEWIPC },
	{ "kernel.shmmni", CLONE_NEWIPC },
	{ "kernel.shm_rmid_forced", CLONE_NEWIPC },
	{ "kernel.domainname", CLONE_NEWUTS },
};

static bool has_namespace(const struct child *c, int type)
{
	if (type == CLONE_NEWNET && c->container->netns_fd >= 0) {
		return true;
	}
	for (size_t i = 0; i < c->config->namespace_count; i++) {
		if (c->config->namespaces[i].type == type) {
			return true;
		}
	}
	return false;
}

static bool is_allowed(const struct child *c, const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
		size_t size = strlen(allowed[i].name);
		bool prefix = allowed[i].name[size - 1] == '.';

		if (strncmp(key, allowed[i].name, size) == 0 && (prefix || key[size] == '\0') &&
			has_namespace(c, allowed[i].namespace)) {
			return true;
		}
	}
	return false;
}

/* "net.ipv4.conf.eth0/1.forwarding" is a path with dots and slashes changed over. */
static int sysctl_path(const char *key, char *path, size_t size)
{
	size_t used = (size_t)snprintf(path, size, "sys/%s", key);

	if (used >= size || strstr(key, "..") || strstr(key, "//")) {
		return -EINVAL;
	}
	for (char *p = path + 4; *p; p++) {
		if (*p == '.' || *p == '/') {
			*p = *p == '.' ? '/' : '.';
		}
	}
	return strstr(path, "/./") || strstr(path, "/../") ? -EINVAL : 0;
}

int sysctls_write(struct child *c)
{
	for (size_t i = 0; i < c->config->sysctl_count; i++) {
		const struct oci_pair *pair = &c->config->sysctls[i];
		char path[256];
		int r;

		if (!is_allowed(c, pair->key) || sysctl_path(pair->key, path, sizeof(path)) < 0) {
			return error_say(&c->err, EPERM,
				"sysctl \"%s\" does not belong to a namespace of the container",
				pair->key);
		}
		if (c->proc_fd < 0) {
			return error_say(
				&c->err, EINVAL, "sysctl \"%s\" needs a procfs mount", pair->key);
		}
		r = file_put_at(c->proc_fd, path, pair->value);
		if (r < 0) {
			return error_set(&c->err, r, "set the sysctl \"%s\" to \"%s\"", pair->key,
				pair->value);
		}
	}
	return 0;
}
