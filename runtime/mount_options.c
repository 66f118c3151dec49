#include "runtime/mount_options.h"

#include <errno.h>

#include "base/sys.h"

enum word_kind { ATTRIBUTE, PROPAGATION, BIND, FILL, NOTHING };

struct word {
	const char *name;
	enum word_kind kind;
	bool recursive;
	uint64_t set, clear;
};

static const struct word words[] = {
	{ "ro", ATTRIBUTE, false, MOUNT_ATTR_RDONLY, 0 },
	{ "rw", ATTRIBUTE, false, 0, MOUNT_ATTR_RDONLY },
	{ "rro", ATTRIBUTE, true, MOUNT_ATTR_RDONLY, 0 },
	{ "rrw", ATTRIBUTE, true, 0, MOUNT_ATTR_RDONLY },
	{ "nosuid", ATTRIBUTE, false, MOUNT_ATTR_NOSUID, 0 },
	{ "suid", ATTRIBUTE, false, 0, MOUNT_ATTR_NOSUID },
	{ "nodev", ATTRIBUTE, false, MOUNT_ATTR_NODEV, 0 },
	{ "dev", ATTRIBUTE, false, 0, MOUNT_ATTR_NODEV },
	{ "noexec", ATTRIBUTE, false, MOUNT_ATTR_NOEXEC, 0 },
	{ "exec", ATTRIBUTE, false, 0, MOUNT_ATTR_NOEXEC },
	{ "nodiratime", ATTRIBUTE, false, MOUNT_ATTR_NODIRATIME, 0 },
	{ "diratime", ATTRIBUTE, false, 0, MOUNT_ATTR_NODIRATIME },
	{ "noatime", ATTRIBUTE, false, MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME },
	{ "relatime", ATTRIBUTE, false, MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME },
	{ "atime", ATTRIBUTE, false, MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME },
	{ "strictatime", ATTRIBUTE, false, MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME },
	{ "nosymfollow", ATTRIBUTE, false, MOUNT_ATTR_NOSYMFOLLOW, 0 },
	{ "private", PROPAGATION, false, MS_PRIVATE, 0 },
	{ "rprivate", PROPAGATION, true, MS_PRIVATE, 0 },
	{ "slave", PROPAGATION, false, MS_SLAVE, 0 },
	{ "rslave", PROPAGATION, true, MS_SLAVE, 0 },
	{ "shared", PROPAGATION, false, MS_SHARED, 0 },
	{ "rshared", PROPAGATION, true, MS_SHARED, 0 },
	{ "unbindable", PROPAGATION, false, MS_UNBINDABLE, 0 },
	{ "runbindable", PROPAGATION, true, MS_UNBINDABLE, 0 },
	{ "bind", BIND, false, 0, 0 },
	{ "rbind", BIND, true, 0, 0 },
	{ "x-wherry.fill", FILL, false, 0, 0 },
	{ "defaults", NOTHING, false, 0, 0 },
	/* Every devpts is a new instance since Linux 4.7. */
	{ "newinstance", NOTHING, false, 0, 0 },
	/* SELinux labels of docker; there is no SELinux policy of ours to label for. */
	{ "z", NOTHING, false, 0, 0 },
	{ "Z", NOTHING, false, 0, 0 },
};

static const struct word *find_word(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(words[i].name, name) == 0) {
			return &words[i];
		}
	}
	return NULL;
}

static void apply_word(struct mount_options *o, const struct word *word)
{
	switch (word->kind) {
	case ATTRIBUTE:
		/* The last of two that contradict each other wins, as with mount(8). */
		o->set = (o->set & ~word->clear) | word->set;
		o->clear = (o->clear & ~word->set) | word->clear;
		o->recursive_attributes |= word->recursive;
		break;
	case PROPAGATION:
		o->propagation = word->set;
		o->recursive_propagation = word->recursive;
		break;
	case BIND:
		o->bind = true;
		o->recursive |= word->recursive;
		break;
	case FILL: o->fill = true; break;
	case NOTHING: break;
	}
}

int mount_options_parse(
	const struct oci_mount *mount, struct mount_options *options, struct error *err)
{
	*options =
		(struct mount_options){ .bind = !mount->type || strcmp(mount->type, "bind") == 0 ||
						strcmp(mount->type, "none") == 0 };
	for (size_t i = 0; i < mount->option_count; i++) {
		const struct word *word = find_word(mount->options[i]);

		if (word) {
			apply_word(options, word);
			continue;
		}
		if (options->data_count == MOUNT_DATA_LIMIT) {
			return error_say(
				err, E2BIG, "mount %s: too many options", mount->destination);
		}
		options->data[options->data_count++] = mount->options[i];
	}
	if (options->bind && options->data_count > 0) {
		return error_say(err, EINVAL, "mount %s: a bind mount has no option \"%s\"",
			mount->destination, options->data[0]);
	}
	/* As docker since 25: read-only means read-only all the way down. */
	if (options->recursive && (options->set & MOUNT_ATTR_RDONLY)) {
		options->recursive_attributes = true;
	}
	return 0;
}
