/* The commands of wherry-image. Each gets argv with its own name first and returns 0, or a negative
 * errno with @err filled. */
#ifndef WHERRY_ROOTFS_TOOLS_IMAGE_COMMAND_H
#define WHERRY_ROOTFS_TOOLS_IMAGE_COMMAND_H

#include "base/error.h"
#include "base/mem.h"
#include "rootfs-tools/image/options.h"

typedef int command_fn(int argc, char **argv, struct error *err);

command_fn command_bootstrap, command_import, command_inspect, command_ls, command_path,
	command_prune, command_rm;

/*
 * Options and words of one command. @synopsis is its usage line after "wherry image ". Returns 0, 1
 * if the help was printed, or -EINVAL also when the number of words is not in [min, max].
 */
int command_parse(const char *synopsis, const struct option_row *rows, void *target, int argc,
	char **argv, size_t min, size_t max, struct strv *words, struct error *err);

/* The canonical form of an image name that is to be given: no digest. The caller's, or NULL. */
char *command_image_name(const char *text, struct error *err);

#endif
