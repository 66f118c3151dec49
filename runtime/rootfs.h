/*
 * Paths below a container's root, and the root itself. No path inside is trusted: every one is
 * resolved by the kernel with RESOLVE_IN_ROOT, and what is missing is made through descriptors of
 * folders that were resolved so.
 */
#ifndef WHERRY_RUNTIME_ROOTFS_H
#define WHERRY_RUNTIME_ROOTFS_H

#include <stdbool.h>

#include "base/error.h"
#include "runtime/container.h"

/* Opens @path below @root without ever leaving it. The descriptor is the caller's. */
int rootfs_open(int root, const char *path, int flags, struct error *err);

/*
 * An O_PATH descriptor of @path below @root, where something is to be mounted. What is missing is
 * made: folders 0755, and an empty file 0644 or a folder at the end, as @folder says; dangling
 * links are followed within the root.
 */
int rootfs_target(int root, const char *path, bool folder, struct error *err);

/*
 * Mounts the root (an overlay, or @path) onto @mount_point in the calling process' own mount
 * namespace, which is private already. Returns a descriptor of it.
 */
int rootfs_mount(const struct container_overlay *overlay, const char *path, const char *mount_point,
	struct error *err);

/* Makes @root the root folder of the namespace; the old one is gone afterwards. */
int rootfs_pivot(int root, struct error *err);

/* "what: errno", with what the kernel wrote into the log of the context @fs, if anything. */
int rootfs_context_error(struct error *err, int fs, int code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
