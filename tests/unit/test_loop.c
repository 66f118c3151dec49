/* base/loop: watchers and timers, also when they change while they run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/mem.h"

struct fixture {
	struct loop *loop;
	struct watcher watchers[2];
	struct timer timers[3];
	int pipes[2][2];
	int calls;
	char order[8];
};

static int begin(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->loop = loop_create(NULL);
	*state = f;
	return f->loop && pipe(f->pipes[0]) == 0 && pipe(f->pipes[1]) == 0 ? 0 : -1;
}

static int end(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 2; i++) {
		close(f->pipes[i][0]);
		close(f->pipes[i][1]);
	}
	loop_destroy(f->loop);
	free(f);
	return 0;
}

static void remove_both(struct watcher *watcher, uint32_t events)
{
	struct fixture *f = watcher->owner;

	(void)events;
	f->calls++;
	loop_remove(f->loop, &f->watchers[0]);
	loop_remove(f->loop, &f->watchers[1]);
}

static void a_watcher_removed_by_another_is_not_called(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			loop_add(f->loop, &f->watchers[i], f->pipes[i][0], EPOLLIN, remove_both, f),
			0);
		assert_int_equal(write(f->pipes[i][1], "x", 1), 1);
	}
	assert_int_equal(loop_turn(f->loop, 0, NULL), 0);
	assert_int_equal(loop_turn(f->loop, 0, NULL), 0);
	assert_int_equal(f->calls, 1);
}

static void note(struct timer *timer)
{
	struct fixture *f = timer->owner;

	f->order[f->calls++] = (char)('0' + (timer - f->timers));
}

static void timers_fire_in_order_of_their_time(void **state)
{
	struct fixture *f = *state;
	int64_t now = clock_now_us();

	loop_timer(f->loop, &f->timers[0], now + 3000, note, f);
	loop_timer(f->loop, &f->timers[1], now + 1000, note, f);
	loop_timer(f->loop, &f->timers[2], now + 2000, note, f);
	while (f->calls < 3) {
		assert_int_equal(loop_turn(f->loop, USEC_NEVER, NULL), 0);
	}
	assert_string_equal(f->order, "120");
	assert_false(f->timers[0].armed);
}

static void again(struct timer *timer)
{
	struct fixture *f = timer->owner;

	if (++f->calls < 3) {
		loop_timer(f->loop, timer, clock_now_us(), again, f);
	} else {
		loop_stop(f->loop);
	}
}

static void a_timer_may_arm_itself_again(void **state)
{
	struct fixture *f = *state;

	loop_timer(f->loop, &f->timers[0], 0, again, f);
	assert_int_equal(loop_run(f->loop, NULL), 0);
	assert_int_equal(f->calls, 3);
}

static void a_cancelled_or_never_timer_does_not_fire(void **state)
{
	struct fixture *f = *state;

	loop_timer(f->loop, &f->timers[0], 0, note, f);
	loop_timer_cancel(f->loop, &f->timers[0]);
	loop_timer(f->loop, &f->timers[1], USEC_NEVER, note, f);
	assert_int_equal(loop_turn(f->loop, 0, NULL), 0);
	assert_int_equal(f->calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_watcher_removed_by_another_is_not_called, begin, end),
		cmocka_unit_test_setup_teardown(timers_fire_in_order_of_their_time, begin, end),
		cmocka_unit_test_setup_teardown(a_timer_may_arm_itself_again, begin, end),
		cmocka_unit_test_setup_teardown(
			a_cancelled_or_never_timer_does_not_fire, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
