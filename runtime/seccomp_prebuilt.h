/* What tools/gen_seccomp.c makes at build time: docker's default policy for DOCKER_DEFAULT_CAPS, the
 * newest kernel that the policy knows (docker_seccomp_kernel()) and the build's architecture. */
#ifndef WHERRY_RUNTIME_SECCOMP_PREBUILT_H
#define WHERRY_RUNTIME_SECCOMP_PREBUILT_H

#include <linux/filter.h>

extern const struct sock_filter seccomp_default_filter[];
extern const unsigned short seccomp_default_length;
extern const unsigned seccomp_default_flags;

#endif
