/*
 * Where things live: one place that the command line, the supervisor and the image tool share.
 *
 * Run folder: $WHERRY_RUN_DIR, else the first of /run/wherry, $XDG_RUNTIME_DIR/wherry,
 * /dev/shm/wherry and /tmp/wherry-UID in which mkdir, mkfifo and bind of a socket all work.
 * State folder: $WHERRY_STATE_DIR, else /var/lib/wherry for root and
 * $XDG_DATA_HOME/wherry (or ~/.local/share/wherry) for others.
 */
#ifndef WHERRY_BASE_DIRS_H
#define WHERRY_BASE_DIRS_H

#include "base/error.h"

/* Absolute path of the run folder, made with mode 0700 if missing. The text lives as long as the
 * process. Returns NULL with @err filled if no candidate works. */
const char *dirs_run(struct error *err);

/* Absolute path of the state folder, made with mode 0710 if missing. As dirs_run(). */
const char *dirs_state(struct error *err);

#define BOOT_ID_SIZE 37
/* The kernel's boot id. Returns 0 or a negative errno. */
int dirs_boot_id(char out[BOOT_ID_SIZE]);

#endif
