/*
 * Seccomp: the verdicts of docker's default policy for every call number, the same in a real
 * process, and a cache that is believed only when nothing about it is in doubt.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/seccomp.h"
#include "runtime/seccomp_cache.h"
#include "runtime/seccomp_prebuilt.h"
#include "specs/docker_defaults.h"
#include "specs/seccomp_bpf.h"

#define ALLOW     SECCOMP_RET_ALLOW
#define DENY(e)   (SECCOMP_RET_ERRNO | (uint32_t)(e))
#define SYS_ADMIN (UINT64_C(1) << 21)

#ifdef __x86_64__
#define NATIVE AUDIT_ARCH_X86_64
#else
#define NATIVE AUDIT_ARCH_AARCH64
#endif

/* What the kernel would do: classic BPF over seccomp_data. */
static uint32_t verdict(const struct sock_filter *filter, size_t length, struct seccomp_data data)
{
	uint32_t a = 0;

	for (size_t i = 0; i < length; i++) {
		const struct sock_filter *f = &filter[i];
		bool jump = false;

		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS: memcpy(&a, (const char *)&data + f->k, 4); continue;
		case BPF_ALU | BPF_AND | BPF_K: a &= f->k; continue;
		case BPF_RET | BPF_K: return f->k;
		case BPF_JMP | BPF_JA: i += f->k; continue;
		case BPF_JMP | BPF_JEQ | BPF_K: jump = a == f->k; break;
		case BPF_JMP | BPF_JGE | BPF_K: jump = a >= f->k; break;
		case BPF_JMP | BPF_JGT | BPF_K: jump = a > f->k; break;
		case BPF_JMP | BPF_JSET | BPF_K: jump = (a & f->k) != 0; break;
		default: fail_msg("instruction %zu is unknown", i);
		}
		i += jump ? f->jt : f->jf;
	}
	fail_msg("the program has no end");
	return 0;
}

static uint32_t default_verdict(uint32_t arch, int nr, uint64_t arg0)
{
	return verdict(seccomp_default_filter, seccomp_default_length,
		(struct seccomp_data){ .arch = arch, .nr = nr, .args = { arg0 } });
}

static void the_prebuilt_program_is_valid(void **state)
{
	(void)state;
	assert_true(seccomp_bpf_valid(seccomp_default_filter, seccomp_default_length));
	assert_int_equal(seccomp_default_flags, SECCOMP_FILTER_FLAG_SPEC_ALLOW);
}

/* Whether docker's list allows @name whatever its arguments. */
static bool always_allowed(const json_t *policy, const char *name)
{
	const json_t *rule, *item;
	size_t i, n;

	json_array_foreach(json_object_get(policy, "syscalls"), i, rule)
	{
		if (json_object_get(rule, "args") ||
			strcmp(json_text(rule, "action", ""), "SCMP_ACT_ALLOW") != 0) {
			continue;
		}
		json_array_foreach(json_object_get(rule, "names"), n, item)
		{
			if (strcmp(json_string_value(item), name) == 0) {
				return true;
			}
		}
	}
	return false;
}

/* Numbers whose verdict depends on more than the name, or which the library cannot name. */
static bool special(const char *name)
{
	return !name || strcmp(name, "socket") == 0 || strcmp(name, "personality") == 0 ||
	       strcmp(name, "clone") == 0 || strcmp(name, "clone3") == 0;
}

static void every_native_call_gets_the_verdict_of_the_list(void **state)
{
	_cleanup_json_ json_t *policy =
		docker_seccomp(DOCKER_DEFAULT_CAPS, docker_seccomp_kernel());
	int checked = 0;

	(void)state;
	for (int nr = 0; nr <= 456; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);

		if (!special(name)) {
			uint32_t expected = always_allowed(policy, name) ? ALLOW : DENY(EPERM);

			if (default_verdict(NATIVE, nr, 0) != expected) {
				fail_msg("%s (%d): %x instead of %x", name, nr,
					default_verdict(NATIVE, nr, 0), expected);
			}
			checked++;
		}
		free(name);
	}
	assert_true(checked > 300);
}

static void calls_newer_than_the_library_are_known_by_number(void **state)
{
	static const struct {
		int first, last;
		uint32_t expected;
	} ranges[] = {
		{ 457, 458, ALLOW }, /* statmount, listmount */
		{ 459, 461, DENY(EPERM) }, /* lsm_*: CAP_SYS_ADMIN */
		{ 462, 466, ALLOW }, /* mseal, *xattrat */
		{ 467, 1000, DENY(ENOSYS) }, /* newer than the policy */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		for (int nr = ranges[i].first; nr <= ranges[i].last; nr++) {
			assert_int_equal(default_verdict(NATIVE, nr, 0), ranges[i].expected);
#ifdef __x86_64__
			assert_int_equal(
				default_verdict(AUDIT_ARCH_I386, nr, 0), ranges[i].expected);
#endif
		}
	}
	assert_int_equal(default_verdict(NATIVE, 0x3fffffff, 0), DENY(ENOSYS));
#ifdef __x86_64__
	assert_int_equal(default_verdict(NATIVE, 335, 0), ALLOW); /* uretprobe */
	assert_int_equal(default_verdict(AUDIT_ARCH_I386, 334, 0), ALLOW); /* its pwritev */
#endif
}

static void arguments_decide_where_the_policy_says_so(void **state)
{
	static const uint64_t personalities[] = { 0, 8, 0x20000, 0x20008, 0xffffffff };

	(void)state;
	for (uint64_t domain = 0; domain < 64; domain++) {
		assert_int_equal(default_verdict(NATIVE, SYS_socket, domain),
			domain == 38 || domain == 40 ? DENY(EPERM) : ALLOW);
	}
	for (size_t i = 0; i < ARRAY_SIZE(personalities); i++) {
		assert_int_equal(default_verdict(NATIVE, SYS_personality, personalities[i]), ALLOW);
	}
	assert_int_equal(default_verdict(NATIVE, SYS_personality, 0x400000), DENY(EPERM));
	assert_int_equal(default_verdict(NATIVE, SYS_personality, UINT64_MAX), DENY(EPERM));
	assert_int_equal(default_verdict(NATIVE, SYS_clone, SIGCHLD), ALLOW);
	assert_int_equal(default_verdict(NATIVE, SYS_clone, CLONE_VM | CLONE_THREAD), ALLOW);
	for (unsigned bit = 0; bit < 32; bit++) {
		uint64_t flag = UINT64_C(1) << bit;

		assert_int_equal(default_verdict(NATIVE, SYS_clone, flag),
			flag & 0x7E020000 ? DENY(EPERM) : ALLOW);
	}
	assert_int_equal(default_verdict(NATIVE, SYS_clone3, 0), DENY(ENOSYS));
}

#ifdef __x86_64__
static void foreign_architectures_have_their_own_numbers(void **state)
{
	(void)state;
	assert_int_equal(default_verdict(AUDIT_ARCH_I386, 20, 0), ALLOW); /* getpid */
	assert_int_equal(default_verdict(AUDIT_ARCH_I386, 21, 0), DENY(EPERM)); /* mount */
	assert_int_equal(default_verdict(AUDIT_ARCH_I386, 102, 0), ALLOW); /* socketcall */
	assert_int_equal(default_verdict(AUDIT_ARCH_I386, 359, 38), DENY(EPERM)); /* socket */
	assert_int_equal(default_verdict(AUDIT_ARCH_I386, 435, 0), DENY(ENOSYS)); /* clone3 */
	assert_int_equal(default_verdict(NATIVE, 0x40000000 + 39, 0), ALLOW); /* x32 getpid */
	assert_int_equal(default_verdict(NATIVE, 0x40000000 + 165, 0), DENY(EPERM)); /* mount */
	assert_int_equal(default_verdict(AUDIT_ARCH_AARCH64, 172, 0), SECCOMP_RET_KILL_THREAD);
}
#endif

static int compile_text(const char *text, struct seccomp_bpf *bpf, struct error *err)
{
	_cleanup_json_ json_t *policy = json_loads(text, 0, NULL);

	assert_non_null(policy);
	*err = (struct error)ERROR_INIT;
	return seccomp_bpf_compile(policy, bpf, err);
}

static uint32_t compiled_verdict(const char *text, int nr, uint64_t arg0, uint64_t arg1)
{
	struct seccomp_bpf bpf;
	struct error err;
	uint32_t result;

	if (compile_text(text, &bpf, &err) < 0) {
		fail_msg("%s", err.message);
	}
	result = verdict(bpf.filter, bpf.length,
		(struct seccomp_data){ .arch = NATIVE, .nr = nr, .args = { arg0, arg1 } });
	free(bpf.filter);
	return result;
}

static void policies_of_others_are_compiled_as_written(void **state)
{
	static const char allow_but[] =
		"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":["
		"{\"names\":[\"mseal\",\"chmod\",\"no_such_call\"],\"action\":\"SCMP_ACT_ERRNO\"},"
		"{\"names\":[\"chdir\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":13},"
		"{\"names\":[\"ptrace\"],\"action\":\"SCMP_ACT_KILL_PROCESS\"},"
		"{\"names\":[\"kill\"],\"action\":\"SCMP_ACT_TRACE\",\"errnoRet\":7},"
		"{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\"},"
		"{\"names\":[\"dup3\"],\"action\":\"SCMP_ACT_LOG\",\"args\":["
		"{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"},"
		"{\"index\":1,\"value\":2,\"op\":\"SCMP_CMP_EQ\"}]},"
		"{\"names\":[\"pipe2\"],\"action\":\"SCMP_ACT_LOG\",\"args\":["
		"{\"index\":1,\"value\":1,\"op\":\"SCMP_CMP_EQ\"},"
		"{\"index\":1,\"value\":2,\"op\":\"SCMP_CMP_EQ\"}]}]}";

	(void)state;
	assert_int_equal(compiled_verdict(allow_but, SYS_read, 0, 0), ALLOW);
	assert_int_equal(compiled_verdict(allow_but, 462, 0, 0), DENY(EPERM));
	assert_int_equal(compiled_verdict(allow_but, SYS_chdir, 0, 0), DENY(EACCES));
	assert_int_equal(compiled_verdict(allow_but, SYS_ptrace, 0, 0), SECCOMP_RET_KILL_PROCESS);
	assert_int_equal(compiled_verdict(allow_but, SYS_kill, 0, 0), SECCOMP_RET_TRACE | 7);
	/* A policy that allows by default says nothing of the future. */
	assert_int_equal(compiled_verdict(allow_but, 900, 0, 0), ALLOW);
	/* Conditions on two arguments: both; on one argument: either. */
	assert_int_equal(compiled_verdict(allow_but, SYS_dup3, 1, 2), SECCOMP_RET_LOG);
	assert_int_equal(compiled_verdict(allow_but, SYS_dup3, 1, 3), ALLOW);
	assert_int_equal(compiled_verdict(allow_but, SYS_pipe2, 0, 1), SECCOMP_RET_LOG);
	assert_int_equal(compiled_verdict(allow_but, SYS_pipe2, 0, 2), SECCOMP_RET_LOG);
	assert_int_equal(compiled_verdict(allow_but, SYS_pipe2, 0, 3), ALLOW);
}

static void what_cannot_be_compiled_is_refused(void **state)
{
#define ALLOW_ALL(rest) "{\"defaultAction\":\"SCMP_ACT_ALLOW\"" rest "}"
#define RULE(rest)      ALLOW_ALL(",\"syscalls\":[{" rest "}]")
	static const struct {
		const char *text, *part;
	} cases[] = {
		{ "{}", "action \"\" is unknown" },
		{ "{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}", "\"SCMP_ACT_NOTIFY\"" },
		{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":5000}", "5000" },
		{ ALLOW_ALL(",\"listenerPath\":\"/x\""), "listenerPath is not supported" },
		{ ALLOW_ALL(",\"architectures\":[\"SCMP_ARCH_PDP11\"]"), "architectures[0]" },
		{ ALLOW_ALL(",\"flags\":[\"SECCOMP_FILTER_FLAG_NEW_LISTENER\"]"), "flag" },
		{ RULE("\"names\":[],\"action\":\"SCMP_ACT_ERRNO\""),
			"linux.seccomp: syscalls[0]: names are missing" },
		{ RULE("\"names\":[1],\"action\":\"SCMP_ACT_ERRNO\""), "not a string" },
		{ RULE("\"names\":[\"read\"],\"action\":\"NO\""), "action \"NO\"" },
		{ RULE("\"names\":[\"read\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":\"x\""),
			"errnoRet" },
		{ RULE("\"names\":[\"read\"],\"action\":\"SCMP_ACT_ERRNO\","
		       "\"args\":[{\"index\":0,\"value\":1,\"op\":\"EQ\"}]"),
			"operator \"EQ\"" },
		{ RULE("\"names\":[\"read\"],\"action\":\"SCMP_ACT_ERRNO\","
		       "\"args\":[{\"index\":6,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]"),
			"index 0 to 5" },
		{ RULE("\"names\":[\"mseal\"],\"action\":\"SCMP_ACT_ERRNO\","
		       "\"args\":[{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]"),
			"mseal is newer" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct seccomp_bpf bpf;
		struct error err;

		assert_true(compile_text(cases[i].text, &bpf, &err) < 0);
		assert_null(bpf.filter);
		if (!strstr(err.message, cases[i].part)) {
			fail_msg("\"%s\" does not say \"%s\"", err.message, cases[i].part);
		}
	}
}

/* Runs @call in a child under @program; what it returns (below 200) comes back. */
static int under_filter(const struct seccomp_program *program, int (*call)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (seccomp_install(program) < 0) {
			_exit(250);
		}
		_exit(call());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		return 1000 + WTERMSIG(status);
	}
	return WEXITSTATUS(status);
}

static const struct {
	const char *name;
	long nr, arg0;
	int expected; /* errno; -1: anything but EPERM and ENOSYS */
} real_calls[] = {
	{ "getpid", SYS_getpid, 0, 0 },
	{ "mount", SYS_mount, 0, EPERM },
	{ "umount2", SYS_umount2, 0, EPERM },
	{ "unshare", SYS_unshare, 0, EPERM },
	{ "setns", SYS_setns, -1, EPERM },
	{ "clone3", SYS_clone3, 0, ENOSYS },
	{ "clone(CLONE_NEWUSER)", SYS_clone, CLONE_NEWUSER, EPERM },
	{ "socket(AF_UNIX)", SYS_socket, AF_UNIX, -1 },
	{ "socket(AF_ALG)", SYS_socket, AF_ALG, EPERM },
	{ "socket(AF_VSOCK)", SYS_socket, AF_VSOCK, EPERM },
	{ "personality(query)", SYS_personality, 0xffffffff, 0 },
	{ "personality(ADDR_NO_RANDOMIZE)", SYS_personality, ADDR_NO_RANDOMIZE, EPERM },
	{ "io_uring_setup", SYS_io_uring_setup, 0, EPERM },
	{ "keyctl", SYS_keyctl, 0, EPERM },
	{ "add_key", SYS_add_key, 0, EPERM },
	{ "bpf", SYS_bpf, -1, EPERM },
	{ "perf_event_open", SYS_perf_event_open, 0, EPERM },
	{ "userfaultfd", SYS_userfaultfd, 0, EPERM },
	{ "open_by_handle_at", SYS_open_by_handle_at, -1, EPERM },
	{ "open_tree", SYS_open_tree, -1, EPERM },
	{ "kexec_load", SYS_kexec_load, 0, EPERM },
	{ "chroot", SYS_chroot, 0, EFAULT },
	{ "a call of the future", 600, 0, ENOSYS },
};

static size_t current_call;

static int make_current_call(void)
{
	long r = syscall(real_calls[current_call].nr, real_calls[current_call].arg0, 0, 0, 0, 0, 0);

	return r < 0 ? errno : 0;
}

static void a_real_process_gets_these_answers(void **state)
{
	struct seccomp_program program;

	(void)state;
	assert_int_equal(seccomp_default(DOCKER_DEFAULT_CAPS, NULL, &program, NULL), 0);
	assert_ptr_equal(program.filter, seccomp_default_filter);
	for (current_call = 0; current_call < ARRAY_SIZE(real_calls); current_call++) {
		int result = under_filter(&program, make_current_call);
		int expected = real_calls[current_call].expected;

		if (expected >= 0 ? result != expected : result == EPERM || result == ENOSYS) {
			fail_msg("%s: %d instead of %d", real_calls[current_call].name, result,
				expected);
		}
	}
	seccomp_program_finish(&program);
}

#ifdef __x86_64__
static int call_int80(int nr)
{
	int result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(nr), "b"(0), "c"(0), "d"(0), "S"(0), "D"(0)
			 : "memory", "r8", "r9", "r10", "r11");
	return result;
}

static int int80_works(void)
{
	return call_int80(20) > 0 ? 0 : 1;
}

static int int80_mount(void)
{
	return -call_int80(21);
}

static int int80_future(void)
{
	return -call_int80(600) == ENOSYS && -call_int80(435) == ENOSYS ? 0 : 1;
}

static void the_32_bit_entry_is_no_way_around(void **state)
{
	struct seccomp_program program, none = { 0 };

	(void)state;
	if (under_filter(&none, int80_works) != 0) {
		skip(); /* a kernel without it has nothing to filter */
	}
	assert_int_equal(seccomp_default(DOCKER_DEFAULT_CAPS, NULL, &program, NULL), 0);
	assert_int_equal(under_filter(&program, int80_works), 0);
	assert_int_equal(under_filter(&program, int80_mount), EPERM);
	assert_int_equal(under_filter(&program, int80_future), 0);
}
#endif

static void a_fault_at_install_is_reported(void **state)
{
	struct seccomp_program program = { .filter = seccomp_default_filter,
		.length = seccomp_default_length };

	(void)state;
	sys_fault_arm("seccomp", 1, EFAULT);
	assert_int_equal(seccomp_install(&program), -EFAULT);
	sys_fault_disarm();
}

static void capabilities_that_no_rule_looks_at_share_the_prebuilt_program(void **state)
{
	struct seccomp_program program;
	uint64_t net_admin = UINT64_C(1) << 12;

	(void)state;
	assert_int_equal(seccomp_default(DOCKER_DEFAULT_CAPS | net_admin, NULL, &program, NULL), 0);
	assert_ptr_equal(program.filter, seccomp_default_filter);
	seccomp_program_finish(&program);
	assert_int_equal(seccomp_default(DOCKER_DEFAULT_CAPS | SYS_ADMIN, NULL, &program, NULL), 0);
	assert_ptr_not_equal(program.filter, seccomp_default_filter);
	assert_int_equal(verdict(program.filter, program.length,
				 (struct seccomp_data){ .arch = NATIVE, .nr = SYS_mount }),
		ALLOW);
	seccomp_program_finish(&program);
	assert_null(program.filter);
}

/* A cache folder of the test's own. */
struct cache {
	char base[64];
	char folder[96];
	char file[256]; /* the one entry, once it is there */
};

static int cache_setup(void **state)
{
	struct cache *c = xcalloc(1, sizeof(*c));

	snprintf(c->base, sizeof(c->base), "/tmp/seccomp-test-XXXXXX");
	assert_non_null(mkdtemp(c->base));
	snprintf(c->folder, sizeof(c->folder), "%s/a/cache", c->base);
	*state = c;
	return 0;
}

static int cache_teardown(void **state)
{
	struct cache *c = *state;

	assert_int_equal(file_remove_tree(AT_FDCWD, c->base), 0);
	free(c);
	return 0;
}

#define SOME_KEY "policy of a test"

static void cache_fill(struct cache *c)
{
	struct seccomp_bpf bpf = { .filter = (struct sock_filter *)seccomp_default_filter,
		.length = seccomp_default_length,
		.flags = 4 };

	seccomp_cache_write(c->folder, SOME_KEY, sizeof(SOME_KEY), &bpf);
	snprintf(c->file, sizeof(c->file), "%s/%016llx.bpf", c->folder,
		(unsigned long long)hash_quick(SOME_KEY, sizeof(SOME_KEY)));
	assert_int_equal(access(c->file, F_OK), 0);
}

static bool cache_hit(const struct cache *c)
{
	struct seccomp_bpf bpf;
	bool hit = seccomp_cache_read(c->folder, SOME_KEY, sizeof(SOME_KEY), &bpf);

	if (hit) {
		assert_int_equal(bpf.length, seccomp_default_length);
		assert_int_equal(bpf.flags, 4);
		assert_memory_equal(bpf.filter, seccomp_default_filter,
			bpf.length * sizeof(struct sock_filter));
		free(bpf.filter);
	}
	return hit;
}

static void what_was_kept_is_read_back(void **state)
{
	struct cache *c = *state;
	struct seccomp_bpf bpf;
	struct stat st;

	assert_false(cache_hit(c));
	cache_fill(c);
	assert_true(cache_hit(c));
	assert_int_equal(stat(c->file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(c->folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_false(seccomp_cache_read(c->folder, "other", sizeof("other"), &bpf));
}

static void one_changed_byte_anywhere_is_not_believed(void **state)
{
	struct cache *c = *state;
	struct stat st;
	int fd;

	cache_fill(c);
	assert_int_equal(stat(c->file, &st), 0);
	fd = open(c->file, O_RDWR);
	for (off_t at = 0; at < st.st_size; at += at < 128 ? 1 : 97) {
		unsigned char byte, changed;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		changed = byte ^ 0x10;
		assert_int_equal(pwrite(fd, &changed, 1, at), 1);
		if (cache_hit(c)) {
			fail_msg("byte %ld was changed unnoticed", (long)at);
		}
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	assert_true(cache_hit(c));
	assert_int_equal(ftruncate(fd, st.st_size - 8), 0);
	assert_false(cache_hit(c));
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_false(cache_hit(c));
	close(fd);
	cache_fill(c);
	assert_true(cache_hit(c));
}

static void anothers_key_under_the_same_name_is_not_believed(void **state)
{
	struct cache *c = *state;
	char other[256];

	cache_fill(c);
	snprintf(other, sizeof(other), "%s/%016llx.bpf", c->folder,
		(unsigned long long)hash_quick("other", sizeof("other")));
	assert_int_equal(rename(c->file, other), 0);
	assert_false(seccomp_cache_read(
		c->folder, "other", sizeof("other"), &(struct seccomp_bpf){ 0 }));
}

static void files_and_folders_that_others_could_write_are_not_believed(void **state)
{
	struct cache *c = *state;
	char link[300];

	cache_fill(c);
	assert_int_equal(chmod(c->file, 0644), 0);
	assert_false(cache_hit(c));
	assert_int_equal(chmod(c->file, 0600), 0);
	snprintf(link, sizeof(link), "%s.link", c->file);
	assert_int_equal(rename(c->file, link), 0);
	assert_int_equal(symlink(link, c->file), 0);
	assert_false(cache_hit(c));
	assert_int_equal(unlink(c->file), 0);
	assert_int_equal(rename(link, c->file), 0);
	assert_true(cache_hit(c));
	assert_int_equal(chmod(c->folder, 0770), 0);
	assert_false(cache_hit(c));
	assert_int_equal(chmod(c->folder, 0700), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(c->file, 1, 0), 0);
		assert_false(cache_hit(c));
		assert_int_equal(chown(c->file, 0, 0), 0);
		assert_int_equal(chown(c->folder, 1, 0), 0);
		assert_false(cache_hit(c));
		assert_int_equal(chown(c->folder, 0, 0), 0);
	}
	assert_true(cache_hit(c));
	assert_int_equal(unlink(c->file), 0);
	assert_int_equal(mkfifo(c->file, 0600), 0);
	assert_false(cache_hit(c));
}

static void a_policy_is_compiled_once(void **state)
{
	_cleanup_json_ json_t *policy = docker_seccomp(SYS_ADMIN, docker_seccomp_kernel());
	struct cache *c = *state;
	struct seccomp_program first, second;

	assert_int_equal(seccomp_compile(policy, c->folder, &first, NULL), 0);
	/* The second time nothing is compiled: without a memfd libseccomp could give no program. */
	sys_fault_arm("memfd_create", 1, EMFILE);
	assert_int_equal(seccomp_compile(policy, c->folder, &second, NULL), 0);
	assert_true(sys_fault_armed);
	sys_fault_disarm();
	assert_int_equal(first.length, second.length);
	assert_int_equal(first.flags, second.flags);
	assert_memory_equal(first.filter, second.filter, first.length * sizeof(struct sock_filter));
	seccomp_program_finish(&first);
	seccomp_program_finish(&second);
}

static void a_cache_that_cannot_be_written_costs_only_time(void **state)
{
	static const char *const calls[] = { "openat", "mkdirat", "renameat2", "write" };
	_cleanup_json_ json_t *policy = docker_seccomp(0, docker_seccomp_kernel());
	struct cache *c = *state;

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		struct seccomp_program program;

		sys_fault_arm(calls[i], 1, EROFS);
		assert_int_equal(seccomp_compile(policy, c->folder, &program, NULL), 0);
		sys_fault_disarm();
		assert_true(program.length > 0);
		seccomp_program_finish(&program);
		file_remove_tree(AT_FDCWD, c->folder);
	}
}

static void programs_that_leave_themselves_are_invalid(void **state)
{
	struct sock_filter ret = { BPF_RET | BPF_K, 0, 0, ALLOW };
	struct sock_filter past[] = { { BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0 }, ret };
	struct sock_filter far[] = { { BPF_JMP | BPF_JA, 0, 0, 1 }, ret };
	struct sock_filter load[] = { { BPF_LD | BPF_W | BPF_ABS, 0, 0, 64 }, ret };
	struct sock_filter odd[] = { { BPF_LD | BPF_W | BPF_ABS, 0, 0, 2 }, ret };
	struct sock_filter store[] = { { BPF_ST, 0, 0, 0 }, ret };

	(void)state;
	assert_true(seccomp_bpf_valid(&ret, 1));
	assert_false(seccomp_bpf_valid(&ret, 0));
	assert_false(seccomp_bpf_valid(past, 2));
	assert_false(seccomp_bpf_valid(far, 2));
	assert_false(seccomp_bpf_valid(load, 2));
	assert_false(seccomp_bpf_valid(odd, 2));
	assert_false(seccomp_bpf_valid(store, 2));
	assert_false(seccomp_bpf_valid(past, 1));
}

#define CACHE_TEST(name) cmocka_unit_test_setup_teardown(name, cache_setup, cache_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_prebuilt_program_is_valid),
		cmocka_unit_test(every_native_call_gets_the_verdict_of_the_list),
		cmocka_unit_test(calls_newer_than_the_library_are_known_by_number),
		cmocka_unit_test(arguments_decide_where_the_policy_says_so),
#ifdef __x86_64__
		cmocka_unit_test(foreign_architectures_have_their_own_numbers),
		cmocka_unit_test(the_32_bit_entry_is_no_way_around),
#endif
		cmocka_unit_test(policies_of_others_are_compiled_as_written),
		cmocka_unit_test(what_cannot_be_compiled_is_refused),
		cmocka_unit_test(a_real_process_gets_these_answers),
		cmocka_unit_test(a_fault_at_install_is_reported),
		cmocka_unit_test(capabilities_that_no_rule_looks_at_share_the_prebuilt_program),
		cmocka_unit_test(programs_that_leave_themselves_are_invalid),
		CACHE_TEST(what_was_kept_is_read_back),
		CACHE_TEST(one_changed_byte_anywhere_is_not_believed),
		CACHE_TEST(anothers_key_under_the_same_name_is_not_believed),
		CACHE_TEST(files_and_folders_that_others_could_write_are_not_believed),
		CACHE_TEST(a_policy_is_compiled_once),
		CACHE_TEST(a_cache_that_cannot_be_written_costs_only_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
