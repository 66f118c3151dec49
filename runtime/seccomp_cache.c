#include "runtime/seccomp_cache.h"

#include <errno.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/sys.h"

#define MAGIC     "WHERRYSC"
#define FORMAT    1
#define FILE_MODE 0600
/* A policy is a file of ours or of a bundle's; nothing real comes near. */
#define KEY_LIMIT ((size_t)8 << 20)

/* The file: this, the key, the filter. */
struct header {
	char magic[8];
	uint32_t format;
	uint32_t flags;
	uint32_t key_size;
	uint32_t length; /* instructions */
	uint64_t key_hash; /* also the file's name */
	uint64_t checksum; /* of key and filter and of the fields above */
};

#define NAME_SIZE 32

static void name_print(uint64_t hash, char out[NAME_SIZE])
{
	snprintf(out, NAME_SIZE, "%016llx.bpf", (unsigned long long)hash);
}

/* @body: key and filter, one behind the other as in the file. */
static uint64_t checksum(const struct header *header, const void *body, size_t size)
{
	return hash_quick(header, offsetof(struct header, checksum)) ^ hash_quick(body, size);
}

static size_t body_size(const struct header *header)
{
	return (size_t)header->key_size + (size_t)header->length * sizeof(struct sock_filter);
}

/* The folder, if it is nobody's but ours. */
static int folder_open(const char *folder)
{
	_cleanup_fd_ int fd = sys_open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	struct stat st;
	int r;

	if (fd < 0) {
		return fd;
	}
	r = sys_fstat(fd, &st);
	if (r < 0) {
		return r;
	}
	if (st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
		return -EPERM;
	}
	return take_fd(&fd);
}

static bool file_is_ours(int fd, const struct header *header)
{
	struct stat st;

	return sys_fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	       (st.st_mode & 07777) == FILE_MODE && st.st_nlink == 1 &&
	       (size_t)st.st_size == sizeof(*header) + body_size(header);
}

/* Whether @body is what the header and the key say. */
static bool body_is_sound(
	const struct header *header, const char *body, const char *key, size_t key_size)
{
	return header->checksum == checksum(header, body, body_size(header)) &&
	       header->key_size == key_size && memcmp(body, key, key_size) == 0;
}

bool seccomp_cache_read(
	const char *folder, const char *key, size_t key_size, struct seccomp_bpf *out)
{
	_cleanup_fd_ int dir = folder_open(folder), fd = -EBADF;
	_cleanup_free_ struct sock_filter *filter = NULL;
	_cleanup_free_ char *body = NULL;
	struct header header;
	char name[NAME_SIZE];
	size_t filter_size;

	name_print(hash_quick(key, key_size), name);
	fd = dir < 0 ? dir : sys_openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd < 0 || fd_read_full(fd, &header, sizeof(header)) != (ssize_t)sizeof(header)) {
		return false;
	}
	if (memcmp(header.magic, MAGIC, sizeof(header.magic)) != 0 || header.format != FORMAT ||
		header.key_size > KEY_LIMIT || header.length > BPF_MAXINSNS ||
		!file_is_ours(fd, &header)) {
		return false;
	}
	body = xcalloc(1, body_size(&header));
	if (fd_read_full(fd, body, body_size(&header)) != (ssize_t)body_size(&header) ||
		!body_is_sound(&header, body, key, key_size)) {
		return false;
	}
	/* A copy of its own: behind the key the instructions need not be aligned. */
	filter_size = header.length * sizeof(*filter);
	filter = xcalloc(header.length, sizeof(*filter));
	memcpy(filter, body + key_size, filter_size);
	if (!seccomp_bpf_valid(filter, header.length)) {
		return false;
	}
	*out = (struct seccomp_bpf){ .filter = take_ptr(filter),
		.length = (unsigned short)header.length,
		.flags = header.flags };
	return true;
}

void seccomp_cache_write(
	const char *folder, const char *key, size_t key_size, const struct seccomp_bpf *program)
{
	_cleanup_fd_ int dir = folder_open(folder);
	_cleanup_str_ struct str file = { 0 };
	struct header header = { .magic = MAGIC,
		.format = FORMAT,
		.flags = program->flags,
		.key_size = (uint32_t)key_size,
		.length = program->length,
		.key_hash = hash_quick(key, key_size) };
	char name[NAME_SIZE];

	if (key_size > KEY_LIMIT) {
		return;
	}
	if (dir == -ENOENT && file_mkdir_p(folder, 0700, NULL) == 0) {
		dir = folder_open(folder);
	}
	if (dir < 0) {
		return;
	}
	str_add_mem(&file, &header, sizeof(header));
	str_add_mem(&file, key, key_size);
	str_add_mem(&file, program->filter, program->length * sizeof(*program->filter));
	header.checksum = checksum(&header, file.data + sizeof(header), file.size - sizeof(header));
	memcpy(file.data, &header, sizeof(header));
	name_print(header.key_hash, name);
	file_write_atomic(dir, name, file.data, file.size, FILE_MODE, false, NULL);
}
