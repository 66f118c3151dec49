/* `--file SRC:DST`: files of this machine as a tar stream that makes a layer. */
#ifndef WHERRY_ROOTFS_TOOLS_IMAGE_FILES_H
#define WHERRY_ROOTFS_TOOLS_IMAGE_FILES_H

#include "base/error.h"
#include "base/mem.h"

/* Checks that each item is SRC:DST with a source that exists and an absolute destination. */
int files_check(const struct strv *files, struct error *err);

/*
 * Writes the tar for @files to @output. @lower is the tree of the layer below: a folder on the way to
 * a destination that exists there keeps its owner and mode, and a link there is followed. A
 * destination that ends in a slash, or is a folder below, takes the source's name. Owners become
 * 0:0; times later than SOURCE_DATE_EPOCH, if that is set, become it.
 */
int files_write(const struct strv *files, int lower, int output, struct error *err);

#endif
