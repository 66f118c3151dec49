/* docker's defaults as data: capabilities, mounts, masked paths, devices, seccomp policy. */
#ifndef WHERRY_SPECS_DOCKER_DEFAULTS_H
#define WHERRY_SPECS_DOCKER_DEFAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "specs/oci_config.h"

/* The 14 default capabilities as a bit mask: 0xa80425fb. */
#define DOCKER_DEFAULT_CAPS UINT64_C(0xa80425fb)

/* "NET_ADMIN", "CAP_NET_ADMIN" or "net_admin" to a number; "ALL" gives -1; unknown: -EINVAL. */
int capability_from_name(const char *name);
/* "CAP_NET_ADMIN"; NULL past the last one known. */
const char *capability_name(int number);
#define CAPABILITY_ALL  (-1)
#define CAPABILITY_LAST 40
/* The bit of every capability known: the mask for "ALL". */
#define CAPABILITY_MASK_ALL ((UINT64_C(1) << (CAPABILITY_LAST + 1)) - 1)

extern const char *const docker_masked_paths[]; /* NULL-terminated */
extern const char *const docker_readonly_paths[]; /* NULL-terminated */
/* docker masks thermal_throttle of every CPU as well: adds those that this machine has. Reads
 * sysfs, so call it once, not once per container. */
void docker_masked_cpu_paths(struct strv *paths);
extern const struct oci_mount
	docker_mounts[]; /* /proc, /dev, /dev/pts, /sys, cgroup, mqueue, shm */
extern const size_t docker_mount_count;
extern const struct oci_device docker_devices[]; /* the six nodes */
extern const size_t docker_device_count;
extern const struct oci_device_rule docker_device_rules[];
extern const size_t docker_device_rule_count;
#define DOCKER_DEFAULT_PATH     "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define DOCKER_DEFAULT_SHM_SIZE (INT64_C(64) << 20)

/*
 * docker's default seccomp policy (moby profiles v0.2.3) resolved for a bounding capability set
 * and the running kernel, as linux.seccomp JSON of the OCI configuration (new reference).
 * @kernel_version as KERNEL_VERSION(major, minor, 0).
 */
json_t *docker_seccomp(uint64_t bounding, unsigned kernel_version);
/* What the policy depends on: the capabilities that any rule looks at, and the newest kernel
 * version at which it changes. Equal in these means an equal policy. */
uint64_t docker_seccomp_capabilities(void);
unsigned docker_seccomp_kernel(void);

#endif
