/*
 * The control protocol between the command line and a project's supervisor.
 *
 * A Unix stream socket `<run>/<project>/control`, mode 0600; the peer's uid (SO_PEERCRED) must be
 * root or the supervisor's own. Frames in both directions: 4 bytes length (little-endian, at most
 * PROTOCOL_FRAME_MAX), then that many bytes of JSON. Descriptors (SCM_RIGHTS) ride on the first
 * byte of a frame. The first frame each way is {"wherry": PROTOCOL_VERSION, ...}; a supervisor that
 * does not know the client's version says so in its own and closes.
 *
 * A client sends one request per connection: {"op": NAME, ...}. The supervisor answers with any
 * number of event frames and one last frame {"done": true, "exit": N, "error": TEXT or absent}.
 * A client that closes early abandons the request: starts that still wait are cancelled, what runs
 * stays.
 *
 * Requests (members beyond "op"; "services": array of names, absent: all;
 * "timeout_us": stop grace override, absent: each container's own):
 *   apply    plan, services?, recreate ("diverged" | "force" | "never"), start (bool), wait (bool),
 *            wait_timeout_us?, remove_orphans, timeout_us?, no_deps, renew_anon_volumes,
 *            attach (bool: stay subscribed to events after everything is up, until closed)
 *   stop, start, restart, kill (signal), pause, unpause, remove (services?, stop, volumes)
 *   down     volumes, remove_orphans, timeout_us?  -> the supervisor ends after the last frame
 *   ps       -> {"containers": [ ... ]} as in the next paragraph
 *   events   -> {"ready": true}, then events until the client closes
 *   exec     service | container, index?, args, env, user?, cwd?, tty, rows, columns, privileged,
 *            detach; descriptors: stdin, stdout, stderr unless tty or detach
 *            -> {"started": true, "pid": N} (with the pty master when tty), then done with exit
 *   run      plan (with one oneoff container), remove, tty, rows, columns, detach; descriptors as exec
 *            -> {"started": true, "container": NAME}, then done with exit
 *            While an exec or a run lasts, the client may send {"signal": N} for it.
 *   status   -> {"supervisor_pid", "guardian_pid", "project", "directory", "config_files",
 *               "run_dir", "version"}
 *
 * A container in `ps`: {"id", "name", "service", "number", "oneoff", "image", "image_id", "args",
 *   "state" (docker's words), "phase", "health", "exit_code", "oom_killed", "restart_count", "pid",
 *   "created_ns", "started_ns", "finished_ns" (wall), "hash", "labels", "log_path",
 *   "cgroup" (relative path), "ports": [{"ip","published","target","protocol"}], "expose": [..],
 *   "networks": [{"name","ip","aliases"}], "mounts": [..], "health_log": [{"exit","output",
 *   "start_ns","end_ns"}], "error" (why it could not start, if so), "life"}
 *
 * An event: {"event": KIND, "container", "service", "id", ...} with KIND one of
 *   network-created, network-removed, volume-created, volume-removed ("name" instead of container),
 *   creating, created, recreating, recreated, starting, started, running (was up to date), waiting
 *   (for "dependency"), healthy, unhealthy, stopping, stopped, exited ("exit_code", "oom_killed",
 *   "restarting"), restarting, killed, removing, removed, paused, unpaused, failed ("error"),
 *   warning ("text").
 */
#ifndef WHERRY_INIT_PROTOCOL_H
#define WHERRY_INIT_PROTOCOL_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"

#define PROTOCOL_VERSION   1
#define PROTOCOL_FRAME_MAX (64u << 20)
#define PROTOCOL_FDS       4
/* What may wait for a client that does not read. */
#define PROTOCOL_QUEUE_MAX (16u << 20)

/* The greeting each side sends first (new reference). */
json_t *protocol_hello(void);
/* Checks the other side's greeting. 0 or -EPROTO with @err saying both versions. */
int protocol_check_hello(const json_t *frame, struct error *err);

/* Blocking side (clients). */
int protocol_send(
	int socket, const json_t *frame, const int *fds, size_t fd_count, struct error *err);
/* Returns 1 with *@frame (new reference) and descriptors (caller's), 0 at the end, or -errno. */
int protocol_receive(int socket, json_t **frame, int *fds, size_t *fd_count, struct error *err);

/* Non-blocking side (supervisor): a buffer that collects bytes and gives frames. */
struct protocol_buffer {
	struct str in, out;
	int fds[PROTOCOL_FDS]; /* received, owned */
	size_t fd_count;
	/* Descriptors on their way out; they ride on the byte at @out_fd_at of @out. Owned. */
	int out_fds[PROTOCOL_FDS];
	size_t out_fd_count, out_fd_at;
};
/* Takes what is there to read. 1: maybe a frame, 0: the peer closed, -EAGAIN, or -errno. */
int protocol_fill(struct protocol_buffer *b, int socket);
/* Takes one whole frame out. 1, 0 (not whole yet) or -EBADMSG/-EMSGSIZE. */
int protocol_take(struct protocol_buffer *b, json_t **frame, struct error *err);
/* Queues a frame; protocol_flush() sends. The queue is bounded: -ENOBUFS when a client does not read. */
int protocol_queue(struct protocol_buffer *b, const json_t *frame);
/* As protocol_queue() with one descriptor, which the buffer takes over (also on failure).
 * -EBUSY when another one is still on its way. */
int protocol_queue_fd(struct protocol_buffer *b, const json_t *frame, int fd);
int protocol_flush(struct protocol_buffer *b, int socket); /* 0 all sent, -EAGAIN, or -errno */
void protocol_buffer_finish(struct protocol_buffer *b);

#endif
