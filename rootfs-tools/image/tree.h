/*
 * Placing things in a tree that is being unpacked, never outside it.
 *
 * Theory of operation. Names come from strangers. A name is cut into a parent and a last part. The
 * parent is opened with openat2(RESOLVE_IN_ROOT), so that links on the way (also absolute ones, which
 * real images are full of) lead to where they would inside the container; the last part is only
 * ever used with calls that do not follow a link, relative to that descriptor. The tree lies in a
 * folder that nobody else can enter while it is being made, so nothing moves under our feet. The
 * parent of the previous entry is kept open: archives are nearly sorted.
 */
#ifndef WHERRY_ROOTFS_TOOLS_IMAGE_TREE_H
#define WHERRY_ROOTFS_TOOLS_IMAGE_TREE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"

#define WHITEOUT_PREFIX ".wh."
#define TREE_PATH_SIZE  4096

struct tree {
	int root; /* borrowed */
	int parent; /* open parent, or -EBADF */
	char parent_path[TREE_PATH_SIZE]; /* its name; "" is the root */
};

/* A name in the tree: "" (the root itself) or components joined by single slashes. */
struct tree_path {
	char text[TREE_PATH_SIZE];
	const char *base; /* last component, in @text */
	size_t parent_size; /* bytes of the parent's name */
};

void tree_init(struct tree *tree, int root);
void tree_finish(struct tree *tree);

/*
 * Cuts @name into its parts: leading slashes, empty and "." components fall away. ".." and names
 * that are too long are refused, as is a whiteout as a folder's name.
 * Returns 0 or a negative errno with @err filled.
 */
int tree_path_parse(const char *name, struct tree_path *path, struct error *err);

/* The descriptor of @path's parent, made (0755, root) where it is missing; borrowed until the next
 * call. Not for the root. A negative errno with @err filled otherwise. */
int tree_parent(struct tree *tree, const struct tree_path *path, struct error *err);

/* Forgets the open parent: to be called when something that was there is removed. */
void tree_forget(struct tree *tree);

/* Whether @st is a whiteout in overlayfs's form. */
bool tree_is_whiteout(const struct stat *st);
int tree_make_whiteout(int parent, const char *name);
/* Hides what lower layers have in this folder; whiteouts in it would show up, and go. */
int tree_make_opaque(int folder);

#endif
