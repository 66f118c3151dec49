#include "rootfs-tools/image/tree.h"

#include <dirent.h>
#include <errno.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/fd.h"
#include "base/sys.h"

#define OPAQUE_XATTR "trusted.overlay.opaque"

void tree_init(struct tree *tree, int root)
{
	tree->root = root;
	tree->parent = -EBADF;
	tree->parent_path[0] = '\0';
}

void tree_forget(struct tree *tree)
{
	fd_close(&tree->parent);
}

void tree_finish(struct tree *tree)
{
	tree_forget(tree);
}

/* Adds one component of @size bytes to the path. */
static int path_add(struct tree_path *path, const char *part, size_t size, struct error *err)
{
	size_t used = strlen(path->text);

	if (size == 2 && part[0] == '.' && part[1] == '.') {
		return error_say(err, EINVAL, "a name with \"..\" leads out of the archive");
	}
	if (size > 255 || used + size + 2 > sizeof(path->text)) {
		return error_say(err, ENAMETOOLONG, "a name is too long");
	}
	/* What was last until now is a folder's name, then. */
	if (strncmp(path->base, WHITEOUT_PREFIX, strlen(WHITEOUT_PREFIX)) == 0) {
		return error_say(err, EINVAL, "a whiteout is used as a folder");
	}
	path->parent_size = used;
	if (used > 0) {
		path->text[used++] = '/';
	}
	path->base = path->text + used;
	memcpy(path->text + used, part, size);
	path->text[used + size] = '\0';
	return 0;
}

int tree_path_parse(const char *name, struct tree_path *path, struct error *err)
{
	path->text[0] = '\0';
	path->base = path->text;
	path->parent_size = 0;
	while (*name) {
		size_t size = strcspn(name, "/");

		if (size > 0 && !(size == 1 && name[0] == '.')) {
			int r = path_add(path, name, size, err);

			if (r < 0) {
				return r;
			}
		}
		name += size;
		name += strspn(name, "/");
	}
	return 0;
}

/*
 * Opens the folder @path below the root, making what is missing on the way. Each step is looked
 * up from the root again, so that a link in the middle is followed as the container would.
 */
static int make_parents(struct tree *tree, const char *path, struct error *err)
{
	char prefix[TREE_PATH_SIZE];
	_cleanup_fd_ int above = -EBADF;
	size_t size = 0;

	while (path[size]) {
		const char *part = path + size + (path[size] == '/');
		size_t length = strcspn(part, "/");
		_cleanup_fd_ int fd = -EBADF;
		const char *base;
		int r;

		size = (size_t)(part - path) + length;
		memcpy(prefix, path, size);
		prefix[size] = '\0';
		base = prefix + (part - path);
		fd = sys_open_in_root(tree->root, prefix, O_PATH | O_DIRECTORY, 0);
		if (fd == -ENOENT) {
			r = sys_mkdirat(above >= 0 ? above : tree->root, base, 0755);
			if (r < 0) {
				/* EEXIST: a link whose target is missing stands there. */
				return error_set(
					err, r == -EEXIST ? -ENOENT : r, "make folder %s", prefix);
			}
			fd = sys_open_in_root(tree->root, prefix, O_PATH | O_DIRECTORY, 0);
		}
		if (fd < 0) {
			return error_set(err, fd, "open folder %s", prefix);
		}
		fd_close(&above);
		above = take_fd(&fd);
	}
	return take_fd(&above);
}

int tree_parent(struct tree *tree, const struct tree_path *path, struct error *err)
{
	char name[TREE_PATH_SIZE];

	if (path->parent_size == 0) {
		return tree->root;
	}
	memcpy(name, path->text, path->parent_size);
	name[path->parent_size] = '\0';
	if (tree->parent >= 0 && strcmp(name, tree->parent_path) == 0) {
		return tree->parent;
	}
	fd_close(&tree->parent);
	tree->parent = sys_open_in_root(tree->root, name, O_PATH | O_DIRECTORY, 0);
	if (tree->parent == -ENOENT) {
		tree->parent = make_parents(tree, name, err);
		if (tree->parent < 0) {
			return tree->parent;
		}
	}
	if (tree->parent < 0) {
		return error_set(err, tree->parent, "open folder %s", name);
	}
	memcpy(tree->parent_path, name, path->parent_size + 1);
	return tree->parent;
}

bool tree_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

int tree_make_whiteout(int parent, const char *name)
{
	return sys_mknodat(parent, name, S_IFCHR, makedev(0, 0));
}

/* readdir of an opaque folder is not merged by overlayfs, so its whiteouts would be visible. */
static int remove_whiteouts(int folder)
{
	DIR *stream = fdopendir(fcntl(folder, F_DUPFD_CLOEXEC, 3));
	struct dirent *entry;
	int result = 0;

	if (!stream) {
		return -errno;
	}
	rewinddir(stream);
	while (result == 0 && (entry = readdir(stream))) {
		struct stat st;

		if (entry->d_type == DT_CHR &&
			fstatat(folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			tree_is_whiteout(&st)) {
			result = sys_unlinkat(folder, entry->d_name, 0);
		}
	}
	closedir(stream);
	return result;
}

int tree_make_opaque(int folder)
{
	/* The folder may be known by O_PATH only, which has no xattr calls. */
	_cleanup_fd_ int fd = sys_openat(folder, ".", O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0) {
		return fd;
	}
	if (fsetxattr(fd, OPAQUE_XATTR, "y", 1, 0) < 0) {
		return -errno;
	}
	return remove_whiteouts(fd);
}
