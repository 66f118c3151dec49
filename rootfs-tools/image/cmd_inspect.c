#include <errno.h>

#include "base/dirs.h"
#include "base/fd.h"
#include "base/json.h"
#include "rootfs-tools/image/command.h"
#include "rootfs-tools/store.h"

static const struct option_row no_rows[] = { { 0 } };

/* docker's document in its main parts, with what only we have beside it. */
static json_t *describe(const struct store_image *image)
{
	json_t *config = image_config_print(&image->config), *object = json_object();
	json_t *names = json_array();

	if (!image_digest_valid(image->name)) {
		json_array_append_new(names, json_string(image->name));
	}
	json_put_text(object, "Id", image->id);
	json_put(object, "RepoTags", names);
	json_put_text(object, "ManifestDigest", image->manifest);
	json_put_text(object, "Created", image->config.created);
	json_put_text(object, "Architecture", image->config.architecture);
	json_put_text(object, "Os", image->config.os);
	json_put_int(object, "Size", image->size);
	json_put(object, "Config", json_incref(json_object_get(config, "config")));
	json_put(object, "RootFS", json_incref(json_object_get(config, "rootfs")));
	json_put(object, "Layers", json_from_strings(image->layers));
	json_decref(config);
	return object;
}

int command_inspect(int argc, char **argv, struct error *err)
{
	_cleanup_strv_ struct strv words = { 0 };
	_cleanup_json_ json_t *all = json_array();
	_cleanup_free_ char *text = NULL;
	const char *state;
	int r = command_parse("inspect IMAGE...", no_rows, NULL, argc, argv, 1, 1000, &words, err);

	if (r != 0) {
		return r;
	}
	state = dirs_state(err);
	if (!state) {
		return -err->code;
	}
	for (size_t i = 0; i < words.count; i++) {
		struct store_image image;

		r = store_image_find(state, words.items[i], &image, err);
		if (r < 0) {
			return r;
		}
		json_array_append_new(all, describe(&image));
		store_image_finish(&image);
	}
	text = json_dumps(all, JSON_INDENT(4));
	puts(text ? text : "[]");
	return 0;
}

int command_path(int argc, char **argv, struct error *err)
{
	_cleanup_strv_ struct strv words = { 0 };
	struct store_image image;
	const char *state;
	int r = command_parse("path IMAGE", no_rows, NULL, argc, argv, 1, 1, &words, err);

	if (r != 0) {
		return r;
	}
	state = dirs_state(err);
	if (!state) {
		return -err->code;
	}
	r = store_image_find(state, words.items[0], &image, err);
	if (r < 0) {
		return r;
	}
	for (size_t i = 0; image.layers[i]; i++) {
		puts(image.layers[i]);
	}
	store_image_finish(&image);
	return 0;
}
