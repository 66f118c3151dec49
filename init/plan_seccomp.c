/*
 * A seccomp profile as docker writes it, to what an OCI configuration holds: conditions on
 * capabilities, architecture and kernel are decided here, once, for the container and machine at
 * hand. A profile that is in the OCI form already comes out as it went in.
 */
#include <errno.h>
#include <linux/version.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "base/json.h"
#include "init/plan_private.h"
#include "specs/docker_defaults.h"

struct profile_context {
	uint64_t bounding;
	unsigned kernel;
};

static unsigned running_kernel(void)
{
	struct utsname name;
	unsigned major_number, minor_number;

	if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &major_number, &minor_number) != 2) {
		return 0;
	}
	return KERNEL_VERSION(major_number, minor_number, 0);
}

static bool has_cap(const struct profile_context *context, const char *name)
{
	int number = name ? capability_from_name(name) : -EINVAL;

	return number >= 0 && (context->bounding >> number & 1);
}

static bool names_our_architecture(const json_t *list)
{
	size_t index;
	json_t *value;

	json_array_foreach(list, index, value)
	{
		const char *name = json_string_value(value);

		if (name && strcmp(name, store_architecture()) == 0) {
			return true;
		}
	}
	return false;
}

static bool caps_are_included(const struct profile_context *context, const json_t *list)
{
	size_t index;
	json_t *value;

	json_array_foreach(list, index, value)
	{
		if (!has_cap(context, json_string_value(value))) {
			return false;
		}
	}
	return true;
}

static bool a_cap_is_excluded(const struct profile_context *context, const json_t *list)
{
	size_t index;
	json_t *value;

	json_array_foreach(list, index, value)
	{
		if (has_cap(context, json_string_value(value))) {
			return true;
		}
	}
	return false;
}

static bool kernel_is_at_least(const struct profile_context *context, const char *minimum)
{
	unsigned major_number, minor_number;

	return sscanf(minimum, "%u.%u", &major_number, &minor_number) == 2 &&
	       context->kernel >= KERNEL_VERSION(major_number, minor_number, 0);
}

/* Whether an entry of the profile holds here. */
static bool applies(const struct profile_context *context, const json_t *entry)
{
	const json_t *includes = json_object_get(entry, "includes");
	const json_t *excludes = json_object_get(entry, "excludes");
	const json_t *arches = json_object_get(includes, "arches");
	const char *kernel = json_text(includes, "minKernel", NULL);
	const char *past = json_text(excludes, "minKernel", NULL);

	return (json_array_size(arches) == 0 || names_our_architecture(arches)) &&
	       !names_our_architecture(json_object_get(excludes, "arches")) &&
	       caps_are_included(context, json_object_get(includes, "caps")) &&
	       !a_cap_is_excluded(context, json_object_get(excludes, "caps")) &&
	       (!kernel || kernel_is_at_least(context, kernel)) &&
	       (!past || !kernel_is_at_least(context, past));
}

/* docker's archMap: the architectures that come with this machine's. */
static json_t *architectures(const json_t *profile)
{
	static const char *const native[][2] = { { "amd64", "SCMP_ARCH_X86_64" },
		{ "arm64", "SCMP_ARCH_AARCH64" } };
	json_t *result = json_array(), *entry, *sub;
	size_t index, i;

	json_array_foreach(json_object_get(profile, "archMap"), index, entry)
	{
		const char *name = json_text(entry, "architecture", "");
		bool ours = false;

		for (size_t n = 0; n < ARRAY_SIZE(native); n++) {
			ours |= strcmp(native[n][0], store_architecture()) == 0 &&
				strcmp(native[n][1], name) == 0;
		}
		if (!ours) {
			continue;
		}
		json_array_append_new(result, json_string(name));
		json_array_foreach(json_object_get(entry, "subArchitectures"), i, sub)
		{
			json_array_append(result, sub);
		}
	}
	return result;
}

static int add_rule(json_t *rules, const json_t *entry, struct error *err)
{
	static const char *const members[] = { "names", "action", "errnoRet", "args" };
	json_t *rule = json_object();
	const char *name = json_text(entry, "name", NULL);

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		json_t *value = json_object_get(entry, members[i]);

		if (value && !json_is_null(value)) {
			json_object_set(rule, members[i], value);
		}
	}
	/* docker's first profiles had one name for each entry. */
	if (name && !json_object_get(rule, "names")) {
		json_put(rule, "names", json_pack("[s]", name));
	}
	json_array_append_new(rules, rule);
	if (!json_is_array(json_object_get(rule, "names")) || !json_text(rule, "action", NULL)) {
		return error_say(err, EINVAL, "an entry has no names or no action");
	}
	return 0;
}

json_t *plan_seccomp_profile(const json_t *profile, uint64_t bounding, struct error *err)
{
	static const char *const kept[] = { "defaultAction", "defaultErrnoRet", "architectures",
		"flags", "listenerPath", "listenerMetadata" };
	struct profile_context context = { .bounding = bounding, .kernel = running_kernel() };
	_cleanup_json_ json_t *result = json_object();
	json_t *rules = json_array(), *entry;
	size_t index;

	json_put(result, "syscalls", rules);
	if (!json_text(profile, "defaultAction", NULL)) {
		error_say(err, EINVAL, "no \"defaultAction\"");
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		json_t *value = json_object_get(profile, kept[i]);

		if (value && !json_is_null(value)) {
			json_object_set(result, kept[i], value);
		}
	}
	if (json_array_size(json_object_get(profile, "archMap"))) {
		json_put(result, "architectures", architectures(profile));
	}
	json_array_foreach(json_object_get(profile, "syscalls"), index, entry)
	{
		if (applies(&context, entry) && add_rule(rules, entry, err) < 0) {
			return NULL;
		}
	}
	return take_ptr(result);
}
