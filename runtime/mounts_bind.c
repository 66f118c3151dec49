/* Bind mounts and named volumes. */
#include <errno.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/child.h"
#include "runtime/mount_options.h"
#include "runtime/rootfs.h"

static int clone_source(
	struct child *c, size_t index, const struct oci_mount *m, const struct mount_options *o)
{
	int fd;

	if (c->shared_sources && c->shared_sources[index] > 0) {
		return c->shared_sources[index];
	}
	if (!m->source) {
		return error_say(
			&c->err, EINVAL, "mount %s: a bind mount needs a source", m->destination);
	}
	fd = sys_open_tree(AT_FDCWD, m->source,
		OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (o->recursive ? (unsigned)AT_RECURSIVE : 0));
	return fd < 0 ? error_set(&c->err, fd, "bind %s on %s", m->source, m->destination) : fd;
}

/* An empty volume takes over what the image holds at its place, before it covers it. */
static int fill(struct child *c, const struct oci_mount *m, int place)
{
	_cleanup_fd_ int origin = -EBADF, source = -EBADF;
	int r;

	/* O_PATH descriptors cannot be read; the same folder again, for reading. */
	origin = sys_openat(place, ".", O_RDONLY | O_DIRECTORY, 0);
	source = sys_open(m->source, O_RDONLY | O_DIRECTORY, 0);
	if (origin < 0 || source < 0) {
		return error_set(
			&c->err, origin < 0 ? origin : source, "open the volume %s", m->source);
	}
	r = volume_fill(source, origin, &c->err);
	if (r < 0) {
		error_prefix(&c->err, "fill the volume for %s from the image", m->destination);
	}
	return r;
}

static int set_attributes(
	struct child *c, const struct oci_mount *m, const struct mount_options *o, int fd)
{
	int r = 0;

	if (o->set || o->clear) {
		r = sys_mount_setattr(fd, "",
			AT_EMPTY_PATH | (o->recursive_attributes ? (unsigned)AT_RECURSIVE : 0),
			o->set, o->clear, 0);
	}
	if (r == 0 && o->propagation && o->propagation != MS_PRIVATE) {
		r = sys_mount_setattr(fd, "",
			AT_EMPTY_PATH | (o->recursive_propagation ? (unsigned)AT_RECURSIVE : 0), 0,
			0, o->propagation);
	}
	return r < 0 ? error_set(&c->err, r, "set the options of the mount on %s", m->destination)
		     : 0;
}

int mounts_bind(struct child *c, size_t index)
{
	const struct oci_mount *m = &c->config->mounts[index];
	_cleanup_fd_ int fd = -EBADF, place = -EBADF;
	struct mount_options o;
	struct stat st;
	int r = mount_options_parse(m, &o, &c->err);

	if (r < 0) {
		return r;
	}
	if (strcmp(m->destination, "/proc") == 0) { /* see mounts.c */
		return error_say(&c->err, EPERM, "%s: nothing but procfs may be mounted there",
			m->destination);
	}
	fd = clone_source(c, index, m, &o);
	if (fd < 0) {
		return fd;
	}
	if (fstat(fd, &st) < 0) {
		return error_set(&c->err, errno, "examine %s", m->source);
	}
	place = rootfs_target(c->root_fd, m->destination, S_ISDIR(st.st_mode), &c->err);
	if (place < 0) {
		return place;
	}
	r = mounts_check_place(m->destination, place, &c->err);
	if (r == 0 && o.fill && S_ISDIR(st.st_mode)) {
		r = fill(c, m, place);
	}
	if (r == 0) {
		r = set_attributes(c, m, &o, fd);
	}
	if (r < 0) {
		return r;
	}
	r = sys_move_mount(fd, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
	if (r == -ENOTDIR || r == -EINVAL) {
		return error_set(&c->err, r,
			"mount %s on %s (is one a folder and the other a file?)", m->source,
			m->destination);
	}
	return r < 0 ? error_set(&c->err, r, "mount %s on %s", m->source, m->destination) : 0;
}
