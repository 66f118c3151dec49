#include "base/dirs.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sys.h"

/* Whether folder, fifo and socket can be made in @path; leaves nothing behind. */
static int try_run_folder(const char *path, struct error *err)
{
	_cleanup_free_ char *fifo = xasprintf("%s/.probe-%d.fifo", path, (int)getpid());
	_cleanup_free_ char *name = xasprintf("%s/.probe-%d.sock", path, (int)getpid());
	_cleanup_fd_ int s = -EBADF;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat st;
	int r = file_mkdir_p(path, 0700, err);

	if (r < 0) {
		return r;
	}
	/* Somebody else's folder under /tmp or /dev/shm is not ours to trust. */
	if (stat(path, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 022)) {
		return error_say(err, EPERM, "%s: not owned by uid %d alone", path, (int)geteuid());
	}
	if (strlen(name) >= sizeof(address.sun_path)) {
		return error_say(err, ENAMETOOLONG, "%s: too long for a socket", path);
	}
	r = sys_mknodat(AT_FDCWD, fifo, S_IFIFO | 0600, 0);
	sys_unlinkat(AT_FDCWD, fifo, 0);
	if (r < 0) {
		return error_set(err, r, "make a fifo in %s", path);
	}
	s = sys_socket(AF_UNIX, SOCK_STREAM, 0);
	if (s < 0) {
		return error_set(err, s, "make a socket");
	}
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", name);
	r = bind(s, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	sys_unlinkat(AT_FDCWD, name, 0);
	if (r < 0) {
		return error_set(err, r, "bind a socket in %s", path);
	}
	return 0;
}

const char *dirs_run(struct error *err)
{
	static char *found;
	const char *given = getenv("WHERRY_RUN_DIR");
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	struct strv candidates = { 0 };

	if (found) {
		return found;
	}
	if (given && *given) {
		strv_add(&candidates, given);
	} else {
		if (geteuid() == 0) {
			strv_add(&candidates, "/run/wherry");
		}
		if (xdg && *xdg == '/') {
			strv_addf(&candidates, "%s/wherry", xdg);
		}
		if (geteuid() == 0) {
			strv_add(&candidates, "/dev/shm/wherry");
		}
		strv_addf(&candidates, "/tmp/wherry-%d", (int)geteuid());
	}
	for (size_t i = 0; i < candidates.count && !found; i++) {
		if (candidates.items[i][0] != '/') {
			error_say(err, EINVAL, "run folder %s: must be an absolute path",
				candidates.items[i]);
		} else if (try_run_folder(candidates.items[i], err) == 0) {
			found = xstrdup(candidates.items[i]);
		}
	}
	strv_finish(&candidates);
	return found;
}

const char *dirs_state(struct error *err)
{
	static char *found;
	const char *given = getenv("WHERRY_STATE_DIR");
	const char *xdg = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	_cleanup_free_ char *path = NULL;

	if (found) {
		return found;
	}
	if (given && *given) {
		path = xstrdup(given);
	} else if (geteuid() == 0) {
		path = xstrdup("/var/lib/wherry");
	} else if (xdg && *xdg) {
		path = xasprintf("%s/wherry", xdg);
	} else {
		path = xasprintf("%s/.local/share/wherry", home && *home ? home : "/");
	}
	if (path[0] != '/') {
		error_say(err, EINVAL, "state folder %s: must be an absolute path", path);
		return NULL;
	}
	/* 0710: setuid files in layers must be out of reach of the host's users (CVE-2021-41091). */
	if (file_mkdir_p(path, 0710, err) < 0) {
		return NULL;
	}
	found = take_ptr(path);
	return found;
}

int dirs_boot_id(char out[BOOT_ID_SIZE])
{
	_cleanup_free_ char *text = NULL;
	int r = file_read_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &text, NULL, NULL);

	if (r < 0) {
		return r;
	}
	snprintf(out, BOOT_ID_SIZE, "%.36s", text);
	return 0;
}
