/*
 * Compiled seccomp programs on disk.
 *
 * Theory of operation. A program is kept in a folder that only its owner can enter, in a file named
 * by a hash of its key. The key is the text of all that the program depends on (policy, library,
 * architecture, our version) and stands in the file whole, so that no chosen hash collision can
 * pass one policy's program off as another's. Whatever is not exactly as it was written (owner,
 * mode, size, checksum, key, a program that the kernel would refuse) counts as absent: the caller
 * compiles again and replaces it. Files are replaced by rename; failures to write are not errors.
 */
#ifndef WHERRY_RUNTIME_SECCOMP_CACHE_H
#define WHERRY_RUNTIME_SECCOMP_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "specs/seccomp_bpf.h"

/* Reads the program of @key below @folder. True with *@out filled (filter is the caller's). */
bool seccomp_cache_read(
	const char *folder, const char *key, size_t key_size, struct seccomp_bpf *out);
/* Keeps @program; makes @folder (0700) if it is missing. */
void seccomp_cache_write(
	const char *folder, const char *key, size_t key_size, const struct seccomp_bpf *program);

#endif
