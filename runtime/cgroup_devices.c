/*
 * Device rules. v1 has two files that take one rule a write; v2 has none, and a small BPF program
 * decides instead (BPF_PROG_TYPE_CGROUP_DEVICE). The last rule that matches wins in both.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/sys.h"
#include "runtime/cgroup_internal.h"

#define RULE_LIMIT   400 /* nine instructions each at most, below the kernel's 4096 */
#define INSTRUCTIONS ((size_t)RULE_LIMIT * 9 + 8)

static void rule_number(char *out, size_t size, int64_t number)
{
	if (number < 0) {
		snprintf(out, size, "*");
	} else {
		snprintf(out, size, "%lld", (long long)number);
	}
}

static int v1_apply(int dir, const struct oci_resources *resources, const char **file)
{
	_cleanup_fd_ int deny = sys_openat(dir, *file = "devices.deny", O_WRONLY, 0);
	_cleanup_fd_ int allow = -EBADF;

	if (deny < 0) {
		return deny;
	}
	allow = sys_openat(dir, *file = "devices.allow", O_WRONLY, 0);
	if (allow < 0) {
		return allow;
	}
	for (size_t i = 0; i < resources->device_count; i++) {
		const struct oci_device_rule *rule = &resources->devices[i];
		char text[80], major[24], minor[24];
		ssize_t n;

		rule_number(major, sizeof(major), rule->major);
		rule_number(minor, sizeof(minor), rule->minor);
		if (rule->type == 'a') {
			snprintf(text, sizeof(text), "a");
		} else {
			snprintf(text, sizeof(text), "%c %s:%s %s%s%s", rule->type, major, minor,
				rule->read ? "r" : "", rule->write ? "w" : "",
				rule->mknod ? "m" : "");
		}
		*file = rule->allow ? "devices.allow" : "devices.deny";
		n = sys_write(rule->allow ? allow : deny, text, strlen(text));
		if (n < 0) {
			return (int)n;
		}
	}
	return 0;
}

struct program {
	struct bpf_insn code[INSTRUCTIONS];
	size_t count;
};

static void emit(
	struct program *p, uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	p->code[p->count++] = (struct bpf_insn){
		.code = code, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm
	};
}

/* What one rule needs, each test leaping over the rest of the rule. Registers: r2 the access asked
 * for, r3 the type, r4 major, r5 minor, r1 free (the context has been read). */
static void emit_rule(struct program *p, const struct oci_device_rule *rule)
{
	size_t leaps[4], leap_count = 0;
	int32_t access = (rule->mknod ? BPF_DEVCG_ACC_MKNOD : 0) |
			 (rule->read ? BPF_DEVCG_ACC_READ : 0) |
			 (rule->write ? BPF_DEVCG_ACC_WRITE : 0);
	int32_t all = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

	if (rule->type != 'a') {
		leaps[leap_count++] = p->count;
		emit(p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_3, 0, 0,
			rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
		if (access != all) {
			emit(p, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_2, 0, 0);
			emit(p, BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_1, 0, 0, access);
			leaps[leap_count++] = p->count;
			/* Allowing needs every right that is asked for; denying any of them. */
			if (rule->allow) {
				emit(p, BPF_JMP | BPF_JNE | BPF_X, BPF_REG_1, BPF_REG_2, 0, 0);
			} else {
				emit(p, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_1, 0, 0, 0);
			}
		}
		if (rule->major >= 0) {
			leaps[leap_count++] = p->count;
			emit(p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_4, 0, 0, (int32_t)rule->major);
		}
		if (rule->minor >= 0) {
			leaps[leap_count++] = p->count;
			emit(p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_5, 0, 0, (int32_t)rule->minor);
		}
	}
	emit(p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, rule->allow);
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	for (size_t i = 0; i < leap_count; i++) {
		p->code[leaps[i]].off = (int16_t)(p->count - leaps[i] - 1);
	}
}

static void emit_all(struct program *p, const struct oci_resources *resources)
{
	emit(p, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1, 0, 0);
	emit(p, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_2, 0, 0);
	emit(p, BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_3, 0, 0, 0xffff);
	emit(p, BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_2, 0, 0, 16);
	emit(p, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_4, BPF_REG_1, 4, 0);
	emit(p, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_5, BPF_REG_1, 8, 0);
	for (size_t i = resources->device_count; i > 0; i--) {
		emit_rule(p, &resources->devices[i - 1]);
		if (resources->devices[i - 1].type == 'a') {
			return; /* it matches everything; what stands before it says nothing */
		}
	}
	emit(p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0);
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static int bpf(int command, union bpf_attr *attr)
{
	long r;

	SYS_GATE("bpf");
	r = syscall(SYS_bpf, command, attr, sizeof(*attr));
	return r < 0 ? -errno : (int)r;
}

static int v2_apply(int dir, const struct oci_resources *resources)
{
	_cleanup_free_ struct program *p = xcalloc(1, sizeof(*p));
	union bpf_attr load = { .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE };
	union bpf_attr attach = { .attach_type = BPF_CGROUP_DEVICE };
	_cleanup_fd_ int fd = -EBADF;

	if (resources->device_count > RULE_LIMIT) {
		return -E2BIG;
	}
	emit_all(p, resources);
	load.insns = (uintptr_t)p->code;
	load.insn_cnt = (uint32_t)p->count;
	load.license = (uintptr_t) "GPL";
	fd = bpf(BPF_PROG_LOAD, &load);
	if (fd < 0) {
		return fd;
	}
	attach.target_fd = (uint32_t)dir;
	attach.attach_bpf_fd = (uint32_t)fd;
	attach.attach_flags = BPF_F_ALLOW_MULTI;
	return bpf(BPF_PROG_ATTACH, &attach);
}

int cgroup_devices_apply(const struct cgroup *cgroup, const struct oci_resources *resources,
	struct strv *warnings, struct error *err)
{
	const char *file = "a device program";
	bool unified;
	int dir, r;

	if (resources->device_count == 0) {
		return 0;
	}
	/* Where v1 owns devices, a program on the v2 tree would be a second, slower judge. */
	dir = cgroup_controller_fd(cgroup, CGROUP_DEVICES, &unified);
	if (dir >= 0) {
		r = v1_apply(dir, resources, &file);
	} else {
		dir = cgroup_unified_fd(cgroup);
		r = dir < 0 ? -ENOENT : v2_apply(dir, resources);
	}
	if (r == -ENOENT || r == -EROFS || r == -EACCES || r == -EPERM) {
		if (warnings) {
			strv_add(warnings, "device rules are not enforced: neither a devices "
					   "controller nor a device program can be used here");
		}
		return 0;
	}
	return r < 0 ? error_set(err, r, "set the device rules of the control group %s (%s)",
			       cgroup->path, file)
		     : 0;
}
