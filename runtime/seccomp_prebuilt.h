/* What tools/gen_seccomp.c makes at build time: docker's default policy for DOCKER_DEFAULT_CAPS on
 * kernel 4.8 or newer and the architecture of the build. */
#ifndef WHERRY_RUNTIME_SECCOMP_PREBUILT_H
#define WHERRY_RUNTIME_SECCOMP_PREBUILT_H

#include <linux/filter.h>

extern const struct sock_filter seccomp_default_filter[];
extern const unsigned short seccomp_default_length;
extern const unsigned seccomp_default_flags;

#endif
