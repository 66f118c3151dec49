/*
 * From linux.seccomp of an OCI configuration to a BPF program. Pure: nothing is installed here.
 *
 * Theory of operation. libseccomp turns names into numbers for every listed architecture and
 * builds the filter as a binary tree over the numbers, which the kernel also loads quicker: it
 * emulates the filter once for each call number to find those that are always allowed. In front
 * of that stands a short prologue of ours for what libseccomp cannot say: calls newer than the
 * installed library, by number, and ENOSYS instead of the policy's EPERM for calls newer than
 * the policy, so that a C library falls back as it does on an older kernel.
 */
#ifndef WHERRY_SPECS_SECCOMP_BPF_H
#define WHERRY_SPECS_SECCOMP_BPF_H

#include <jansson.h>
#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct seccomp_bpf {
	struct sock_filter *filter; /* the caller's (free) */
	unsigned short length; /* instructions */
	unsigned flags; /* SECCOMP_FILTER_FLAG_*; SPEC_ALLOW when the policy names none */
};

/*
 * Compiles @policy. Names that neither libseccomp nor the table of newer calls knows are skipped,
 * as all OCI runtimes do (a policy lists names of many kernels and architectures). Repeated
 * conditions on one argument within a rule are alternatives. The prologue does not cover x32.
 * Returns 0 or a negative errno; @err names the member at fault.
 */
int seccomp_bpf_compile(const json_t *policy, struct seccomp_bpf *out, struct error *err);

/* Whether the kernel's verifier would take the program: known instructions, jumps inside it,
 * a return at every end. For programs that were read from a file. */
bool seccomp_bpf_valid(const struct sock_filter *filter, size_t length);

/* "2.5.4": part of every cache key, as another library may build another program. */
void seccomp_bpf_library(char *out, size_t size);

#endif
