#include "runtime/user.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"

#define FILE_LIMIT  (1 << 20)
#define GROUP_LIMIT 1024 /* of one user; far above any real one, far below NGROUPS_MAX */

/* One field of a line: not NUL-terminated. */
struct field {
	const char *text;
	size_t size;
};

/* Takes the next line of *@text apart at its colons. Returns how many fields were filled. */
static size_t next_line(const char **text, struct field *fields, size_t max)
{
	const char *at = *text, *end = strchrnul(at, '\n');
	size_t count = 0;

	while (count < max) {
		const char *colon = memchr(at, ':', (size_t)(end - at));

		fields[count].text = at;
		fields[count].size = (size_t)((colon ? colon : end) - at);
		count++;
		if (!colon) {
			break;
		}
		at = colon + 1;
	}
	*text = *end ? end + 1 : end;
	return count;
}

static bool field_is(const struct field *field, const char *text, size_t size)
{
	return field->size == size && memcmp(field->text, text, size) == 0;
}

static bool all_digits(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9') {
			return false;
		}
	}
	return size > 0;
}

/* 0..2^31-1 as docker allows; -1 would mean "leave alone" to setresuid. */
static int parse_id(const char *text, size_t size, uint32_t *id)
{
	uint64_t value = 0;

	if (!all_digits(text, size)) {
		return -EINVAL;
	}
	for (size_t i = 0; i < size; i++) {
		value = value * 10 + (uint64_t)(text[i] - '0');
		if (value > INT32_MAX) {
			return -ERANGE;
		}
	}
	*id = (uint32_t)value;
	return 0;
}

void user_add_group(struct user *user, gid_t gid)
{
	for (size_t i = 0; i < user->group_count; i++) {
		if (user->groups[i] == gid) {
			return;
		}
	}
	if (user->group_count == GROUP_LIMIT) {
		return;
	}
	user->groups = xrealloc(user->groups, user->group_count + 1, sizeof(gid_t));
	user->groups[user->group_count++] = gid;
}

void user_finish(struct user *user)
{
	free(user->groups);
	user->groups = NULL;
	user->group_count = 0;
}

static void set_home(char *home, size_t size, const struct field *field)
{
	if (field->size > 0 && field->size < size && !memchr(field->text, '\0', field->size)) {
		memcpy(home, field->text, field->size);
		home[field->size] = '\0';
	}
}

/* The first line of passwd that fits. @name is filled with the user's name if there is a line. */
static bool find_user(const char *passwd, const char *spec, size_t size, bool numeric,
	struct user *user, struct field *name)
{
	struct field f[7];

	while (passwd && *passwd) {
		size_t n = next_line(&passwd, f, ARRAY_SIZE(f));
		uint32_t uid, gid;

		if (n < 4 || f[0].size == 0 || parse_id(f[2].text, f[2].size, &uid) < 0 ||
			parse_id(f[3].text, f[3].size, &gid) < 0) {
			continue;
		}
		if (numeric ? uid != user->uid : !field_is(&f[0], spec, size)) {
			continue;
		}
		user->uid = uid;
		user->gid = gid;
		*name = f[0];
		if (n >= 6) {
			set_home(user->home, sizeof(user->home), &f[5]);
		}
		return true;
	}
	return false;
}

static bool is_member(const struct field *members, const struct field *name)
{
	const char *at = members->text, *end = at + members->size;

	while (at < end) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		const char *stop = comma ? comma : end;

		if (field_is(name, at, (size_t)(stop - at))) {
			return true;
		}
		at = stop + 1;
	}
	return false;
}

static void add_memberships(struct user *user, const char *group, const struct field *name)
{
	struct field f[4];

	while (group && *group) {
		size_t n = next_line(&group, f, ARRAY_SIZE(f));
		uint32_t gid;

		if (n == 4 && parse_id(f[2].text, f[2].size, &gid) == 0 && is_member(&f[3], name)) {
			user_add_group(user, gid);
		}
	}
}

static int find_group(const char *group, const char *spec, gid_t *gid)
{
	struct field f[4];

	while (group && *group) {
		size_t n = next_line(&group, f, ARRAY_SIZE(f));

		if (n >= 3 && field_is(&f[0], spec, strlen(spec)) &&
			parse_id(f[2].text, f[2].size, gid) == 0) {
			return 0;
		}
	}
	return -ENOENT;
}

static int out_of_range(const char *text, struct error *err)
{
	return error_say(err, ERANGE, "%s: uids and gids must be in range 0-2147483647", text);
}

int user_resolve(const char *spec, const char *passwd, const char *group, struct user *user,
	struct error *err)
{
	size_t size = strcspn(spec, ":");
	const char *group_spec = spec[size] ? spec + size + 1 : "";
	bool numeric = all_digits(spec, size), found;
	struct field name = { "", 0 };

	*user = (struct user){ .home = "/" };
	if (numeric && parse_id(spec, size, &user->uid) < 0) {
		return out_of_range(spec, err);
	}
	found = find_user(passwd, spec, size, numeric || size == 0, user, &name);
	if (!found && !numeric && size > 0) {
		return error_say(err, ENOENT,
			"unable to find user %.*s: no matching entries in passwd file", (int)size,
			spec);
	}
	if (*group_spec) {
		int r = all_digits(group_spec, strlen(group_spec))
				? parse_id(group_spec, strlen(group_spec), &user->gid)
				: find_group(group, group_spec, &user->gid);

		if (r == -ERANGE) {
			return out_of_range(group_spec, err);
		}
		if (r < 0) {
			return error_say(err, ENOENT,
				"unable to find group %s: no matching entries in group file",
				group_spec);
		}
	}
	user_add_group(user, user->gid);
	if (!*group_spec && found) {
		add_memberships(user, group, &name);
	}
	return 0;
}

/* The text of a regular file of the image, or NULL. Whole lines only when it is too long. */
static char *read_bounded(int root, const char *path)
{
	_cleanup_fd_ int fd = sys_open_in_root(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	struct stat st;
	char *text, *end;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		return NULL;
	}
	if (st.st_size > FILE_LIMIT) {
		st.st_size = FILE_LIMIT;
	}
	text = xcalloc((size_t)st.st_size + 1, 1);
	n = fd_read_full(fd, text, (size_t)st.st_size);
	text[n < 0 ? 0 : n] = '\0';
	end = n == FILE_LIMIT ? strrchr(text, '\n') : NULL;
	if (end) {
		end[1] = '\0';
	}
	return text;
}

int user_lookup(int root, const char *spec, struct user *user, struct error *err)
{
	_cleanup_free_ char *passwd = read_bounded(root, "/etc/passwd");
	_cleanup_free_ char *group = read_bounded(root, "/etc/group");

	return user_resolve(spec, passwd, group, user, err);
}

void user_home(int root, uid_t uid, char *home, size_t size)
{
	_cleanup_free_ char *passwd = read_bounded(root, "/etc/passwd");
	struct user user = { .uid = uid, .home = "/" };
	struct field name;

	find_user(passwd, "", 0, true, &user, &name);
	snprintf(home, size, "%s", user.home);
}
