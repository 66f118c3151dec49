/*
 * Seccomp policies as ready BPF programs. docker's default policy for the default capability set
 * is compiled at build time; any other (profile, capability set, kernel minimum, architecture) is
 * compiled by libseccomp once and kept in a cache that only its owner can read and write.
 */
#ifndef WHERRY_RUNTIME_SECCOMP_H
#define WHERRY_RUNTIME_SECCOMP_H

#include <jansson.h>
#include <linux/filter.h>
#include <stdint.h>

#include "base/error.h"

struct seccomp_program {
	const struct sock_filter *filter;
	unsigned short length; /* instructions; 0: no program */
	unsigned flags; /* SECCOMP_FILTER_FLAG_* */
	struct sock_filter *owned; /* what seccomp_program_finish() frees, or NULL */
};

/* docker's default policy for @bounding on the running kernel. Prebuilt where that applies, else
 * from the cache below @cache_dir (NULL: no cache), else compiled and cached. */
int seccomp_default(uint64_t bounding, const char *cache_dir, struct seccomp_program *program,
	struct error *err);

/* A policy given as linux.seccomp of an OCI configuration. Cached as above. */
int seccomp_compile(const json_t *seccomp, const char *cache_dir, struct seccomp_program *program,
	struct error *err);

/* Installs the program on the calling thread. Allocates nothing. 0 or a negative errno. */
int seccomp_install(const struct seccomp_program *program);
void seccomp_program_finish(struct seccomp_program *program);

#endif
