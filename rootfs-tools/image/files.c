#include "rootfs-tools/image/files.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>

#include "base/fd.h"
#include "base/sys.h"
#include "rootfs-tools/image/tree.h"

#define DEPTH_LIMIT 64

struct writer {
	struct archive *archive;
	int lower;
	time_t newest; /* SOURCE_DATE_EPOCH, or -1 */
	struct strv folders; /* written already */
};

/* SRC:DST; a destination cannot hold a colon, a source can. */
static const char *destination(const char *item)
{
	const char *colon = strrchr(item, ':');

	return colon && colon != item && colon[1] == '/' ? colon + 1 : NULL;
}

static char *source(const char *item)
{
	return xstrndup(item, (size_t)(destination(item) - item) - 1);
}

int files_check(const struct strv *files, struct error *err)
{
	for (size_t i = 0; i < files->count; i++) {
		_cleanup_free_ char *path = NULL;
		struct tree_path parsed;
		struct stat st;
		int r;

		if (!destination(files->items[i])) {
			return error_say(err, EINVAL,
				"--file %s: must be SOURCE:/ABSOLUTE/DESTINATION", files->items[i]);
		}
		r = tree_path_parse(destination(files->items[i]), &parsed, err);
		if (r < 0) {
			error_prefix(err, "--file %s", files->items[i]);
			return r;
		}
		path = source(files->items[i]);
		r = sys_fstatat(AT_FDCWD, path, &st, 0);
		if (r < 0) {
			return error_set(err, r, "--file %s: %s", files->items[i], path);
		}
	}
	return 0;
}

static int archive_failed(const struct writer *w, struct error *err)
{
	int code = archive_errno(w->archive);

	return error_say(err, code > 0 ? code : EIO, "write the files' layer: %s",
		archive_error_string(w->archive));
}

static int put_header(const struct writer *w, const char *path, const struct stat *st,
	const char *link, struct error *err)
{
	struct archive_entry *entry = archive_entry_new();
	time_t mtime = st->st_mtime;
	int r;

	if (w->newest >= 0 && mtime > w->newest) {
		mtime = w->newest;
	}
	archive_entry_set_pathname(entry, path);
	archive_entry_set_mode(entry, st->st_mode);
	archive_entry_set_uid(entry, st->st_uid);
	archive_entry_set_gid(entry, st->st_gid);
	archive_entry_set_mtime(entry, mtime, 0);
	archive_entry_set_size(entry, S_ISREG(st->st_mode) ? st->st_size : 0);
	if (link) {
		archive_entry_set_symlink(entry, link);
	}
	r = archive_write_header(w->archive, entry);
	archive_entry_free(entry);
	return r < ARCHIVE_WARN ? archive_failed(w, err) : 0;
}

static int put_data(const struct writer *w, int fd, struct error *err)
{
	_cleanup_free_ char *buffer = xcalloc(65536, 1);

	for (;;) {
		ssize_t n = sys_read(fd, buffer, 65536);

		if (n <= 0) {
			return n < 0 ? error_set(err, (int)n, "read") : 0;
		}
		if (archive_write_data(w->archive, buffer, (size_t)n) < 0) {
			return archive_failed(w, err);
		}
	}
}

static int put_folder(struct writer *w, const char *path, const struct stat *st, struct error *err)
{
	if (strv_find(&w->folders, path) >= 0) {
		return 0;
	}
	strv_add(&w->folders, path);
	return put_header(w, path, st, NULL, err);
}

/* Where @path really is below, links followed; false if it is not there. */
static bool find_lower(const struct writer *w, const char *path, struct str *real, struct stat *st)
{
	_cleanup_fd_ int fd = sys_open_in_root(w->lower, *path ? path : ".", O_PATH, 0);
	char link[64], text[2 * TREE_PATH_SIZE], root[TREE_PATH_SIZE];
	ssize_t n, root_size;

	if (fd < 0 || sys_fstat(fd, st) < 0) {
		return false;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", w->lower);
	root_size = readlink(link, root, sizeof(root));
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, text, sizeof(text));
	if (root_size <= 0 || n < root_size || memcmp(root, text, (size_t)root_size) != 0) {
		return false;
	}
	real->size = 0;
	if (n > root_size) {
		str_add_mem(real, text + root_size + 1, (size_t)(n - root_size - 1));
	}
	return true;
}

/*
 * Writes the folders that lead to @path and gives their real name: where the layer below has them,
 * with its owner and mode, since a folder in an upper layer overrides what is below.
 */
static int put_parents(struct writer *w, const char *path, struct str *real, struct error *err)
{
	struct tree_path parsed;
	int r = tree_path_parse(path, &parsed, err);

	if (r < 0) {
		return r;
	}
	real->size = 0;
	for (const char *part = parsed.text; *part && part < parsed.base;
		part += strcspn(part, "/") + 1) {
		struct stat st = { .st_mode = S_IFDIR | 0755, .st_mtime = 0 };
		_cleanup_str_ struct str next = { 0 }, found = { 0 };

		str_addf(&next, "%s%s%.*s", str_text(real), real->size ? "/" : "",
			(int)strcspn(part, "/"), part);
		if (!find_lower(w, str_text(&next), &found, &st)) {
			str_add(&found, str_text(&next));
		} else if (!S_ISDIR(st.st_mode)) {
			return error_say(err, ENOTDIR, "/%s is no folder in the image", found.data);
		}
		real->size = 0;
		str_add(real, str_text(&found));
		r = put_folder(w, str_text(real), &st, err);
		if (r < 0) {
			return r;
		}
	}
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names in the folder @fd, sorted: the order of a folder is no part of its content. */
static int list_folder(int fd, struct strv *names, struct error *err)
{
	DIR *stream = fdopendir(sys_openat(fd, ".", O_RDONLY | O_DIRECTORY, 0));
	struct dirent *entry;

	if (!stream) {
		return error_set(err, errno, "read the folder");
	}
	while ((entry = readdir(stream))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			strv_add(names, entry->d_name);
		}
	}
	closedir(stream);
	if (names->count == 0) {
		return 0;
	}
	qsort(names->items, names->count, sizeof(*names->items), compare_names);
	return 0;
}

static int put_tree(struct writer *w, int dir, const char *name, const char *path, int depth,
	struct error *err);

static int put_children(struct writer *w, int fd, const char *path, int depth, struct error *err)
{
	_cleanup_strv_ struct strv names = { 0 };
	int r = list_folder(fd, &names, err);

	if (depth >= DEPTH_LIMIT) {
		return error_say(err, ELOOP, "folders are nested deeper than %d", DEPTH_LIMIT);
	}
	for (size_t i = 0; i < names.count && r == 0; i++) {
		_cleanup_free_ char *below =
			xasprintf("%s%s%s", path, *path ? "/" : "", names.items[i]);

		r = put_tree(w, fd, names.items[i], below, depth + 1, err);
	}
	return r;
}

/* The source @name in @dir as @path. The outermost may be a link to what is meant; others stay links. */
static int put_tree(
	struct writer *w, int dir, const char *name, const char *path, int depth, struct error *err)
{
	int follow = depth == 0 ? 0 : AT_SYMLINK_NOFOLLOW;
	_cleanup_fd_ int fd = -EBADF;
	struct stat st;
	int r = sys_fstatat(dir, name, &st, follow);

	if (r < 0) {
		return error_set(err, r, "%s", name);
	}
	st.st_uid = st.st_gid = 0;
	if (S_ISLNK(st.st_mode)) {
		char target[TREE_PATH_SIZE];
		ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

		if (n < 0) {
			return error_set(err, errno, "%s", name);
		}
		target[n] = '\0';
		return put_header(w, path, &st, target, err);
	}
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		return error_say(err, EINVAL, "%s is neither file, folder nor link", name);
	}
	fd = sys_openat(dir, name, O_RDONLY | O_NONBLOCK | (depth > 0 ? O_NOFOLLOW : 0), 0);
	if (fd < 0) {
		return error_set(err, fd, "open %s", name);
	}
	if (S_ISDIR(st.st_mode)) {
		r = *path ? put_folder(w, path, &st, err) : 0;
		return r == 0 ? put_children(w, fd, path, depth, err) : r;
	}
	r = put_header(w, path, &st, NULL, err);
	return r == 0 ? put_data(w, fd, err) : r;
}

static int put_item(struct writer *w, const char *item, struct error *err)
{
	_cleanup_free_ char *from = source(item), *to = NULL;
	_cleanup_str_ struct str parent = { 0 }, ignored = { 0 };
	const char *slash = strrchr(from, '/');
	const char *wanted = destination(item);
	struct stat st, below;
	struct tree_path parsed;
	int r = sys_fstatat(AT_FDCWD, from, &st, 0);

	if (r < 0) {
		return error_set(err, r, "%s", from);
	}
	r = tree_path_parse(wanted, &parsed, err);
	if (r < 0) {
		return r;
	}
	if (!S_ISDIR(st.st_mode) &&
		(wanted[strlen(wanted) - 1] == '/' ||
			(find_lower(w, parsed.text, &ignored, &below) && S_ISDIR(below.st_mode)))) {
		_cleanup_free_ char *inside =
			xasprintf("%s/%s", parsed.text, slash ? slash + 1 : from);

		r = tree_path_parse(inside, &parsed, err);
	}
	if (r == 0) {
		r = put_parents(w, parsed.text, &parent, err);
	}
	if (r < 0) {
		return r;
	}
	to = xasprintf("%s%s%s", str_text(&parent), parent.size ? "/" : "", parsed.base);
	return put_tree(w, AT_FDCWD, from, to, 0, err);
}

int files_write(const struct strv *files, int lower, int output, struct error *err)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	struct writer w = { .archive = archive_write_new(), .lower = lower, .newest = -1 };
	int r = 0;

	if (epoch && *epoch) {
		w.newest = (time_t)strtoll(epoch, NULL, 10);
	}
	archive_write_set_format_pax_restricted(w.archive);
	if (archive_write_open_fd(w.archive, output) != ARCHIVE_OK) {
		r = archive_failed(&w, err);
	}
	for (size_t i = 0; i < files->count && r == 0; i++) {
		r = put_item(&w, files->items[i], err);
		if (r < 0) {
			error_prefix(err, "--file %s", files->items[i]);
		}
	}
	if (r == 0 && archive_write_close(w.archive) != ARCHIVE_OK) {
		r = archive_failed(&w, err);
	}
	archive_write_free(w.archive);
	strv_finish(&w.folders);
	return r;
}
