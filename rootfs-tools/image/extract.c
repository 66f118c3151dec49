#include "rootfs-tools/image/extract.h"

#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/sys.h"
#include "rootfs-tools/image/tree.h"

#define SPECIAL_MODE (S_ISUID | S_ISGID | S_ISVTX)

/* A folder's time is set when everything below it is in place. */
struct folder_time {
	char *path;
	struct timespec times[2];
};

struct extract {
	struct archive *archive;
	struct archive_entry *entry;
	const struct extract_limits *limits;
	struct extract_totals *totals;
	struct tree tree;
	struct folder_time *folders;
	size_t folder_count, folder_room;

	/* The entry at hand. */
	struct tree_path path;
	int parent; /* borrowed from the tree; the root itself for the root */
	mode_t mode;
	uid_t entry_uid;
	gid_t entry_gid;
	struct timespec times[2];
};

/* --- attributes --- */

static int read_owner(struct extract *x, struct error *err)
{
	int64_t uid = archive_entry_uid(x->entry), gid = archive_entry_gid(x->entry);

	/* The highest number means "unchanged" to chown(2). */
	if (uid < 0 || gid < 0 || uid >= UINT32_MAX || gid >= UINT32_MAX) {
		return error_say(
			err, ERANGE, "owner %" PRId64 ":%" PRId64 " is out of range", uid, gid);
	}
	x->entry_uid = (uid_t)uid;
	x->entry_gid = (gid_t)gid;
	return 0;
}

static void read_times(struct extract *x)
{
	struct timespec mtime = { .tv_nsec = UTIME_OMIT };

	if (archive_entry_mtime_is_set(x->entry)) {
		mtime.tv_sec = archive_entry_mtime(x->entry);
		mtime.tv_nsec = archive_entry_mtime_nsec(x->entry);
	}
	x->times[0] = x->times[1] = mtime;
}

/*
 * Which extended attributes an archive may bring: overlayfs's own would let it hide and redirect what
 * it likes, and of the security ones only file capabilities mean the same inside a container.
 */
static bool xattr_wanted(const char *name)
{
	if (strcmp(name, "security.capability") == 0) {
		return true;
	}
	return strncmp(name, "user.", 5) == 0 && strncmp(name, "user.overlay.", 13) != 0;
}

/* Sets xattrs on the open file or folder @fd, after chown(2), which takes capabilities away. */
static int set_xattrs(struct extract *x, int fd, struct error *err)
{
	const char *name;
	const void *value;
	size_t size;

	if (archive_entry_xattr_reset(x->entry) == 0) {
		return 0;
	}
	while (archive_entry_xattr_next(x->entry, &name, &value, &size) == ARCHIVE_OK) {
		if (!name || !xattr_wanted(name) || fsetxattr(fd, name, value, size, 0) == 0) {
			continue;
		}
		/* A program without its capabilities does not work; the rest is dispensable. */
		if (strcmp(name, "security.capability") == 0) {
			return error_set(err, errno, "set attribute %s", name);
		}
	}
	return 0;
}

/*
 * Owner, mode, xattrs and time of a file or folder that was made with @x->mode & 0777. The owner is
 * always set: below a folder with the setgid bit a new file does not get our own group.
 */
static int set_attributes(struct extract *x, int fd, bool is_folder, struct error *err)
{
	int r;

	if (fchown(fd, x->entry_uid, x->entry_gid) < 0) {
		return error_set(err, errno, "set the owner");
	}
	/* After chown(2), which drops setuid. A folder may be an old one, or inherit setgid. */
	if ((is_folder || (x->mode & SPECIAL_MODE)) && fchmod(fd, x->mode) < 0) {
		return error_set(err, errno, "set the mode");
	}
	r = set_xattrs(x, fd, err);
	if (r < 0) {
		return r;
	}
	if (!is_folder && futimens(fd, x->times) < 0) {
		return error_set(err, errno, "set the time");
	}
	return 0;
}

/* The same for what has no descriptor: links, devices, fifos. */
static int set_node_attributes(struct extract *x, struct error *err)
{
	int r = sys_fchownat(
		x->parent, x->path.base, x->entry_uid, x->entry_gid, AT_SYMLINK_NOFOLLOW);

	if (r < 0) {
		return error_set(err, r, "set the owner");
	}
	if (utimensat(x->parent, x->path.base, x->times, AT_SYMLINK_NOFOLLOW) < 0) {
		return error_set(err, errno, "set the time");
	}
	return 0;
}

/* --- one function for each kind of entry --- */

static int count_bytes(struct extract *x, int64_t size, struct error *err)
{
	if (size < 0 || size > x->limits->bytes - x->totals->bytes) {
		return error_say(err, EFBIG, "the archive unpacks to more than %" PRId64 " bytes",
			x->limits->bytes);
	}
	x->totals->bytes += size;
	return 0;
}

static int copy_data(struct extract *x, int fd, int64_t size, struct error *err)
{
	int64_t end = 0;

	for (;;) {
		const char *data;
		size_t length;
		la_int64_t offset;
		int r = archive_read_data_block(
			x->archive, (const void **)(uintptr_t)&data, &length, &offset);

		if (r == ARCHIVE_EOF) {
			break;
		}
		if (r < ARCHIVE_WARN || offset < 0 || offset > size ||
			(int64_t)length > size - offset) {
			return error_say(err, EBADMSG, "%s",
				r < ARCHIVE_WARN ? archive_error_string(x->archive)
						 : "the data does not fit the size");
		}
		while (length > 0) {
			ssize_t n = pwrite(fd, data, length, offset);

			if (n < 0 && errno != EINTR) {
				return error_set(err, errno, "write");
			}
			if (n > 0) {
				data += n;
				length -= (size_t)n;
				offset += n;
			}
		}
		end = offset > end ? offset : end;
	}
	if (end < size && ftruncate(fd, size) < 0) {
		return error_set(err, errno, "write");
	}
	return 0;
}

static int make_file(struct extract *x, struct error *err)
{
	int64_t size = archive_entry_size(x->entry);
	_cleanup_fd_ int fd = -EBADF;
	int r = count_bytes(x, size, err);

	if (r < 0) {
		return r;
	}
	fd = sys_openat(
		x->parent, x->path.base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, x->mode & 0777);
	if (fd < 0) {
		return error_set(err, fd, "create");
	}
	r = size > 0 ? copy_data(x, fd, size, err) : 0;
	return r < 0 ? r : set_attributes(x, fd, false, err);
}

static void remember_folder(struct extract *x)
{
	if (x->folder_count == x->folder_room) {
		x->folder_room = x->folder_room ? 2 * x->folder_room : 256;
		x->folders = xrealloc(x->folders, x->folder_room, sizeof(*x->folders));
	}
	x->folders[x->folder_count++] = (struct folder_time){
		.path = xstrdup(x->path.text[0] ? x->path.text : "."),
		.times = { x->times[0], x->times[1] },
	};
}

static int make_folder(struct extract *x, bool exists, struct error *err)
{
	bool is_root = !x->path.text[0];
	const char *name = is_root ? "." : x->path.base;
	_cleanup_fd_ int fd = -EBADF;
	int r = 0;

	if (!exists) {
		r = sys_mkdirat(x->parent, name, x->mode & 0777);
	}
	if (r < 0) {
		return error_set(err, r, "create the folder");
	}
	fd = sys_openat(x->parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0) {
		return error_set(err, fd, "open the folder");
	}
	remember_folder(x);
	return set_attributes(x, fd, true, err);
}

static int make_symlink(struct extract *x, struct error *err)
{
	const char *target = archive_entry_symlink(x->entry);
	int r;

	if (!target || !*target) {
		return error_say(err, EBADMSG, "a symbolic link without a target");
	}
	r = sys_symlinkat(target, x->parent, x->path.base);
	return r < 0 ? error_set(err, r, "create the link") : set_node_attributes(x, err);
}

static int make_node(struct extract *x, struct error *err)
{
	mode_t type = archive_entry_filetype(x->entry);
	dev_t device = S_ISFIFO(type) ? 0 : archive_entry_rdev(x->entry);
	int r;

	if (S_ISCHR(type) && device == makedev(0, 0)) {
		return error_say(err, EINVAL,
			"character device 0:0 is overlayfs's whiteout and cannot come in an "
			"archive");
	}
	r = sys_mknodat(x->parent, x->path.base, type | (x->mode & 0777), device);
	if (r < 0) {
		return error_set(err, r, "create the node");
	}
	r = set_node_attributes(x, err);
	if (r == 0 && (x->mode & SPECIAL_MODE) &&
		fchmodat(x->parent, x->path.base, x->mode, 0) < 0) {
		return error_set(err, errno, "set the mode");
	}
	return r;
}

/*
 * The target must be there already, in this tree. It is looked up before anything at the link's own
 * place is removed: a link to itself must not take the file away.
 */
static int make_hardlink(struct extract *x, const char *name, struct error *err)
{
	struct tree_path target;
	_cleanup_fd_ int folder = -EBADF;
	char parent[TREE_PATH_SIZE];
	struct stat st, old;
	int r = tree_path_parse(name, &target, err);

	if (r < 0) {
		return r;
	}
	snprintf(parent, sizeof(parent), "%.*s", (int)target.parent_size, target.text);
	folder = sys_open_in_root(x->tree.root, parent[0] ? parent : ".", O_PATH | O_DIRECTORY, 0);
	r = folder < 0 ? folder : sys_fstatat(folder, target.base, &st, AT_SYMLINK_NOFOLLOW);
	if (r < 0) {
		return error_set(err, r, "find the link's target %s", name);
	}
	if (S_ISDIR(st.st_mode) || tree_is_whiteout(&st)) {
		return error_say(err, EINVAL, "the link's target %s is a %s", name,
			S_ISDIR(st.st_mode) ? "folder" : "whiteout");
	}
	r = sys_fstatat(x->parent, x->path.base, &old, AT_SYMLINK_NOFOLLOW);
	if (r < 0 && r != -ENOENT) {
		return error_set(err, r, "look");
	}
	if (r == 0 && old.st_ino == st.st_ino && old.st_dev == st.st_dev) {
		return 0;
	}
	if (r == 0) {
		tree_forget(&x->tree);
		x->parent = tree_parent(&x->tree, &x->path, err);
		r = x->parent < 0 ? x->parent : file_remove_tree(x->parent, x->path.base);
		if (r < 0) {
			return error_set(err, r, "replace");
		}
	}
	if (linkat(folder, target.base, x->parent, x->path.base, 0) < 0) {
		return error_set(err, errno, "link to %s", name);
	}
	return 0;
}

/* --- whiteouts --- */

static int hide(struct extract *x, const char *name, struct error *err)
{
	struct stat st;
	int r;

	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		return error_say(err, EINVAL, "a whiteout that names nothing");
	}
	r = sys_fstatat(x->parent, name, &st, AT_SYMLINK_NOFOLLOW);
	if (r == -ENOENT) {
		r = tree_make_whiteout(x->parent, name);
	} else if (r == 0 && S_ISDIR(st.st_mode)) {
		/* This layer has a new folder of that name: only what lies below it goes. */
		_cleanup_fd_ int fd =
			sys_openat(x->parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

		r = fd < 0 ? fd : tree_make_opaque(fd);
	}
	return r < 0 ? error_set(err, r, "make the whiteout") : 0;
}

/* Entries that say what to hide. 1: it was one and is done; 0: it is an ordinary entry. */
static int whiteout(struct extract *x, struct error *err)
{
	const char *base = x->path.base;
	int r;

	if (strncmp(base, WHITEOUT_PREFIX, strlen(WHITEOUT_PREFIX)) != 0) {
		return 0;
	}
	if (strcmp(base, ".wh..wh..opq") == 0) {
		r = tree_make_opaque(x->parent);
		return r < 0 ? error_set(err, r, "hide the folder below") : 1;
	}
	if (strncmp(base, ".wh..wh.", 8) == 0) {
		return 1; /* aufs's own book-keeping, found in old images */
	}
	r = hide(x, base + strlen(WHITEOUT_PREFIX), err);
	return r < 0 ? r : 1;
}

/* --- the loop --- */

static int place(struct extract *x, struct error *err)
{
	mode_t type = archive_entry_filetype(x->entry);
	const char *hardlink = archive_entry_hardlink(x->entry);
	struct stat st;
	bool was_whiteout;
	int r;

	if (hardlink) {
		return make_hardlink(x, hardlink, err);
	}
	r = sys_fstatat(x->parent, x->path.text[0] ? x->path.base : ".", &st, AT_SYMLINK_NOFOLLOW);
	if (r < 0 && r != -ENOENT) {
		return error_set(err, r, "look");
	}
	if (r == 0 && S_ISDIR(type) && S_ISDIR(st.st_mode)) {
		return make_folder(x, true, err);
	}
	was_whiteout = r == 0 && tree_is_whiteout(&st);
	if (r == 0) {
		/* A later entry replaces an earlier one; what was open may lie below it. */
		tree_forget(&x->tree);
		x->parent = tree_parent(&x->tree, &x->path, err);
		r = x->parent < 0 ? x->parent : file_remove_tree(x->parent, x->path.base);
		if (r < 0) {
			return error_set(err, r, "replace");
		}
	}
	switch (type) {
	case AE_IFREG: return make_file(x, err);
	case AE_IFLNK: return make_symlink(x, err);
	case AE_IFCHR:
	case AE_IFBLK:
	case AE_IFIFO: return make_node(x, err);
	case AE_IFSOCK: return 0; /* nothing listens behind it any more */
	case AE_IFDIR: break;
	default: return error_say(err, EBADMSG, "an entry of unknown type");
	}
	r = make_folder(x, false, err);
	if (r == 0 && was_whiteout) {
		_cleanup_fd_ int fd =
			sys_openat(x->parent, x->path.base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

		r = fd < 0 ? fd : tree_make_opaque(fd);
		return r < 0 ? error_set(err, r, "hide the folder below") : 0;
	}
	return r;
}

static int extract_entry(struct extract *x, const char *name, struct error *err)
{
	int r = tree_path_parse(name, &x->path, err);

	if (r < 0) {
		return r;
	}
	if (!x->path.text[0] && archive_entry_filetype(x->entry) != AE_IFDIR) {
		return error_say(err, EBADMSG, "the root can only be a folder");
	}
	x->parent = x->path.text[0] ? tree_parent(&x->tree, &x->path, err) : x->tree.root;
	if (x->parent < 0) {
		return x->parent;
	}
	x->mode = archive_entry_perm(x->entry);
	read_times(x);
	r = read_owner(x, err);
	if (r == 0) {
		r = whiteout(x, err);
	}
	return r == 0 ? place(x, err) : r;
}

/* Later folders lie deeper or replaced earlier ones: from the last to the first. */
static int set_folder_times(struct extract *x, struct error *err)
{
	int result = 0;

	while (x->folder_count > 0) {
		struct folder_time *folder = &x->folders[--x->folder_count];
		_cleanup_fd_ int fd = sys_open_in_root(
			x->tree.root, folder->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		/* Gone or replaced by a later entry: then there is no time to set. */
		bool gone = fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP;
		int r = fd < 0 ? fd : futimens(fd, folder->times) < 0 ? -errno : 0;

		if (r < 0 && !gone && result == 0) {
			result = error_set(err, r, "%.200s: set the time", folder->path);
		}
		free(folder->path);
	}
	free(x->folders);
	x->folders = NULL;
	return result;
}

static int extract_all(struct extract *x, struct error *err)
{
	for (;;) {
		const char *name;
		int r = archive_read_next_header(x->archive, &x->entry);

		if (r == ARCHIVE_EOF) {
			return 0;
		}
		if (r < ARCHIVE_WARN) {
			return error_say(err, EBADMSG, "not a sound tar: %s",
				archive_error_string(x->archive));
		}
		if (++x->totals->entries > x->limits->entries) {
			return error_say(err, E2BIG,
				"the archive holds more than %" PRId64 " entries",
				x->limits->entries);
		}
		name = archive_entry_pathname(x->entry);
		if (!name) {
			return error_say(err, EBADMSG, "a name that cannot be read");
		}
		r = extract_entry(x, name, err);
		if (r < 0) {
			error_prefix(err, "%.200s", name);
			return r;
		}
	}
}

int extract_archive(struct archive *archive, int root, const struct extract_limits *limits,
	struct extract_totals *totals, struct error *err)
{
	struct extract *x = xcalloc(1, sizeof(*x));
	struct error e = ERROR_INIT;
	int r, times;

	x->archive = archive;
	x->limits = limits;
	x->totals = totals;
	memset(totals, 0, sizeof(*totals));
	tree_init(&x->tree, root);
	r = extract_all(x, &e);
	/* Also after a failure: it frees the list. */
	times = set_folder_times(x, r < 0 ? NULL : &e);
	r = r < 0 ? r : times;
	tree_finish(&x->tree);
	free(x);
	return r < 0 ? error_say(err, r, "%s", e.message) : 0;
}
