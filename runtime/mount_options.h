/* Mount options as words, taken apart once: attributes, propagation, and what the file system
 * itself is told. */
#ifndef WHERRY_RUNTIME_MOUNT_OPTIONS_H
#define WHERRY_RUNTIME_MOUNT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "specs/oci_config.h"

#define MOUNT_DATA_LIMIT 32

struct mount_options {
	uint64_t set, clear; /* MOUNT_ATTR_* */
	uint64_t propagation; /* MS_PRIVATE, MS_SLAVE, ...; 0: not given */
	bool recursive_propagation;
	bool bind, recursive; /* bind; rbind */
	bool recursive_attributes; /* rro and friends, or rbind with ro */
	bool fill; /* x-wherry.fill */
	const char *data[MOUNT_DATA_LIMIT]; /* for the file system: "key=value" or "key" */
	int data_count;
};

/* Returns 0 or -EINVAL with @err naming the option. */
int mount_options_parse(
	const struct oci_mount *mount, struct mount_options *options, struct error *err);

#endif
