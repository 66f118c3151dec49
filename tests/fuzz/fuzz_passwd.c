/* An image's /etc/passwd and /etc/group, and a user as compose files name one: the input is the
 * three of them, parted by NUL. */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "runtime/user.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int holds)
{
	if (!holds) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = xcalloc(size + 3, 1);
	const char *spec = text, *passwd, *group;
	struct error err = ERROR_INIT;
	struct user user;

	memcpy(text, data, size); /* three NULs at least stand behind it */
	passwd = spec + strlen(spec) + 1;
	group = passwd < text + size ? passwd + strlen(passwd) + 1 : NULL;
	if (passwd >= text + size) {
		passwd = NULL;
	}
	if (group && group >= text + size) {
		group = NULL;
	}
	if (user_resolve(spec, passwd, group, &user, &err) < 0) {
		expect(*err.message);
	} else {
		size_t digits = strspn(spec, "0123456789");

		expect(user.uid <= INT32_MAX && user.gid <= INT32_MAX);
		expect(user.group_count >= 1 && user.group_count <= 1024);
		expect(user.groups[0] == user.gid);
		expect(strlen(user.home) < sizeof(user.home));
		/* A number is never taken for a name. */
		if (digits > 0 && (spec[digits] == '\0' || spec[digits] == ':')) {
			expect(user.uid == strtoull(spec, NULL, 10));
		}
	}
	user_finish(&user);
	return 0;
}
