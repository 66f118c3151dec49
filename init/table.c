#include "init/table.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/sys.h"

#define PAGE_BYTES 4096u
#define ROUND(n)   (((n) + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES)
#define HEAD_BYTES ROUND(sizeof(struct table_head))

/* One of the two copies of a slot. */
struct copy {
	uint64_t sequence; /* 0: never written */
	uint64_t checksum; /* of sequence and payload */
	struct slot slot;
};

#define CHUNK_BYTES ROUND(sizeof(struct copy) * 2 * TABLE_CHUNK_SLOTS)

/* The payload must be on its way before the number that makes it valid: a kill only ever cuts the
 * program order of one thread, so keeping the compiler from reordering is all it takes. */
#define BARRIER() atomic_signal_fence(memory_order_seq_cst)

static uint64_t head_checksum(const struct table_head *head)
{
	return hash_u64(head, offsetof(struct table_head, checksum));
}

_Static_assert(sizeof(struct slot) % sizeof(uint64_t) == 0, "the checksum goes by words");

/* By words: a commit happens at every step of every container. */
static uint64_t slot_checksum(const struct slot *slot, uint64_t sequence)
{
	const char *bytes = (const char *)slot;
	uint64_t sum = sequence, word;

	for (size_t i = 0; i < sizeof(*slot); i += sizeof(word)) {
		memcpy(&word, bytes + i, sizeof(word));
		sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		sum ^= sum >> 29;
	}
	return sum;
}

static bool copy_valid(const struct copy *copy)
{
	const struct slot *s = &copy->slot;

	return copy->sequence != 0 && copy->checksum == slot_checksum(s, copy->sequence) &&
	       s->state.phase < UNIT_PHASES && s->state.goal <= GOAL_REMOVED &&
	       s->state.health <= HEALTH_UNHEALTHY && s->port_count <= SLOT_PORTS &&
	       memchr(s->id, '\0', sizeof(s->id));
}

int table_check(const void *bytes, size_t size, const char *boot_id, struct error *err)
{
	struct table_head head;

	if (size < HEAD_BYTES) {
		return error_say(err, EBADMSG, "state table: %zu bytes are too few", size);
	}
	memcpy(&head, bytes, sizeof(head));
	if (head.magic != TABLE_MAGIC) {
		return error_say(err, EBADMSG, "state table: not one");
	}
	if (head.version != TABLE_VERSION) {
		return error_say(err, EBADMSG, "state table: version %u, this wherry knows %d",
			head.version, TABLE_VERSION);
	}
	if (head.head_size != sizeof(head) || head.slot_size != sizeof(struct slot) ||
		head.checksum != head_checksum(&head)) {
		return error_say(err, EBADMSG, "state table: damaged");
	}
	if (head.chunks > TABLE_CHUNKS || size < HEAD_BYTES + (size_t)head.chunks * CHUNK_BYTES) {
		return error_say(err, EBADMSG, "state table: cut short");
	}
	return strncmp(head.boot_id, boot_id, sizeof(head.boot_id)) == 0 ? 0 : 1;
}

/* Maps @size bytes at @offset, with their space on disk taken first. */
static void *map_part(int fd, off_t offset, size_t size, bool allocate, struct error *err)
{
	int r = allocate ? posix_fallocate(fd, offset, (off_t)size) : 0;
	void *p;

	if (r != 0) {
		error_set(err, r, "allocate %zu bytes for the state table", size);
		return NULL;
	}
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
	if (p == MAP_FAILED) {
		error_set(err, errno, "map the state table");
		return NULL;
	}
	return p;
}

/* A copy that a kill cut short must not outrank its sound neighbour by a chance number. */
static void strike_torn(struct copy *copies)
{
	for (size_t i = 0; i < TABLE_CHUNK_SLOTS * 2; i += 2) {
		bool first = copy_valid(&copies[i]), second = copy_valid(&copies[i + 1]);

		if (first != second) {
			copies[i + (first ? 1 : 0)].sequence = 0;
		}
	}
}

static int map_all(struct table *t, struct error *err)
{
	t->head = map_part(t->fd, 0, HEAD_BYTES, false, err);
	if (!t->head) {
		return -err->code;
	}
	for (uint32_t i = 0; i < t->head->chunks; i++) {
		t->chunks[i] = map_part(
			t->fd, (off_t)(HEAD_BYTES + i * CHUNK_BYTES), CHUNK_BYTES, false, err);
		if (!t->chunks[i]) {
			return -err->code;
		}
		strike_torn(t->chunks[i]);
	}
	return 0;
}

static void write_identity(struct table_head *head, const char *boot_id)
{
	head->magic = TABLE_MAGIC;
	head->version = TABLE_VERSION;
	head->head_size = sizeof(*head);
	head->slot_size = sizeof(struct slot);
	snprintf(head->boot_id, sizeof(head->boot_id), "%s", boot_id);
	head->checksum = head_checksum(head);
}

static int make_fresh(struct table *t, int dir, const char *boot_id, struct error *err)
{
	struct error own = ERROR_INIT;
	int r;

	err = err ? err : &own;
	t->fd = sys_openat(dir, "table.new", O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (t->fd < 0) {
		return error_set(err, t->fd, "create the state table");
	}
	t->head = map_part(t->fd, 0, HEAD_BYTES, true, err);
	if (!t->head) {
		sys_unlinkat(dir, "table.new", 0);
		return -err->code;
	}
	for (int i = 0; i < TABLE_FDS; i++) {
		t->head->fds[i] = -1;
	}
	write_identity(t->head, boot_id);
	r = sys_renameat2(dir, "table.new", dir, "table", 0);
	return r < 0 ? error_set(err, r, "put the state table in place") : 0;
}

/* What the file at @fd is: as table_check(), or -ENODATA when it is empty. */
static int check_file(int fd, const char *boot_id, struct error *err)
{
	struct stat st;
	void *bytes;
	int r;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		return error_say(err, EBADMSG, "state table: not a regular file");
	}
	if (st.st_size < (off_t)HEAD_BYTES) {
		return error_say(
			err, EBADMSG, "state table: %lld bytes are too few", (long long)st.st_size);
	}
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED) {
		return error_set(err, errno, "map the state table");
	}
	r = table_check(bytes, (size_t)st.st_size, boot_id, err);
	munmap(bytes, (size_t)st.st_size);
	return r;
}

int table_open(struct table *t, int dir, struct error *err)
{
	char boot_id[BOOT_ID_SIZE] = "unknown";
	struct error own = ERROR_INIT;
	int r;

	err = err ? err : &own;
	*t = (struct table){ .fd = -EBADF };
	dirs_boot_id(boot_id);
	t->fd = sys_openat(dir, "table", O_RDWR | O_NOFOLLOW, 0);
	if (t->fd == -ENOENT) {
		return make_fresh(t, dir, boot_id, err);
	}
	if (t->fd < 0) {
		return error_set(err, t->fd, "open the state table");
	}
	r = check_file(t->fd, boot_id, err);
	if (r >= 0) {
		int mapped = map_all(t, err);

		if (mapped < 0) {
			return mapped;
		}
		if (r == 1) {
			write_identity(t->head, boot_id);
			t->head->nonce = 0;
			t->head->journal.state = JOURNAL_IDLE;
		}
		return r == 1 ? TABLE_REBOOTED : 1;
	}
	if (r != -EBADMSG) {
		return r;
	}
	table_close(t);
	sys_renameat2(dir, "table", dir, "table.bad", 0);
	r = make_fresh(t, dir, boot_id, NULL);
	return r < 0 ? error_set(err, r, "create the state table") : TABLE_REPLACED;
}

void table_close(struct table *t)
{
	for (uint32_t i = 0; i < TABLE_CHUNKS; i++) {
		if (t->chunks[i]) {
			munmap(t->chunks[i], CHUNK_BYTES);
		}
	}
	if (t->head) {
		munmap(t->head, HEAD_BYTES);
	}
	fd_close(&t->fd);
	*t = (struct table){ .fd = -EBADF };
}

uint32_t table_slots(const struct table *t)
{
	return t->head->chunks * TABLE_CHUNK_SLOTS;
}

int table_grow(struct table *t, struct error *err)
{
	uint32_t n = t->head->chunks;
	struct error own = ERROR_INIT;

	err = err ? err : &own;
	if (n >= TABLE_CHUNKS) {
		return error_say(err, EMFILE, "a project holds at most %d containers",
			TABLE_CHUNKS * TABLE_CHUNK_SLOTS);
	}
	t->chunks[n] =
		map_part(t->fd, (off_t)(HEAD_BYTES + n * CHUNK_BYTES), CHUNK_BYTES, true, err);
	if (!t->chunks[n]) {
		return -err->code;
	}
	memset(t->chunks[n], 0, CHUNK_BYTES);
	BARRIER();
	t->head->chunks = n + 1;
	return 0;
}

static struct copy *copies_of(const struct table *t, uint32_t index)
{
	struct copy *all = t->chunks[index / TABLE_CHUNK_SLOTS];

	return &all[(size_t)(index % TABLE_CHUNK_SLOTS) * 2];
}

/* The newer of the valid copies, or NULL. */
static struct copy *newest(struct copy *pair)
{
	bool first = copy_valid(&pair[0]), second = copy_valid(&pair[1]);

	if (first && second) {
		return pair[0].sequence > pair[1].sequence ? &pair[0] : &pair[1];
	}
	return first ? &pair[0] : second ? &pair[1] : NULL;
}

bool table_read(const struct table *t, uint32_t index, struct slot *slot, bool *torn)
{
	struct copy *pair, *copy;

	if (torn) {
		*torn = false;
	}
	if (index >= table_slots(t)) {
		return false;
	}
	pair = copies_of(t, index);
	copy = newest(pair);
	if (!copy) {
		if (torn) {
			*torn = pair[0].sequence != 0 || pair[1].sequence != 0;
		}
		return false;
	}
	memcpy(slot, &copy->slot, sizeof(*slot));
	return slot->used != 0;
}

void table_commit(struct table *t, uint32_t index, const struct slot *slot)
{
	struct copy *pair = copies_of(t, index);
	/* A number that stands was written after everything else: no need to check sums here. */
	struct copy *target = pair[0].sequence > pair[1].sequence ? &pair[1] : &pair[0];
	uint64_t sequence =
		(target == &pair[0] ? pair[1].sequence : pair[0].sequence) + UINT64_C(1);

	target->sequence = 0;
	BARRIER();
	memcpy(&target->slot, slot, sizeof(*slot));
	target->checksum = slot_checksum(slot, sequence);
	BARRIER();
	target->sequence = sequence;
	BARRIER();
}

void slot_init(struct slot *slot)
{
	memset(slot, 0, sizeof(*slot));
	for (int i = 0; i < SLOT_FDS; i++) {
		slot->fds[i] = -1;
	}
	slot->state.phase = UNIT_NONE;
}

struct table_session *table_session_take(struct table *t)
{
	for (int i = 0; i < TABLE_SESSIONS; i++) {
		struct table_session *s = &t->head->sessions[i];

		if (s->kind == SESSION_FREE) {
			*s = (struct table_session){ .pidfd = -1,
				.client = -1,
				.deadline_us = INT64_MAX,
				.serial = ++t->head->session_serial };
			return s;
		}
	}
	return NULL;
}

void table_session_free(struct table_session *s)
{
	s->kind = SESSION_FREE;
	BARRIER();
	s->pid = 0;
}
