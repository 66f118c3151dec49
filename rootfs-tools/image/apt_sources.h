/* The package sources that this machine's own apt uses, for making roots from the same mirrors. */
#ifndef WHERRY_ROOTFS_TOOLS_IMAGE_APT_SOURCES_H
#define WHERRY_ROOTFS_TOOLS_IMAGE_APT_SOURCES_H

#include "base/error.h"
#include "base/mem.h"

/*
 * Reads sources.list and the .list and .sources files of sources.list.d below @etc_apt (a folder's descriptor)
 * and writes one line for each source that belongs to @suite: the suite itself and its updates and
 * security suites, where component "main" is among the components (so that sources of third
 * parties, which use the same suite names, stay out). If the machine has no source for @suite,
 * those of its own release (@host_suite, may be NULL) are taken with the name replaced and
 * component main alone. Keys (Signed-By) and options go along; a key that stands inside a .sources
 * file cannot, and such a source is left out.
 * Returns 0 or a negative errno with @err filled; -ENOENT if nothing fits.
 */
int apt_sources_collect(
	int etc_apt, const char *host_suite, const char *suite, struct str *out, struct error *err);

/* VERSION_CODENAME of os-release in the folder @etc; the caller's, or NULL. */
char *apt_sources_host_suite(int etc);

#endif
