#include "rootfs-tools/image/command.h"

#include <errno.h>

#include "specs/image_name.h"

int command_parse(const char *synopsis, const struct option_row *rows, void *target, int argc,
	char **argv, size_t min, size_t max, struct strv *words, struct error *err)
{
	int r = options_parse(rows, target, argc, argv, words, err);

	if (r == 1) {
		printf("Usage: wherry image %s\n", synopsis);
		if (rows->name) {
			printf("\nOptions:\n");
			options_print(rows);
		}
		return 1;
	}
	if (r == 0 && (words->count < min || words->count > max)) {
		error_say(err, EINVAL, "usage: wherry image %s", synopsis);
		return error_exit_status(err, 2);
	}
	return r;
}

char *command_image_name(const char *text, struct error *err)
{
	struct image_name name;

	if (image_name_parse(text, &name, err) < 0) {
		return NULL;
	}
	if (name.digest[0]) {
		error_say(
			err, EINVAL, "%s: a name with a digest cannot be given to an image", text);
		return NULL;
	}
	return image_name_canonical(&name);
}
