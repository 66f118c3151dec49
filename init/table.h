/*
 * The shared mapping: what the next supervisor has to know when this one dies.
 *
 * Theory of operation. The table is a file `<run>/<project>/table`, mapped MAP_SHARED, its space
 * allocated before it is used (a full disk must not turn into SIGBUS). Each container has a slot.
 * A slot has two copies {sequence, checksum, payload}; a commit writes the older one, its sequence
 * number last, so that a kill in the middle of it leaves the newer old copy valid. The head
 * holds numbers that stand alone (descriptors of the project, the log journal, sessions): each is
 * one aligned store, or is made valid by one.
 *
 * Descriptor numbers are meaningful only for processes that share the descriptor table they were
 * written from; `nonce` names that table. When guardian and supervisor both died, the
 * mapping is the state on disk and the descriptors are made again from names.
 *
 * Whatever the file holds, reading it never crashes: sizes, checksums and ranges are checked, and
 * a file that fails is moved aside by the caller.
 */
#ifndef WHERRY_INIT_TABLE_H
#define WHERRY_INIT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dirs.h"
#include "base/error.h"
#include "init/machine.h"

#define TABLE_MAGIC       UINT64_C(0x3162617479726877) /* "whrytab1" */
#define TABLE_VERSION     1
#define TABLE_CHUNK_SLOTS 32
#define TABLE_CHUNKS      128 /* so at most 4096 containers a project */
#define TABLE_SESSIONS    256
#define SLOT_ID_SIZE      65
#define SLOT_ENDPOINTS    16
#define SLOT_PORTS        64

/* Descriptors that belong to a container; -1: none. */
enum slot_fd {
	SLOT_PIDFD, /* of the first process of this life */
	SLOT_NETNS,
	SLOT_DNS_UDP,
	SLOT_DNS_TCP,
	SLOT_OUT, /* FIFOs, held read-write */
	SLOT_ERR,
	SLOT_STATUS, /* outcome of the spawn under way */
	SLOT_CLIENT, /* connection of the `run` that waits for its end */
	SLOT_CONSOLE, /* pty master of a service with tty: true */
	SLOT_FDS
};

struct slot_port {
	int32_t fd; /* the reservation */
	uint32_t host_ip; /* host byte order */
	uint16_t published, target;
	uint8_t protocol; /* IPPROTO_* */
	uint8_t pad[3];
};

struct slot {
	uint32_t used;
	int32_t pid; /* 0: no process */
	int64_t start_time; /* of pid, clock ticks since boot */
	int64_t started_wall_ns, finished_wall_ns; /* 0: never */
	struct unit_state state;
	int32_t fds[SLOT_FDS];
	uint32_t addresses[SLOT_ENDPOINTS]; /* of each endpoint; 0: not attached */
	uint32_t port_count;
	struct slot_port ports[SLOT_PORTS];
	char id[SLOT_ID_SIZE];
	uint8_t remove_volumes; /* anonymous volumes go with the container */
	uint8_t auto_remove; /* remove at its end (`run --rm`) */
	uint8_t pad[5];
};

/* The log journal, see journal.h. */
enum journal_state { JOURNAL_IDLE, JOURNAL_WRITING, JOURNAL_WRITTEN, JOURNAL_MOVED };

struct table_journal {
	uint32_t state;
	uint32_t slot;
	uint32_t stream; /* 0: stdout, 1: stderr */
	uint32_t count; /* bytes of the FIFO that are being moved */
	uint32_t to_carry; /* 1: to the stream's carry file; 0: to the log, with what was carried */
	int64_t size; /* of that file before */
};

enum session_kind { SESSION_FREE, SESSION_PROBE, SESSION_EXEC };

struct table_session {
	uint32_t kind; /* written last when made, first when freed */
	uint32_t slot;
	uint32_t serial; /* names its cgroup */
	int32_t pid;
	int64_t start_time;
	int64_t deadline_us; /* monotonic; USEC_NEVER */
	int32_t pidfd;
	int32_t client; /* connection that waits for its end, or -1 */
};

/* Descriptors of the project. -1: none. */
enum table_fd {
	TABLE_FD_LISTEN,
	TABLE_FD_HOLD_READ, /* the journal's private pipe */
	TABLE_FD_HOLD_WRITE,
	TABLE_FDS
};

struct table_head {
	/* Written once; the checksum covers these. */
	uint64_t magic;
	uint32_t version, head_size, slot_size, pad;
	char boot_id[40];
	uint64_t checksum;
	/* Each a store of its own. */
	uint64_t nonce; /* names the descriptor table */
	uint32_t chunks;
	uint32_t session_serial;
	int32_t supervisor_pid, guardian_pid;
	int32_t fds[TABLE_FDS];
	uint32_t going_down; /* 1: a `down` was under way; 2: ... with volumes */
	struct table_journal journal;
	struct table_session sessions[TABLE_SESSIONS];
};

struct table {
	int fd;
	struct table_head *head;
	void *chunks[TABLE_CHUNKS];
};

/*
 * Opens or makes the table in the folder @dir. Returns 1: a valid one of this boot was found; 0: a
 * fresh one was made; TABLE_REBOOTED: valid but of another boot (descriptors and pids in it mean
 * nothing; the boot id is renewed); TABLE_REPLACED: what was there could not be used and has
 * been renamed to "table.bad"; or a negative errno. Release with table_close().
 */
#define TABLE_REBOOTED 2
#define TABLE_REPLACED 3
int table_open(struct table *table, int dir, struct error *err);
void table_close(struct table *table);

/* Checks a table's bytes. Returns 0, 1 when it is of another boot, or -EBADMSG with @err saying why. */
int table_check(const void *bytes, size_t size, const char *boot_id, struct error *err);

uint32_t table_slots(const struct table *table);
/* Adds a chunk of free slots. 0, -ENOSPC and the like, or -EMFILE at the limit. */
int table_grow(struct table *table, struct error *err);
/* The newest valid copy of a slot. False: the slot is free or (with *@torn set) unreadable. */
bool table_read(const struct table *table, uint32_t index, struct slot *slot, bool *torn);
void table_commit(struct table *table, uint32_t index, const struct slot *slot);

/* Values of an unused slot. */
void slot_init(struct slot *slot);
/* A free session record, or NULL when all are taken. */
struct table_session *table_session_take(struct table *table);
void table_session_free(struct table_session *session);

#endif
