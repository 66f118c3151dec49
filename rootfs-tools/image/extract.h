/* Unpacks a layer: a tar stream becomes a tree that overlayfs can mount, whiteouts in its form. */
#ifndef WHERRY_ROOTFS_TOOLS_IMAGE_EXTRACT_H
#define WHERRY_ROOTFS_TOOLS_IMAGE_EXTRACT_H

#include <archive.h>
#include <stdint.h>

#include "base/error.h"

/* What one layer may cost. Far above any real image, far below what fills a machine unnoticed. */
struct extract_limits {
	int64_t bytes; /* of files, holes included */
	int64_t entries;
};

#define EXTRACT_LIMIT_BYTES   (INT64_C(64) << 30)
#define EXTRACT_LIMIT_ENTRIES INT64_C(4000000)

struct extract_totals {
	int64_t bytes, entries;
};

/*
 * Reads @archive (opened, tar) to its end and unpacks it below @root, an empty folder that nobody
 * else can reach. Owners, modes with setuid, times, xattrs (security.capability, user.*), hard
 * links, devices and fifos are kept; sockets are left out. Refused with a negative errno and @err
 * filled: names with "..", links to nowhere, device 0:0 (overlayfs's whiteout, which only a ".wh."
 * entry may make), anything past @limits. The caller's umask must be 0.
 */
int extract_archive(struct archive *archive, int root, const struct extract_limits *limits,
	struct extract_totals *totals, struct error *err);

#endif
