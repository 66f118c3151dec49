#include "tests/unit/tar.h"

#include <unistd.h>

#include "base/fd.h"
#include "base/sys.h"

#define BLOCK 512

/* Where fields stand in a header (POSIX ustar). */
enum {
	NAME = 0,
	MODE = 100,
	UID = 108,
	GID = 116,
	SIZE = 124,
	MTIME = 136,
	CHECKSUM = 148,
	TYPE = 156,
	LINK = 157,
	MAGIC = 257,
	MAJOR = 329,
	MINOR = 337
};

static void pad(struct str *tar)
{
	while (tar->size % BLOCK) {
		str_add_char(tar, '\0');
	}
}

void tar_checksum(struct str *tar, size_t offset)
{
	char *header = tar->data + offset;
	unsigned sum = 0;

	memset(header + CHECKSUM, ' ', 8);
	for (size_t i = 0; i < BLOCK; i++) {
		sum += (unsigned char)header[i];
	}
	snprintf(header + CHECKSUM, 8, "%06o", sum);
}

static void header(struct str *tar, const struct tar_entry *entry, size_t size)
{
	size_t offset = tar->size, length = strlen(entry->name);
	unsigned mode = entry->mode ? entry->mode : entry->type == '5' ? 0755 : 0644;
	char block[BLOCK] = "";

	memcpy(block + NAME, entry->name, length < 100 ? length : 100);
	snprintf(block + MODE, 8, "%07o", mode & 07777);
	snprintf(block + UID, 8, "%07o", entry->uid & 07777777);
	snprintf(block + GID, 8, "%07o", entry->gid & 07777777);
	snprintf(block + SIZE, 12, "%011zo", size);
	snprintf(block + MTIME, 12, "%011llo", (unsigned long long)entry->mtime);
	block[TYPE] = entry->type;
	if (entry->link) {
		length = strlen(entry->link);
		memcpy(block + LINK, entry->link, length < 100 ? length : 100);
	}
	memcpy(block + MAGIC,
		"ustar\0"
		"00",
		8);
	snprintf(block + MAJOR, 8, "%07o", entry->major & 07777777);
	snprintf(block + MINOR, 8, "%07o", entry->minor & 07777777);
	str_add_mem(tar, block, BLOCK);
	tar_checksum(tar, offset);
}

static void add_long(struct str *tar, char type, const char *text)
{
	struct tar_entry entry = { .name = "././@LongLink", .type = type };

	if (text && strlen(text) > 100) {
		header(tar, &entry, strlen(text) + 1);
		str_add_mem(tar, text, strlen(text) + 1);
		pad(tar);
	}
}

void tar_add(struct str *tar, const struct tar_entry *entry)
{
	size_t size = entry->data ? strlen(entry->data) : 0;

	add_long(tar, 'L', entry->name);
	add_long(tar, 'K', entry->link);
	header(tar, entry, size);
	if (size > 0) {
		str_add_mem(tar, entry->data, size);
		pad(tar);
	}
}

void tar_add_pax(struct str *tar, const char *key, const void *value, size_t size)
{
	struct tar_entry entry = { .name = "PaxHeader", .type = 'x' };
	size_t rest = strlen(key) + size + 3, total = rest;
	char digits[24];

	/* The record's length counts its own digits. */
	while (total != rest + (size_t)snprintf(digits, sizeof(digits), "%zu", total)) {
		total = rest + strlen(digits);
	}
	header(tar, &entry, total);
	str_addf(tar, "%zu %s=", total, key);
	str_add_mem(tar, value, size);
	str_add_char(tar, '\n');
	pad(tar);
}

void tar_end(struct str *tar)
{
	static const char empty[2 * BLOCK];

	str_add_mem(tar, empty, sizeof(empty));
}

int tar_open(const void *data, size_t size)
{
	int fd = sys_memfd_create("tar", 0);

	if (fd < 0 || fd_write_all(fd, data, size) < 0 || lseek(fd, 0, SEEK_SET) < 0) {
		fd_close(&fd);
	}
	return fd;
}
