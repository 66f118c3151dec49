/* A state table from disk with any bytes in it: checked, opened, read, written, never believed. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "init/table.h"

static char folder[] = "/tmp/wherry-fuzz-table-XXXXXX";
static int dir = -1;

static void remove_folder(void)
{
	file_remove_tree(AT_FDCWD, folder);
}

/* A sound table with some slots in it, to be damaged. */
static char *make_sound(size_t *size)
{
	struct table t;
	char *bytes;

	if (!mkdtemp(folder)) {
		abort();
	}
	atexit(remove_folder);
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (table_open(&t, dir, NULL) != 0 || table_grow(&t, NULL) != 0) {
		abort();
	}
	for (uint32_t i = 0; i < 8; i++) {
		struct slot slot;

		slot_init(&slot);
		slot.used = 1;
		slot.pid = (int32_t)i;
		table_commit(&t, i, &slot);
		table_commit(&t, i, &slot);
	}
	if (file_read_at(dir, "table", 16u << 20, &bytes, size, NULL) < 0) {
		abort();
	}
	table_close(&t);
	return bytes;
}

/* Input: any number of {offset (3 bytes), value}; a last odd byte cuts the file. */
static void damage(int fd, const uint8_t *data, size_t count, size_t size)
{
	for (; count >= 4; data += 4, count -= 4) {
		off_t at = (off_t)(((size_t)data[0] << 16 | (size_t)data[1] << 8 | data[2]) % size);

		if (pwrite(fd, data + 3, 1, at) != 1) {
			abort();
		}
	}
	if (count > 0 && ftruncate(fd, (off_t)(size * data[0] / 256)) < 0) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
	static char *sound;
	static size_t size;
	struct table t;
	int fd;

	if (!sound) {
		sound = make_sound(&size);
	}
	fd = openat(dir, "table", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, sound, size) != (ssize_t)size) {
		abort();
	}
	damage(fd, data, count, size);
	close(fd);
	if (table_open(&t, dir, NULL) >= 0) {
		for (uint32_t i = 0; i < table_slots(&t); i++) {
			struct slot slot;
			bool torn;

			if (table_read(&t, i, &slot, &torn)) {
				if (slot.state.phase >= UNIT_PHASES ||
					slot.port_count > SLOT_PORTS) {
					abort();
				}
				table_commit(&t, i, &slot);
			}
		}
	}
	table_close(&t);
	return 0;
}
