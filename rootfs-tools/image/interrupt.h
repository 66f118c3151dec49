/*
 * Ctrl-C and SIGTERM as a descriptor: long reads watch it beside their input, fail, and everything
 * is undone on the usual way out instead of being left for the next run.
 */
#ifndef WHERRY_ROOTFS_TOOLS_IMAGE_INTERRUPT_H
#define WHERRY_ROOTFS_TOOLS_IMAGE_INTERRUPT_H

#include <stdbool.h>

/* Blocks the signals and makes the descriptor; before any thread is started. */
void interrupt_init(void);
/* Readable once a signal has come; -1 (which poll ignores) without interrupt_init(). */
int interrupt_fd(void);
bool interrupt_pending(void);

#endif
