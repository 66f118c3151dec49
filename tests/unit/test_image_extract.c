/* Unpacking layers: what archives bring arrives as it should, and nothing gets out of the tree. */
#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/sys.h"
#include "rootfs-tools/image/layer.h"
#include "tests/unit/tar.h"

/*
 * A folder with `outside/secret`, which nothing may touch, and `work/`, where layers are made: three
 * levels down, so that a short way up from the tree would find the secret.
 */
struct place {
	char path[64];
	int base, work;
	struct layer layer;
	struct error err;
};

static struct place place;

static int set_up(void **state)
{
	int fd;

	(void)state;
	snprintf(place.path, sizeof(place.path), "/var/tmp/wherry-extract-XXXXXX");
	assert_non_null(mkdtemp(place.path));
	place.base = sys_open(place.path, O_RDONLY | O_DIRECTORY, 0);
	assert_return_code(sys_mkdirat(place.base, "outside", 0755), 0);
	assert_return_code(sys_mkdirat(place.base, "work", 0700), 0);
	fd = sys_openat(place.base, "outside/secret", O_WRONLY | O_CREAT, 0600);
	assert_return_code(fd_write_all(fd, "secret", 6), 0);
	fd_close(&fd);
	place.work = sys_openat(place.base, "work", O_RDONLY | O_DIRECTORY, 0);
	return 0;
}

/* Fails if anything beside the work folder changed. */
static void check_outside(void)
{
	_cleanup_free_ char *text = NULL;
	struct stat st;

	assert_int_equal(file_read_at(place.base, "outside/secret", 100, &text, NULL, NULL), 0);
	assert_string_equal(text, "secret");
	assert_int_equal(sys_fstatat(place.base, "outside/secret", &st, 0), 0);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(sys_fstatat(place.base, "outside", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0755);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(sys_fstatat(place.base, ".", &st, 0), 0);
	assert_int_equal(st.st_nlink, 4); /* work and outside, nothing else */
	assert_int_equal(sys_unlinkat(AT_FDCWD, "/wherry-test-escaped", 0), -ENOENT);
}

static int tear_down(void **state)
{
	(void)state;
	check_outside();
	fd_close(&place.work);
	fd_close(&place.base);
	return file_remove_tree(AT_FDCWD, place.path);
}

/* Unpacks @size bytes into work/x. */
static int unpack_bytes(const void *data, size_t size, const struct extract_limits *limits)
{
	_cleanup_fd_ int input = tar_open(data, size);

	assert_true(input >= 0);
	file_remove_tree(place.work, "x");
	file_remove_tree(place.work, "x.blob");
	memset(&place.err, 0, sizeof(place.err));
	return layer_unpack(input, place.work, "x", limits, &place.layer, &place.err);
}

static void build(struct str *tar, const struct tar_entry *entries)
{
	for (; entries->name; entries++) {
		tar_add(tar, entries);
	}
	tar_end(tar);
}

static int unpack(const struct tar_entry *entries)
{
	_cleanup_str_ struct str tar = { 0 };

	build(&tar, entries);
	return unpack_bytes(tar.data, tar.size, NULL);
}

/* What stands at @path in the tree. Zeroed if nothing does. */
static struct stat look(const char *path)
{
	_cleanup_free_ char *full = file_join("x/fs", path);
	struct stat st = { 0 };

	if (sys_fstatat(place.work, full, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		memset(&st, 0, sizeof(st));
	}
	return st;
}

static char *content(const char *path)
{
	_cleanup_free_ char *full = file_join("x/fs", path);
	char *text = NULL;

	return file_read_at(place.work, full, 1 << 20, &text, NULL, NULL) < 0 ? NULL : text;
}

static void check_content(const char *path, const char *wanted)
{
	_cleanup_free_ char *text = content(path);

	assert_non_null(text);
	assert_string_equal(text, wanted);
}

static ssize_t attribute(const char *path, const char *name, void *value, size_t size)
{
	_cleanup_free_ char *full = xasprintf("%s/work/x/fs/%s", place.path, path);
	ssize_t n = lgetxattr(full, name, value, size);

	return n < 0 ? -errno : n;
}

static bool is_opaque(const char *path)
{
	char value[4];

	return attribute(path, "trusted.overlay.opaque", value, sizeof(value)) == 1 &&
	       value[0] == 'y';
}

static bool is_whiteout(const char *path)
{
	struct stat st = look(path);

	return S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
}

#define LONG_PART "0123456789012345678901234567890123456789012345678901234567890123456789"

static void names_that_lead_out_are_refused(void **state)
{
	static const char *const names[] = { "../wherry-test-escaped", "/../wherry-test-escaped",
		"a/../../wherry-test-escaped", "a/..", "..", "../../outside/secret",
		"./../../../outside/secret", ".wh..", ".wh...", ".wh.", "a/.wh..", ".wh./x",
		".wh.a/x", "a/.wh.b/c" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct tar_entry entries[] = {
			{ "a", .type = '5' },
			{ names[i], '0', .data = "attack" },
			{ 0 },
		};

		print_message("    %s\n", names[i]);
		assert_int_equal(unpack(entries), -EINVAL);
		assert_string_not_equal(place.err.message, "");
		check_outside();
	}
}

static void odd_names_stay_inside(void **state)
{
	static const struct {
		const char *name, *path;
	} rows[] = { { "/wherry-test-escaped", "wherry-test-escaped" }, { "./a//b/./c", "a/b/c" },
		{ "////d", "d" }, { "a\nb", "a\nb" }, { "...", "..." }, { "..a/b..", "..a/b.." },
		{ " ", " " }, { "\xc3\xbc\xff\xfe", "\xc3\xbc\xff\xfe" },
		{ LONG_PART LONG_PART "/" LONG_PART LONG_PART,
			LONG_PART LONG_PART "/" LONG_PART LONG_PART } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct tar_entry entries[] = {
			{ rows[i].name, '0', .data = "here" },
			{ 0 },
		};

		assert_int_equal(unpack(entries), 0);
		check_content(rows[i].path, "here");
		check_outside();
	}
}

static void names_that_are_too_long_are_refused(void **state)
{
	_cleanup_str_ struct str part = { 0 }, deep = { 0 };

	(void)state;
	for (int i = 0; i < 256; i++) {
		str_add_char(&part, 'x');
	}
	for (int i = 0; i < 2500; i++) {
		str_add(&deep, "d/");
	}
	const struct tar_entry long_part[] = { { part.data, '0', .data = "" }, { 0 } };
	const struct tar_entry long_path[] = { { deep.data, .type = '5' }, { 0 } };
	assert_int_equal(unpack(long_part), -ENAMETOOLONG);
	assert_int_equal(unpack(long_path), -ENAMETOOLONG);
}

static void links_on_the_way_lead_to_places_inside(void **state)
{
	static const struct {
		const char *target, *path;
	} rows[] = { { "/", "wherry-test-escaped" }, { "../../../..", "wherry-test-escaped" },
		{ "/etc", "etc/wherry-test-escaped" },
		{ "../etc/../etc", "etc/wherry-test-escaped" },
		{ "chain", "etc/wherry-test-escaped" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct tar_entry entries[] = {
			{ "etc", .type = '5' },
			{ "chain", '2', .link = "chain2" },
			{ "chain2", '2', .link = "/etc" },
			{ "link", '2', .link = rows[i].target },
			{ "link/wherry-test-escaped", '0', .data = "inside" },
			{ 0 },
		};

		print_message("    %s\n", rows[i].target);
		assert_int_equal(unpack(entries), 0);
		check_content(rows[i].path, "inside");
		check_outside();
	}
}

static void links_that_lead_nowhere_are_errors(void **state)
{
	static const struct {
		const char *target;
		int result;
	} rows[] = { { "missing", -ENOENT }, { "/proc/self/root", -ENOENT }, { "link", -ELOOP },
		{ "file", -ENOTDIR } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct tar_entry entries[] = {
			{ "file", '0', .data = "" },
			{ "link", '2', .link = rows[i].target },
			{ "link/x", '0', .data = "attack" },
			{ 0 },
		};

		assert_int_equal(unpack(entries), rows[i].result);
		check_outside();
	}
}

static void a_link_is_replaced_and_not_written_through(void **state)
{
	const struct tar_entry entries[] = {
		{ "target", '0', .data = "old" },
		{ "link", '2', .link = "target" },
		{ "link", '0', .data = "new", .mode = 04755 },
		{ "out", '2', .link = "../../../outside/secret" },
		{ "out", '0', .data = "new" },
		{ 0 },
	};

	(void)state;
	assert_int_equal(unpack(entries), 0);
	check_content("target", "old");
	check_content("link", "new");
	check_content("out", "new");
	assert_true(S_ISREG(look("link").st_mode));
	assert_int_equal(look("target").st_mode & 07777, 0644);
}

static void a_folder_that_becomes_a_link_takes_later_files_along(void **state)
{
	/* The unpacker keeps the last parent open: it must not go on using what was replaced. */
	const struct tar_entry entries[] = {
		{ "real", .type = '5' },
		{ "a", .type = '5' },
		{ "a/one", '0', .data = "1" },
		{ "a", '2', .link = "real" },
		{ "a/two", '0', .data = "2" },
		{ "a", .type = '5' },
		{ "a/three", '0', .data = "3" },
		{ 0 },
	};

	(void)state;
	assert_int_equal(unpack(entries), 0);
	check_content("real/two", "2");
	check_content("a/three", "3");
	assert_true(S_ISDIR(look("a").st_mode));
	assert_int_equal(look("a/one").st_mode, 0);
	assert_int_equal(look("a/two").st_mode, 0);
}

static void later_entries_replace_earlier_ones_of_every_kind(void **state)
{
	static const char types[] = "0256";

	(void)state;
	for (size_t i = 0; types[i]; i++) {
		for (size_t j = 0; types[j]; j++) {
			const struct tar_entry entries[] = {
				{ "p", types[i], .link = types[i] == '2' ? "t" : NULL },
				{ "p", types[j], .link = types[j] == '2' ? "t" : NULL,
					.mode = 0711 },
				{ 0 },
			};
			mode_t wanted[] = {
				['0'] = S_IFREG, ['2'] = S_IFLNK, ['5'] = S_IFDIR, ['6'] = S_IFIFO
			};

			assert_int_equal(unpack(entries), 0);
			assert_int_equal(look("p").st_mode & S_IFMT, wanted[(int)types[j]]);
			if (types[j] != '2') {
				assert_int_equal(look("p").st_mode & 07777, 0711);
			}
		}
	}
}

static void hard_links_stay_inside(void **state)
{
	static const struct {
		const char *target;
		int result;
	} rows[] = { { "missing", -ENOENT }, { "/missing/x", -ENOENT }, { "folder", -EINVAL },
		{ "h", -ENOENT }, { "../../../outside/secret", -EINVAL }, { "gone", -EINVAL },
		{ "out/secret", -ENOENT } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct tar_entry entries[] = {
			{ "folder", .type = '5' },
			{ ".wh.gone", .type = '0' },
			{ "out", '2', .link = "../../../outside" },
			{ "h", '1', .link = rows[i].target },
			{ 0 },
		};

		print_message("    %s\n", rows[i].target);
		assert_int_equal(unpack(entries), rows[i].result);
		check_outside();
	}
}

static void hard_links_share_the_file(void **state)
{
	const struct tar_entry entries[] = {
		{ "etc/shadow", '0', .data = "x", .mode = 0600 },
		{ "link", '2', .link = "/etc" },
		{ "one", '1', .link = "link/shadow" },
		{ "two", '1', .link = "/etc/shadow" },
		{ "etc/shadow", '1', .link = "etc/shadow" },
		{ "dev/null", '3', .major = 1, .minor = 3 },
		{ "dev/zero", '1', .link = "dev/null" },
		{ "soft", '1', .link = "link" },
		{ 0 },
	};

	(void)state;
	assert_int_equal(unpack(entries), 0);
	assert_int_equal(look("one").st_ino, look("etc/shadow").st_ino);
	assert_int_equal(look("etc/shadow").st_nlink, 3);
	check_content("two", "x");
	assert_int_equal(look("dev/zero").st_rdev, makedev(1, 3));
	assert_true(S_ISLNK(look("soft").st_mode));
}

static void owners_modes_and_times_are_kept(void **state)
{
	const struct tar_entry entries[] = {
		{ ".", '5', .mode = 0711, .uid = 5, .mtime = 11 },
		{ "d", '5', .mode = 02750, .uid = 1000, .gid = 1001, .mtime = 1234567 },
		{ "d/su", '0', .data = "x", .mode = 06755, .uid = 1, .gid = 2, .mtime = 7654321 },
		{ "d/plain", '0', .data = "x", .mode = 0600 },
		{ "t", '5', .mode = 01777 },
		{ "closed", '5', .mode = 01000, .mtime = 99 },
		{ "closed/x", '0', .data = "x" },
		{ "l", '2', .link = "nowhere", .uid = 7, .gid = 8, .mtime = 55 },
		{ "fifo", '6', .mode = 0620, .uid = 9 },
		{ "block", '4', .mode = 0660, .major = 7, .minor = 1, .gid = 6 },
		{ 0 },
	};

	(void)state;
	assert_int_equal(unpack(entries), 0);
	assert_int_equal(look(".").st_mode & 07777, 0711);
	assert_int_equal(look(".").st_uid, 5);
	assert_int_equal(look(".").st_mtime, 11);
	assert_int_equal(look("d").st_mode & 07777, 02750);
	assert_int_equal(look("d").st_gid, 1001);
	assert_int_equal(look("d").st_mtime, 1234567);
	assert_int_equal(look("d/su").st_mode & 07777, 06755);
	assert_int_equal(look("d/su").st_uid, 1);
	assert_int_equal(look("d/su").st_mtime, 7654321);
	/* Not the group of the setgid folder above. */
	assert_int_equal(look("d/plain").st_gid, 0);
	assert_int_equal(look("t").st_mode & 07777, 01777);
	assert_int_equal(look("closed").st_mode & 07777, 01000);
	assert_int_equal(look("closed").st_mtime, 99);
	check_content("closed/x", "x");
	assert_int_equal(look("l").st_uid, 7);
	assert_int_equal(look("l").st_mtime, 55);
	assert_int_equal(look("fifo").st_uid, 9);
	assert_int_equal(look("block").st_rdev, makedev(7, 1));
	assert_int_equal(place.layer.totals.entries, 10);
}

static void a_forged_whiteout_is_refused(void **state)
{
	const struct tar_entry entries[] = { { "w", .type = '3' }, { 0 } };

	(void)state;
	assert_int_equal(unpack(entries), -EINVAL);
}

static void whiteouts_take_overlayfs_form(void **state)
{
	const struct tar_entry entries[] = {
		{ ".wh.gone", .type = '0' },
		{ "a/.wh.deep", .type = '0' },
		{ "here", '0', .data = "new" },
		{ ".wh.here", .type = '0' },
		{ "folder", .type = '5' },
		{ "folder/x", '0', .data = "x" },
		{ ".wh.folder", .type = '0' },
		{ ".wh.later", .type = '0' },
		{ "later", .type = '5' },
		{ ".wh.file", .type = '0' },
		{ "file", '0', .data = "f" },
		{ "link", '2', .link = "/a" },
		{ "link/.wh.through", .type = '0' },
		{ ".wh..wh.plnk", .type = '5' },
		{ ".wh..wh.aufs", .type = '0' },
		{ 0 },
	};

	(void)state;
	assert_int_equal(unpack(entries), 0);
	assert_true(is_whiteout("gone"));
	assert_true(is_whiteout("a/deep"));
	assert_true(is_whiteout("a/through"));
	/* What this layer itself brings stays; only what is below is hidden. */
	check_content("here", "new");
	check_content("file", "f");
	check_content("folder/x", "x");
	assert_true(is_opaque("folder"));
	assert_true(is_opaque("later"));
	assert_false(is_opaque("a"));
	assert_int_equal(look(".wh.gone").st_mode, 0);
	assert_int_equal(look(".wh..wh.plnk").st_mode, 0);
}

static void an_opaque_folder_hides_all_below_and_shows_no_whiteouts(void **state)
{
	const struct tar_entry entries[] = {
		{ "d", .type = '5' },
		{ "d/before", '0', .data = "b" },
		{ "d/.wh.gone", .type = '0' },
		{ "d/.wh..wh..opq", .type = '0' },
		{ "d/after", '0', .data = "a" },
		{ 0 },
	};

	(void)state;
	assert_int_equal(unpack(entries), 0);
	assert_true(is_opaque("d"));
	assert_false(is_whiteout("d/gone"));
	check_content("d/before", "b");
	check_content("d/after", "a");
}

static void attributes_come_along_but_not_overlayfs_own(void **state)
{
	static const uint8_t capability[20] = { 1, 0, 0, 2, 0, 4, 0, 0 };
	_cleanup_str_ struct str tar = { 0 };
	char value[64];

	(void)state;
	tar_add_pax(&tar, "SCHILY.xattr.security.capability", capability, sizeof(capability));
	tar_add(&tar, &(struct tar_entry){ "ping", '0', .data = "x", .uid = 3, .mode = 0755 });
	tar_add_pax(&tar, "SCHILY.xattr.user.note", "a=b\nc\0d", 7);
	tar_add(&tar, &(struct tar_entry){ "note", '0', .data = "x" });
	tar_add_pax(&tar, "SCHILY.xattr.trusted.overlay.opaque", "y", 1);
	tar_add(&tar, &(struct tar_entry){ "d", .type = '5' });
	tar_add_pax(&tar, "SCHILY.xattr.trusted.overlay.redirect", "/etc", 4);
	tar_add(&tar, &(struct tar_entry){ "e", .type = '5' });
	tar_add_pax(&tar, "SCHILY.xattr.user.overlay.opaque", "y", 1);
	tar_add(&tar, &(struct tar_entry){ "f", .type = '5' });
	tar_end(&tar);
	assert_int_equal(unpack_bytes(tar.data, tar.size, NULL), 0);
	assert_int_equal(attribute("ping", "security.capability", value, sizeof(value)), 20);
	assert_memory_equal(value, capability, 20);
	assert_int_equal(attribute("note", "user.note", value, sizeof(value)), 7);
	assert_memory_equal(value, "a=b\nc\0d", 7);
	assert_false(is_opaque("d"));
	assert_int_equal(
		attribute("e", "trusted.overlay.redirect", value, sizeof(value)), -ENODATA);
	assert_int_equal(attribute("f", "user.overlay.opaque", value, sizeof(value)), -ENODATA);
}

static void posix_headers_are_read(void **state)
{
	_cleanup_str_ struct str tar = { 0 };

	(void)state;
	tar_add_pax(&tar, "path",
		"gr\xc3\xb6\xc3\x9f"
		"e",
		8);
	tar_add(&tar, &(struct tar_entry){ "short", '0', .data = "x" });
	tar_add_pax(&tar, "uid", "3000000", 7);
	tar_add(&tar, &(struct tar_entry){ "far", '0', .data = "y" });
	tar_add_pax(&tar, "path", "../wherry-test-escaped", 22);
	tar_end(&tar);
	tar.size -= 1024;
	assert_int_equal(unpack_bytes(tar.data, tar.size, NULL), -EBADMSG);
	tar_add(&tar, &(struct tar_entry){ "innocent", '0', .data = "z" });
	tar_end(&tar);
	assert_int_equal(unpack_bytes(tar.data, tar.size, NULL), -EINVAL);
	check_content("gr\xc3\xb6\xc3\x9f"
		      "e",
		"x");
	assert_int_equal(look("far").st_uid, 3000000);
	check_outside();
}

static void owners_past_the_range_are_refused(void **state)
{
	static const char *const ids[] = { "4294967295", "-1", "99999999999999" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		_cleanup_str_ struct str tar = { 0 };

		tar_add_pax(&tar, "uid", ids[i], strlen(ids[i]));
		tar_add(&tar, &(struct tar_entry){ "x", '0', .data = "x" });
		tar_end(&tar);
		assert_int_equal(unpack_bytes(tar.data, tar.size, NULL), -ERANGE);
	}
}

static void damaged_archives_are_errors(void **state)
{
	_cleanup_str_ struct str good = { 0 }, bad = { 0 };

	(void)state;
	build(&good, (const struct tar_entry[]){ { "one", '0', .data = "11111" },
			     { "two", '0', .data = "22222" }, { 0 } });
	assert_int_equal(unpack_bytes("", 0, NULL), -EBADMSG);
	assert_int_equal(unpack_bytes("BZh91AY", 7, NULL), -EBADMSG);
	assert_non_null(strstr(place.err.message, "bzip2"));
	assert_int_equal(unpack_bytes("no tar at all", 13, NULL), -EBADMSG);
	/* Cut off in a header and in the data. */
	assert_int_equal(unpack_bytes(good.data, 1024 + 100, NULL), -EBADMSG);
	assert_int_equal(unpack_bytes(good.data, 1024 + 512 + 2, NULL), -EBADMSG);
	/* A checksum that is wrong, a size that is negative or enormous. */
	str_add_mem(&bad, good.data, good.size);
	bad.data[1024 + 3] = 'X';
	assert_int_equal(unpack_bytes(bad.data, bad.size, NULL), -EBADMSG);
	memset(bad.data + 1024 + 124, 0xff, 12);
	tar_checksum(&bad, 1024);
	assert_true(unpack_bytes(bad.data, bad.size, NULL) < 0);
	memcpy(bad.data + 1024 + 124, "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12);
	tar_checksum(&bad, 1024);
	assert_true(unpack_bytes(bad.data, bad.size, NULL) < 0);
	memcpy(bad.data + 1024 + 124, "77777777777\0", 12);
	tar_checksum(&bad, 1024);
	assert_true(unpack_bytes(bad.data, bad.size, NULL) < 0);
}

static void gzip_bytes(struct str *out, const void *data, size_t size)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)size };
	char buffer[4096];

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	do {
		z.next_out = (Bytef *)buffer;
		z.avail_out = sizeof(buffer);
		assert_true(deflate(&z, Z_FINISH) >= 0);
		str_add_mem(out, buffer, sizeof(buffer) - z.avail_out);
	} while (z.avail_out == 0);
	deflateEnd(&z);
}

static void zstd_bytes(struct str *out, const void *data, size_t size)
{
	size_t room = ZSTD_compressBound(size), n;
	_cleanup_free_ char *buffer = xcalloc(room, 1);

	n = ZSTD_compress(buffer, room, data, size, 3);
	assert_false(ZSTD_isError(n));
	str_add_mem(out, buffer, n);
}

static void compressed_streams_give_the_same_layer(void **state)
{
	static const char skippable[] = "\x50\x2a\x4d\x18\x04\0\0\0skip";
	_cleanup_str_ struct str tar = { 0 }, gz = { 0 }, gz2 = { 0 }, zst = { 0 };
	char plain_id[DIGEST_SIZE], digest[DIGEST_SIZE];
	struct digest d;

	(void)state;
	build(&tar, (const struct tar_entry[]){ { "one", '0', .data = "11111" },
			    { "two", '0', .data = "22222" }, { 0 } });
	/* What follows the end mark belongs to the stream and so to its digest. */
	str_add(&tar, "trailing bytes");
	assert_int_equal(unpack_bytes(tar.data, tar.size, NULL), 0);
	digest_start(&d);
	digest_add(&d, tar.data, tar.size);
	digest_end(&d, plain_id);
	assert_string_equal(place.layer.diff_id, plain_id);
	gzip_bytes(&gz, tar.data, tar.size);
	gzip_bytes(&gz2, tar.data, 1000);
	gzip_bytes(&gz2, tar.data + 1000, tar.size - 1000);
	str_add_mem(&gz2, "\0\0\0\0", 4);
	zstd_bytes(&zst, tar.data, 700);
	str_add_mem(&zst, skippable, sizeof(skippable) - 1);
	zstd_bytes(&zst, tar.data + 700, tar.size - 700);
	const struct str *forms[] = { &gz, &gz2, &zst };
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		assert_int_equal(unpack_bytes(forms[i]->data, forms[i]->size, NULL), 0);
		assert_string_equal(place.layer.diff_id, plain_id);
		digest_start(&d);
		digest_add(&d, forms[i]->data, forms[i]->size);
		digest_end(&d, digest);
		assert_string_equal(place.layer.digest, digest);
		assert_int_equal(place.layer.size, forms[i]->size);
		check_content("two", "22222");
	}
	assert_int_equal(unpack_bytes(gz.data, gz.size - 9, NULL), -EBADMSG);
	assert_int_equal(unpack_bytes(zst.data, zst.size - 3, NULL), -EBADMSG);
	gz.data[gz.size - 6] ^= 1; /* the checksum */
	assert_int_equal(unpack_bytes(gz.data, gz.size, NULL), -EBADMSG);
}

static void bombs_are_stopped(void **state)
{
	static const struct extract_limits small = { .bytes = 100000, .entries = 5 };
	_cleanup_free_ char *zeros = xcalloc(1000001, 1);
	_cleanup_str_ struct str tar = { 0 }, gz = { 0 }, many = { 0 }, window = { 0 };
	char buffer[512];
	ZSTD_CCtx *zstd = ZSTD_createCCtx();
	ZSTD_outBuffer out = { .dst = buffer, .size = sizeof(buffer) };
	ZSTD_inBuffer in = { .src = "x", .size = 1 };

	(void)state;
	memset(zeros, '0', 1000000);
	build(&tar, (const struct tar_entry[]){ { "big", '0', .data = zeros }, { 0 } });
	gzip_bytes(&gz, tar.data, tar.size);
	assert_true(gz.size < 5000);
	assert_int_equal(unpack_bytes(gz.data, gz.size, &small), -EFBIG);
	for (int i = 0; i < 6; i++) {
		tar_add(&many, &(struct tar_entry){ "same", .type = '5' });
	}
	tar_end(&many);
	assert_int_equal(unpack_bytes(many.data, many.size, &small), -E2BIG);
	/* A window of 1 GiB costs whoever reads it 1 GiB of memory. */
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, 30);
	assert_false(ZSTD_isError(ZSTD_compressStream2(zstd, &out, &in, ZSTD_e_flush)));
	str_add_mem(&window, buffer, out.pos);
	ZSTD_freeCCtx(zstd);
	assert_int_equal(unpack_bytes(window.data, window.size, NULL), -EBADMSG);
}

static size_t open_descriptors(void)
{
	size_t count = 0;

	for (int fd = 0; fd < 1024; fd++) {
		count += fcntl(fd, F_GETFD) >= 0;
	}
	return count;
}

static void every_failing_call_is_an_error_and_leaks_nothing(void **state)
{
	static const char *const calls[] = { "openat", "openat2", "mkdirat", "mknodat", "symlinkat",
		"fchownat", "fstatat", "read", "write", "unlinkat" };
	const struct tar_entry entries[] = {
		{ "a", .type = '5' },
		{ "a/f", '0', .data = "x" },
		{ "b/c/d", '0', .data = "y" },
		{ "l", '2', .link = "a" },
		{ "l/g", '0', .data = "z" },
		{ "h", '1', .link = "a/f" },
		{ "fifo", .type = '6' },
		{ ".wh.gone", .type = '0' },
		{ "a/f", '0', .data = "again" },
		{ 0 },
	};
	_cleanup_str_ struct str tar = { 0 };
	size_t before = open_descriptors();

	(void)state;
	build(&tar, entries);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		int r = -1;

		for (unsigned n = 1; r < 0; n++) {
			_cleanup_fd_ int input = tar_open(tar.data, tar.size);

			assert_true(n < 100);
			file_remove_tree(place.work, "x");
			file_remove_tree(place.work, "x.blob");
			sys_fault_arm(calls[i], n, EIO);
			r = layer_unpack(input, place.work, "x", NULL, &place.layer, &place.err);
			/* Armed still: there is no n-th call, and all went well. */
			assert_true(r == -EIO || (r == 0 && sys_fault_armed));
			sys_fault_disarm();
			fd_close(&input);
			assert_int_equal(open_descriptors(), before);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(names_that_lead_out_are_refused),
		T(odd_names_stay_inside),
		T(names_that_are_too_long_are_refused),
		T(links_on_the_way_lead_to_places_inside),
		T(links_that_lead_nowhere_are_errors),
		T(a_link_is_replaced_and_not_written_through),
		T(a_folder_that_becomes_a_link_takes_later_files_along),
		T(later_entries_replace_earlier_ones_of_every_kind),
		T(hard_links_stay_inside),
		T(hard_links_share_the_file),
		T(owners_modes_and_times_are_kept),
		T(a_forged_whiteout_is_refused),
		T(whiteouts_take_overlayfs_form),
		T(an_opaque_folder_hides_all_below_and_shows_no_whiteouts),
		T(attributes_come_along_but_not_overlayfs_own),
		T(posix_headers_are_read),
		T(owners_past_the_range_are_refused),
		T(damaged_archives_are_errors),
		T(compressed_streams_give_the_same_layer),
		T(bombs_are_stopped),
		T(every_failing_call_is_an_error_and_leaks_nothing),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
