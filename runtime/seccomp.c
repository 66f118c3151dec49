#include "runtime/seccomp.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <linux/version.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/seccomp_cache.h"
#include "runtime/seccomp_prebuilt.h"
#include "specs/docker_defaults.h"
#include "specs/seccomp_bpf.h"

/* What every key begins with: another library or another version of ours may compile to something
 * else, and a cache may be shared by machines over a network file system. */
static void key_start(struct str *key, const struct utsname *machine)
{
	char library[32];

	seccomp_bpf_library(library, sizeof(library));
	str_addf(key, "wherry %s\nlibseccomp %s\n%s\n", WHERRY_VERSION, library, machine->machine);
}

static void program_adopt(struct seccomp_program *program, struct seccomp_bpf *bpf)
{
	*program = (struct seccomp_program){ .filter = bpf->filter,
		.length = bpf->length,
		.flags = bpf->flags,
		.owned = bpf->filter };
}

/* Compiles @policy and keeps the result where a folder for it was named. */
static int compile(const json_t *policy, const char *cache_dir, const struct str *key,
	struct seccomp_program *program, struct error *err)
{
	struct seccomp_bpf bpf;
	int r = seccomp_bpf_compile(policy, &bpf, err);

	if (r < 0) {
		return r;
	}
	if (cache_dir) {
		seccomp_cache_write(cache_dir, key->data, key->size, &bpf);
	}
	program_adopt(program, &bpf);
	return 0;
}

static unsigned kernel_version(const struct utsname *machine)
{
	unsigned major = 0, minor = 0;

	/* A release that cannot be read counts as the oldest: the stricter policy. */
	if (sscanf(machine->release, "%u.%u", &major, &minor) != 2) {
		return 0;
	}
	return KERNEL_VERSION(major, minor, 0);
}

int seccomp_default(uint64_t bounding, const char *cache_dir, struct seccomp_program *program,
	struct error *err)
{
	uint64_t relevant = bounding & docker_seccomp_capabilities();
	_cleanup_json_ json_t *policy = NULL;
	_cleanup_str_ struct str key = { 0 };
	struct utsname machine;
	struct seccomp_bpf bpf;
	unsigned kernel;

	*program = (struct seccomp_program){ 0 };
	uname(&machine);
	kernel = kernel_version(&machine);
	if (kernel >= docker_seccomp_kernel()) {
		/* Newer than any rule asks for: all these kernels share one program. */
		kernel = docker_seccomp_kernel();
		if (relevant == (DOCKER_DEFAULT_CAPS & docker_seccomp_capabilities())) {
			program->filter = seccomp_default_filter;
			program->length = seccomp_default_length;
			program->flags = seccomp_default_flags;
			return 0;
		}
	}
	key_start(&key, &machine);
	str_addf(&key, "docker %llx %x", (unsigned long long)relevant, kernel);
	if (cache_dir && seccomp_cache_read(cache_dir, key.data, key.size, &bpf)) {
		program_adopt(program, &bpf);
		return 0;
	}
	policy = docker_seccomp(bounding, kernel);
	return compile(policy, cache_dir, &key, program, err);
}

static int key_add(const char *text, size_t size, void *key)
{
	str_add_mem(key, text, size);
	return 0;
}

int seccomp_compile(const json_t *seccomp, const char *cache_dir, struct seccomp_program *program,
	struct error *err)
{
	_cleanup_str_ struct str key = { 0 };
	struct utsname machine;
	struct seccomp_bpf bpf;

	*program = (struct seccomp_program){ 0 };
	if (cache_dir) {
		uname(&machine);
		key_start(&key, &machine);
		str_add(&key, "policy ");
		if (json_dump_callback(seccomp, key_add, &key, JSON_COMPACT) < 0) {
			return error_say(err, EINVAL, "linux.seccomp cannot be printed");
		}
		if (seccomp_cache_read(cache_dir, key.data, key.size, &bpf)) {
			program_adopt(program, &bpf);
			return 0;
		}
	}
	return compile(seccomp, cache_dir, &key, program, err);
}

int seccomp_install(const struct seccomp_program *program)
{
	struct sock_fprog code = { .len = program->length,
		.filter = (struct sock_filter *)program->filter };
	unsigned flags = program->flags;
	long r;

	if (program->length == 0) {
		return 0;
	}
	SYS_GATE("seccomp");
	r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &code);
	if (r < 0 && errno == EINVAL && (flags & SECCOMP_FILTER_FLAG_SPEC_ALLOW)) {
		/* Before 4.17 the flag is unknown, and what it asks for is the only behaviour. */
		flags &= ~(unsigned)SECCOMP_FILTER_FLAG_SPEC_ALLOW;
		r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &code);
	}
	return r < 0 ? -errno : 0;
}

void seccomp_program_finish(struct seccomp_program *program)
{
	free(program->owned);
	*program = (struct seccomp_program){ 0 };
}
