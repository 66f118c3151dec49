/* Tar streams byte by byte, also such as no archiver writes. */
#ifndef WHERRY_TESTS_UNIT_TAR_H
#define WHERRY_TESTS_UNIT_TAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

struct tar_entry {
	const char *name;
	char type; /* '0' file, '1' hard link, '2' symbolic link, '3' char, '4' block, '5' folder, ... */
	const char *link; /* target, or NULL */
	const char *data; /* of a file, or NULL */
	unsigned mode; /* 0: 0644, folders 0755 */
	unsigned uid, gid, major, minor;
	int64_t mtime;
};

/* Adds a header (and the data). Names past 100 bytes get a GNU 'L' entry before it, links 'K'. */
void tar_add(struct str *tar, const struct tar_entry *entry);
/* Adds a POSIX header with one record for the next entry. */
void tar_add_pax(struct str *tar, const char *key, const void *value, size_t size);
/* The end mark: two empty blocks. */
void tar_end(struct str *tar);
/* A descriptor to read @data from; the caller's. */
int tar_open(const void *data, size_t size);
/* Computes the checksum of the header at @offset anew, after it was changed by hand. */
void tar_checksum(struct str *tar, size_t offset);

#endif
