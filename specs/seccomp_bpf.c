#include "specs/seccomp_bpf.h"

#include <ctype.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>

#include "base/fd.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/sys.h"

#ifndef SECCOMP_FILTER_FLAG_SPEC_ALLOW
#define SECCOMP_FILTER_FLAG_SPEC_ALLOW 4
#endif

#define MAX_ARCHITECTURES 8
#define MAX_NEWER         32
/* Bit of the call number that marks x32 on an x86-64 kernel. */
#define X32_BIT 0x40000000

/* A call by number, for the prologue. */
struct newer_call {
	int number;
	bool x86_64_only;
	uint32_t action; /* SECCOMP_RET_* with its data */
};

struct compiler {
	scmp_filter_ctx context;
	uint32_t default_action;
	uint32_t architectures[MAX_ARCHITECTURES];
	int newest[MAX_ARCHITECTURES]; /* highest number that the policy names there */
	size_t architecture_count;
	struct newer_call newer[MAX_NEWER];
	size_t newer_count;
	struct error *err;
};

struct named {
	const char *name;
	uint32_t value;
};

static const struct named actions[] = {
	{ "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW },
	{ "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0) },
	{ "SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD },
	{ "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD },
	{ "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS },
	{ "SCMP_ACT_LOG", SCMP_ACT_LOG },
	{ "SCMP_ACT_TRACE", SCMP_ACT_TRACE(0) },
	{ "SCMP_ACT_TRAP", SCMP_ACT_TRAP },
	{ NULL, 0 },
};

static const struct named operators[] = {
	{ "SCMP_CMP_NE", SCMP_CMP_NE },
	{ "SCMP_CMP_LT", SCMP_CMP_LT },
	{ "SCMP_CMP_LE", SCMP_CMP_LE },
	{ "SCMP_CMP_EQ", SCMP_CMP_EQ },
	{ "SCMP_CMP_GE", SCMP_CMP_GE },
	{ "SCMP_CMP_GT", SCMP_CMP_GT },
	{ "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
	{ NULL, 0 },
};

/* TSYNC says nothing to a process with one thread. */
static const struct named flag_names[] = {
	{ "SECCOMP_FILTER_FLAG_TSYNC", 0 },
	{ "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG },
	{ "SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW },
	{ NULL, 0 },
};

/* Since 5.0 a new call has one number on every architecture; the library trails behind. */
static const struct {
	const char *name;
	int number;
	bool x86_64_only;
} newer_calls[] = {
	{ "uretprobe", 335, true },
	{ "cachestat", 451, false },
	{ "fchmodat2", 452, false },
	{ "map_shadow_stack", 453, false },
	{ "futex_wake", 454, false },
	{ "futex_wait", 455, false },
	{ "futex_requeue", 456, false },
	{ "statmount", 457, false },
	{ "listmount", 458, false },
	{ "lsm_get_self_attr", 459, false },
	{ "lsm_set_self_attr", 460, false },
	{ "lsm_list_modules", 461, false },
	{ "mseal", 462, false },
	{ "setxattrat", 463, false },
	{ "getxattrat", 464, false },
	{ "listxattrat", 465, false },
	{ "removexattrat", 466, false },
	{ "open_tree_attr", 467, false },
	{ "file_getattr", 468, false },
	{ "file_setattr", 469, false },
};

static int lookup(const struct named *table, const char *name, const char *what, uint32_t *value,
	struct error *e)
{
	for (; table->name; table++) {
		if (name && strcmp(name, table->name) == 0) {
			*value = table->value;
			return 0;
		}
	}
	return error_say(
		e, EINVAL, "%s \"%s\" is unknown or not supported", what, name ? name : "");
}

/* "action" with its errno, as libseccomp and the kernel write it (they are the same value). */
static int read_action(
	const json_t *name, const json_t *number, uint32_t *action, struct error *err)
{
	json_int_t data = EPERM;
	int r = lookup(actions, json_string_value(name), "action", action, err);

	if (r < 0) {
		return r;
	}
	if (json_is_integer(number)) {
		data = json_integer_value(number);
	} else if (number && !json_is_null(number)) {
		return error_say(err, EINVAL, "errnoRet is not an integer");
	}
	if (*action == SCMP_ACT_ERRNO(0) || *action == SCMP_ACT_TRACE(0)) {
		if (data < 0 || data > (*action == SCMP_ACT_ERRNO(0) ? 4095 : 65535)) {
			return error_say(
				err, ERANGE, "errnoRet %lld is out of range", (long long)data);
		}
		*action |= (uint32_t)data;
	}
	return 0;
}

static int add_architecture(struct compiler *c, uint32_t token)
{
	int r = seccomp_arch_add(c->context, token);

	if (r < 0 && r != -EEXIST) {
		return error_set(c->err, r, "add an architecture");
	}
	for (size_t i = 0; i < c->architecture_count; i++) {
		if (c->architectures[i] == token) {
			return 0;
		}
	}
	if (c->architecture_count == MAX_ARCHITECTURES) {
		return error_say(c->err, E2BIG, "architectures: too many");
	}
	c->newest[c->architecture_count] = -1;
	c->architectures[c->architecture_count++] = token;
	return 0;
}

static int add_architectures(struct compiler *c, const json_t *list)
{
	/* The library's context has the native one from the start; it also stays, whatever the
	 * policy lists, or nothing could run. */
	int r = add_architecture(c, seccomp_arch_native());

	for (size_t i = 0; r == 0 && i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));
		char lower[32] = "";
		uint32_t token = 0;

		if (name && strncmp(name, "SCMP_ARCH_", 10) == 0) {
			for (size_t n = 0; name[10 + n] && n + 1 < sizeof(lower); n++) {
				lower[n] = (char)tolower((unsigned char)name[10 + n]);
			}
			token = seccomp_arch_resolve_name(lower);
		}
		if (!token) {
			return error_say(c->err, EINVAL,
				"architectures[%zu]: unknown architecture \"%s\"", i,
				name ? name : "");
		}
		r = add_architecture(c, token);
	}
	return r;
}

/* Notes how far the policy knows each architecture's calls. */
static void note_newest(struct compiler *c, const char *name)
{
	for (size_t i = 0; i < c->architecture_count; i++) {
		int number = seccomp_syscall_resolve_name_arch(c->architectures[i], name);

		if (number > c->newest[i]) {
			c->newest[i] = number;
		}
	}
}

/* A name that the library does not know: by number into the prologue, or skipped. */
static int add_newer(struct compiler *c, const char *name, uint32_t action, bool conditional)
{
	size_t n = 0;

	while (n < ARRAY_SIZE(newer_calls) && strcmp(newer_calls[n].name, name) != 0) {
		n++;
	}
	if (n == ARRAY_SIZE(newer_calls)) {
		return 0;
	}
	if (conditional) {
		return error_say(c->err, EOPNOTSUPP,
			"%s is newer than the installed libseccomp; rules on its "
			"arguments are not supported",
			name);
	}
	for (size_t i = 0; i < c->newer_count; i++) {
		if (c->newer[i].number == newer_calls[n].number) {
			return c->newer[i].action == action
				       ? 0
				       : error_say(
						 c->err, EEXIST, "two rules for %s disagree", name);
		}
	}
	if (c->newer_count == MAX_NEWER) {
		return error_say(c->err, E2BIG, "too many rules by number");
	}
	c->newer[c->newer_count++] = (struct newer_call){ .number = newer_calls[n].number,
		.x86_64_only = newer_calls[n].x86_64_only,
		.action = action };
	for (size_t i = 0; !newer_calls[n].x86_64_only && i < c->architecture_count; i++) {
		if (newer_calls[n].number > c->newest[i]) {
			c->newest[i] = newer_calls[n].number;
		}
	}
	return 0;
}

#define MAX_ARGUMENTS 6

static int read_arguments(
	struct compiler *c, const json_t *list, struct scmp_arg_cmp *args, unsigned *count)
{
	*count = (unsigned)json_array_size(list);
	if (json_array_size(list) > MAX_ARGUMENTS) {
		return error_say(c->err, E2BIG, "more than six argument conditions");
	}
	for (unsigned i = 0; i < *count; i++) {
		const json_t *item = json_array_get(list, i);
		const json_t *value = json_object_get(item, "value");
		const json_t *two = json_object_get(item, "valueTwo");
		int64_t index = json_int(item, "index", -1);
		uint32_t op = 0;
		int r = lookup(operators, json_text(item, "op", NULL), "operator", &op, c->err);

		if (r < 0) {
			return r;
		}
		if (index < 0 || index >= MAX_ARGUMENTS || !json_is_integer(value) ||
			(two && !json_is_integer(two) && !json_is_null(two))) {
			return error_say(c->err, EINVAL,
				"an argument condition needs index 0 to 5 and an "
				"integer value");
		}
		args[i] = (struct scmp_arg_cmp){ .arg = (unsigned)index,
			.op = (enum scmp_compare)op,
			.datum_a = (uint64_t)json_integer_value(value),
			.datum_b = (uint64_t)json_integer_value(two) };
	}
	return 0;
}

static bool argument_repeated(const struct scmp_arg_cmp *args, unsigned count)
{
	unsigned seen = 0;

	for (unsigned i = 0; i < count; i++) {
		if (seen & (1U << args[i].arg)) {
			return true;
		}
		seen |= 1U << args[i].arg;
	}
	return false;
}

static int add_call(struct compiler *c, const char *name, uint32_t action,
	const struct scmp_arg_cmp *args, unsigned count)
{
	int number = seccomp_syscall_resolve_name(name), r = 0;

	if (number == __NR_SCMP_ERROR) {
		return add_newer(c, name, action, count > 0);
	}
	note_newest(c, name);
	if (argument_repeated(args, count)) {
		for (unsigned i = 0; r == 0 && i < count; i++) {
			r = seccomp_rule_add_array(c->context, action, number, 1, &args[i]);
		}
	} else {
		r = seccomp_rule_add_array(c->context, action, number, count, args);
	}
	return r < 0 ? error_set(c->err, r, "rule for %s", name) : 0;
}

static int add_rule(struct compiler *c, const json_t *rule, size_t index)
{
	const json_t *names = json_object_get(rule, "names");
	struct scmp_arg_cmp args[MAX_ARGUMENTS];
	uint32_t action = 0;
	unsigned count;
	int r = read_action(json_object_get(rule, "action"), json_object_get(rule, "errnoRet"),
		&action, c->err);

	if (r == 0 && json_array_size(names) == 0) {
		r = error_say(c->err, EINVAL, "names are missing");
	}
	if (r == 0) {
		r = read_arguments(c, json_object_get(rule, "args"), args, &count);
	}
	for (size_t i = 0; r == 0 && i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));

		if (!name) {
			r = error_say(c->err, EINVAL, "a name is not a string");
		} else if (action == c->default_action) {
			/* The library refuses a rule that changes nothing; but the policy knows it. */
			note_newest(c, name);
		} else {
			r = add_call(c, name, action, args, count);
		}
	}
	return r < 0 ? error_prefix(c->err, "syscalls[%zu]", index) : 0;
}

static int read_flags(const json_t *list, unsigned *flags, struct error *err)
{
	*flags = json_is_array(list) ? 0 : SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	for (size_t i = 0; i < json_array_size(list); i++) {
		uint32_t bit = 0;
		int r = lookup(
			flag_names, json_string_value(json_array_get(list, i)), "flag", &bit, err);

		if (r < 0) {
			return r;
		}
		*flags |= bit;
	}
	return 0;
}

/* The prologue under construction. */
struct prologue {
	struct sock_filter code[MAX_ARCHITECTURES * (4 + 3 * MAX_NEWER + 4)];
	size_t length;
};

static void emit(struct prologue *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	p->code[p->length++] = (struct sock_filter){ .code = code, .k = k, .jt = jt, .jf = jf };
}

static int by_number(const void *a, const void *b)
{
	return ((const struct newer_call *)a)->number - ((const struct newer_call *)b)->number;
}

/* One test for each run of neighbouring numbers with the same verdict. */
static void emit_newer(struct prologue *p, const struct compiler *c, uint32_t architecture)
{
	for (size_t i = 0; i < c->newer_count; i++) {
		size_t first = i;

		if (c->newer[i].x86_64_only && architecture != SCMP_ARCH_X86_64) {
			continue;
		}
		while (i + 1 < c->newer_count && c->newer[i + 1].number == c->newer[i].number + 1 &&
			c->newer[i + 1].action == c->newer[i].action) {
			i++;
		}
		emit(p, BPF_JMP | BPF_JGE | BPF_K, (uint32_t)c->newer[first].number, 0, 2);
		emit(p, BPF_JMP | BPF_JGT | BPF_K, (uint32_t)c->newer[i].number, 1, 0);
		emit(p, BPF_RET | BPF_K, c->newer[first].action, 0, 0);
	}
}

static void emit_architecture(struct prologue *p, const struct compiler *c, size_t index)
{
	uint32_t architecture = c->architectures[index];
	bool unknown_is_enosys = (c->default_action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO;
	size_t start = p->length, x32 = 0;

	emit(p, BPF_JMP | BPF_JEQ | BPF_K, architecture, 0, 0);
	emit(p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
	if (architecture == SCMP_ARCH_X86_64) {
		x32 = p->length;
		emit(p, BPF_JMP | BPF_JSET | BPF_K, X32_BIT, 0, 0);
	}
	emit_newer(p, c, architecture);
	if (unknown_is_enosys && c->newest[index] >= 0) {
		emit(p, BPF_JMP | BPF_JGT | BPF_K, (uint32_t)c->newest[index], 0, 1);
		emit(p, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS, 0, 0);
	}
	/* To the library's program, which loads the architecture again; patched at the end. */
	if (x32) {
		p->code[x32].jt = (uint8_t)(p->length - x32 - 1);
	}
	emit(p, BPF_JMP | BPF_JA, 0, 0, 0);
	p->code[start].jf = (uint8_t)(p->length - start - 1);
}

static void emit_prologue(struct prologue *p, struct compiler *c)
{
	qsort(c->newer, c->newer_count, sizeof(c->newer[0]), by_number);
	p->length = 0;
	emit(p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
	for (size_t i = 0; i < c->architecture_count; i++) {
		/* x32 is no audit architecture of its own, only a bit of the number. */
		if (c->architectures[i] != SCMP_ARCH_X32) {
			emit_architecture(p, c, i);
		}
	}
	for (size_t i = 0; i < p->length; i++) {
		if (p->code[i].code == (BPF_JMP | BPF_JA)) {
			p->code[i].k = (uint32_t)(p->length - i - 1);
		}
	}
}

/* The library writes its program to a descriptor only; it goes behind the prologue. */
static int export(struct compiler *c, struct seccomp_bpf *out)
{
	_cleanup_fd_ int fd = sys_memfd_create("seccomp", 0x1 /* MFD_CLOEXEC */);
	_cleanup_free_ struct prologue *prologue = xcalloc(1, sizeof(*prologue));
	_cleanup_free_ struct sock_filter *filter = NULL;
	struct stat st = { 0 };
	size_t size, head;
	int r = fd;

	if (r >= 0) {
		r = seccomp_export_bpf(c->context, fd);
	}
	if (r == 0) {
		r = sys_fstat(fd, &st);
	}
	if (r < 0) {
		return error_set(c->err, r, "build the program");
	}
	emit_prologue(prologue, c);
	head = prologue->length * sizeof(*filter);
	size = head + (size_t)st.st_size;
	if (size / sizeof(*filter) > BPF_MAXINSNS) {
		return error_say(c->err, E2BIG,
			"the policy needs %zu instructions, the kernel takes %d",
			size / sizeof(*filter), BPF_MAXINSNS);
	}
	filter = xcalloc(1, size);
	memcpy(filter, prologue->code, head);
	if (pread(fd, (char *)filter + head, size - head, 0) != (ssize_t)(size - head)) {
		return error_say(c->err, EIO, "the built program is torn");
	}
	out->length = (unsigned short)(size / sizeof(*filter));
	out->filter = take_ptr(filter);
	return 0;
}

static int compile(struct compiler *c, const json_t *policy, struct seccomp_bpf *out)
{
	const json_t *syscalls = json_object_get(policy, "syscalls"), *rule;
	size_t i;
	/* 2: a binary tree over the call numbers instead of a list. */
	int r = seccomp_attr_set(c->context, SCMP_FLTATR_CTL_OPTIMIZE, 2);

	if (r < 0) {
		return error_set(c->err, r, "set up libseccomp");
	}
	r = add_architectures(c, json_object_get(policy, "architectures"));
	json_array_foreach(syscalls, i, rule)
	{
		if (r < 0) {
			break;
		}
		r = add_rule(c, rule, i);
	}
	return r < 0 ? r : export(c, out);
}

static int compile_with_context(struct compiler *c, const json_t *policy, struct seccomp_bpf *out)
{
	int r;

	if (*json_text(policy, "listenerPath", "")) {
		return error_say(c->err, EOPNOTSUPP, "listenerPath is not supported");
	}
	r = read_flags(json_object_get(policy, "flags"), &out->flags, c->err);
	if (r == 0) {
		r = read_action(json_object_get(policy, "defaultAction"),
			json_object_get(policy, "defaultErrnoRet"), &c->default_action, c->err);
	}
	if (r < 0) {
		return r;
	}
	c->context = seccomp_init(c->default_action);
	if (!c->context) {
		return error_say(c->err, ENOMEM, "libseccomp cannot be set up");
	}
	r = compile(c, policy, out);
	seccomp_release(c->context);
	return r;
}

int seccomp_bpf_compile(const json_t *policy, struct seccomp_bpf *out, struct error *err)
{
	struct error none = ERROR_INIT;
	struct compiler c = { .err = err ? err : &none };
	int r;

	*out = (struct seccomp_bpf){ 0 };
	r = compile_with_context(&c, policy, out);
	return r < 0 ? error_prefix(c.err, "linux.seccomp") : 0;
}

/* Whether the jumps of @instruction at @index stay inside @length. */
static bool jump_valid(const struct sock_filter *instruction, size_t index, size_t length)
{
	size_t left = length - index - 1; /* instructions behind this one */

	if (BPF_OP(instruction->code) == BPF_JA) {
		return instruction->k < left;
	}
	return instruction->jt < left && instruction->jf < left;
}

bool seccomp_bpf_valid(const struct sock_filter *filter, size_t length)
{
	if (length == 0 || length > BPF_MAXINSNS || BPF_CLASS(filter[length - 1].code) != BPF_RET) {
		return false;
	}
	for (size_t i = 0; i < length; i++) {
		switch (filter[i].code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (filter[i].k % 4 != 0 || filter[i].k >= sizeof(struct seccomp_data)) {
				return false;
			}
			break;
		case BPF_JMP | BPF_JA:
		case BPF_JMP | BPF_JEQ | BPF_K:
		case BPF_JMP | BPF_JGE | BPF_K:
		case BPF_JMP | BPF_JGT | BPF_K:
		case BPF_JMP | BPF_JSET | BPF_K:
			if (!jump_valid(&filter[i], i, length)) {
				return false;
			}
			break;
		case BPF_ALU | BPF_AND | BPF_K:
		case BPF_RET | BPF_K: break;
		default: return false;
		}
	}
	return true;
}

void seccomp_bpf_library(char *out, size_t size)
{
	const struct scmp_version *version = seccomp_version();

	snprintf(out, size, "%u.%u.%u", version->major, version->minor, version->micro);
}
