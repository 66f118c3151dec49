/* init/protocol: frames and their descriptors, whole, in pieces, and hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/json.h"
#include "init/protocol.h"

struct fixture {
	int pair[2];
	struct protocol_buffer buffer;
};

static int begin(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	*state = f;
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, f->pair);
}

static int end(void **state)
{
	struct fixture *f = *state;

	protocol_buffer_finish(&f->buffer);
	fd_close(&f->pair[0]);
	fd_close(&f->pair[1]);
	free(f);
	return 0;
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino &&
	       x.st_dev == y.st_dev;
}

static int open_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++) {
		count += fcntl(fd, F_GETFD) >= 0;
	}
	return count;
}

static void a_frame_arrives_with_its_descriptors(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *sent = json_pack("{s:s,s:i}", "op", "exec", "n", 7);
	_cleanup_json_ json_t *got = NULL;
	_cleanup_fd_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int fds[PROTOCOL_FDS];
	size_t count;

	assert_int_equal(protocol_send(f->pair[0], sent, &null, 1, NULL), 0);
	assert_int_equal(protocol_receive(f->pair[1], &got, fds, &count, NULL), 1);
	assert_true(json_equal(sent, got));
	assert_int_equal(count, 1);
	assert_true(same_file(fds[0], null));
	assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	close(fds[0]);
}

static void descriptors_that_nobody_asked_for_are_closed(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *sent = json_object(), *got = NULL;
	_cleanup_fd_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int before = open_descriptors();
	int many[] = { null, null, null, null, null, null };

	assert_int_equal(protocol_send(f->pair[0], sent, many, 6, NULL), 0);
	assert_int_equal(protocol_receive(f->pair[1], &got, NULL, NULL, NULL), 1);
	assert_int_equal(open_descriptors(), before);
}

static void the_end_between_frames_is_no_error_but_inside_one_is(void **state)
{
	struct fixture *f = *state;
	json_t *got = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(write(f->pair[0], "\x05\0\0\0{", 5), 5);
	fd_close(&f->pair[0]);
	assert_int_equal(protocol_receive(f->pair[1], &got, NULL, NULL, &err), -EPROTO);
	assert_null(got);
	assert_int_equal(protocol_receive(f->pair[1], &got, NULL, NULL, &err), 0);
}

static void a_buffer_gives_frames_byte_by_byte_and_several_at_once(void **state)
{
	static const char two[] = "\x07\0\0\0{\"a\":1}\x07\0\0\0{\"b\":2}";
	struct fixture *f = *state;
	json_t *got = NULL;

	for (size_t i = 0; i < sizeof(two) - 1; i++) {
		assert_int_equal(protocol_take(&f->buffer, &got, NULL), 0);
		assert_int_equal(write(f->pair[0], two + i, 1), 1);
		assert_int_equal(protocol_fill(&f->buffer, f->pair[1]), 1);
		if (i == 10) {
			assert_int_equal(protocol_take(&f->buffer, &got, NULL), 1);
			assert_int_equal(json_int(got, "a", 0), 1);
			json_decref(got);
		}
	}
	assert_int_equal(protocol_take(&f->buffer, &got, NULL), 1);
	assert_int_equal(json_int(got, "b", 0), 2);
	json_decref(got);
	assert_int_equal(write(f->pair[0], two, sizeof(two) - 1), sizeof(two) - 1);
	assert_int_equal(protocol_fill(&f->buffer, f->pair[1]), 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(protocol_take(&f->buffer, &got, NULL), 1);
		json_decref(got);
	}
	assert_int_equal(protocol_take(&f->buffer, &got, NULL), 0);
}

static void frames_too_long_or_not_objects_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		int result;
	} cases[] = {
		{ "\xff\xff\xff\xff", 4, -EMSGSIZE },
		{ "\x01\0\0\x04", 4, -EMSGSIZE }, /* one byte past the limit */
		{ "\0\0\0\x04", 4, 0 }, /* the limit itself: more has to come */
		{ "\x02\0\0\0[]", 6, -EBADMSG },
		{ "\x01\0\0\0{", 5, -EBADMSG },
		{ "\0\0\0\0", 4, -EBADMSG },
		{ "\x0d\0\0\0{\"a\":1,\"a\":2}", 17, -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct protocol_buffer b = { 0 };
		struct error err = ERROR_INIT;
		json_t *got = NULL;

		str_add_mem(&b.in, cases[i].bytes, cases[i].size);
		assert_int_equal(protocol_take(&b, &got, &err), cases[i].result);
		assert_true(cases[i].result == 0 || err.message[0] != '\0');
		assert_null(got);
		protocol_buffer_finish(&b);
	}
}

static void deep_nesting_is_refused_not_followed(void **state)
{
	struct protocol_buffer b = { 0 };
	json_t *got = NULL;
	uint32_t size = 1000000;

	(void)state;
	str_add_mem(&b.in, &size, sizeof(size));
	for (uint32_t i = 0; i < size; i++) {
		str_add_char(&b.in, '[');
	}
	assert_int_equal(protocol_take(&b, &got, NULL), -EBADMSG);
	protocol_buffer_finish(&b);
}

static void a_queued_descriptor_rides_on_its_own_frame(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *plain = json_pack("{s:s}", "k", "plain");
	_cleanup_json_ json_t *with = json_pack("{s:s}", "k", "with");
	_cleanup_fd_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int before = open_descriptors();

	assert_int_equal(protocol_queue(&f->buffer, plain), 0);
	assert_int_equal(protocol_queue_fd(&f->buffer, with, dup(null)), 0);
	assert_int_equal(protocol_queue(&f->buffer, plain), 0);
	assert_int_equal(protocol_flush(&f->buffer, f->pair[0]), 0);
	assert_int_equal(open_descriptors(), before);
	for (int i = 0; i < 3; i++) {
		_cleanup_json_ json_t *got = NULL;
		int fds[PROTOCOL_FDS];
		size_t count;

		assert_int_equal(protocol_receive(f->pair[1], &got, fds, &count, NULL), 1);
		assert_int_equal(count, i == 1 ? 1 : 0);
		if (count) {
			assert_string_equal(json_text(got, "k", ""), "with");
			assert_true(same_file(fds[0], null));
			close(fds[0]);
		}
	}
}

static void a_client_that_does_not_read_fills_its_queue_and_no_more(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ json_t *frame = json_object();
	_cleanup_free_ char *text = xcalloc((1u << 20) + 1, 1);
	int r = 0, count = 0;

	memset(text, 'x', 1u << 20);
	json_put_text(frame, "t", text);
	fd_nonblock(f->pair[0], true);
	for (; r == 0 && count < 100; count++) {
		r = protocol_queue(&f->buffer, frame);
		assert_int_equal(protocol_flush(&f->buffer, f->pair[0]), -EAGAIN);
	}
	assert_int_equal(r, -ENOBUFS);
	assert_true(f->buffer.out.size < PROTOCOL_QUEUE_MAX + (3u << 20));
}

static void another_version_is_named_on_both_sides(void **state)
{
	_cleanup_json_ json_t *mine = protocol_hello();
	_cleanup_json_ json_t *other = json_pack("{s:i,s:s}", "wherry", 99, "version", "9.9");
	_cleanup_json_ json_t *none = json_object();
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(protocol_check_hello(mine, &err), 0);
	assert_int_equal(protocol_check_hello(none, &err), -EPROTO);
	assert_int_equal(protocol_check_hello(other, &err), -EPROTO);
	assert_non_null(strstr(err.message, "9.9"));
	assert_non_null(strstr(err.message, "99"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_frame_arrives_with_its_descriptors, begin, end),
		cmocka_unit_test_setup_teardown(
			descriptors_that_nobody_asked_for_are_closed, begin, end),
		cmocka_unit_test_setup_teardown(
			the_end_between_frames_is_no_error_but_inside_one_is, begin, end),
		cmocka_unit_test_setup_teardown(
			a_buffer_gives_frames_byte_by_byte_and_several_at_once, begin, end),
		cmocka_unit_test(frames_too_long_or_not_objects_are_refused),
		cmocka_unit_test(deep_nesting_is_refused_not_followed),
		cmocka_unit_test_setup_teardown(
			a_queued_descriptor_rides_on_its_own_frame, begin, end),
		cmocka_unit_test_setup_teardown(
			a_client_that_does_not_read_fills_its_queue_and_no_more, begin, end),
		cmocka_unit_test(another_version_is_named_on_both_sides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
