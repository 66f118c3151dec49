#include <errno.h>
#include <sys/file.h>

#include "base/clock.h"
#include "base/dirs.h"
#include "base/fd.h"
#include "base/json.h"
#include "rootfs-tools/image/command.h"
#include "rootfs-tools/image/digest.h"
#include "rootfs-tools/store.h"
#include "specs/image_name.h"
#include "specs/units.h"

struct ls_options {
	bool quiet, no_trunc;
	const char *format;
};

static const struct option_row rows[] = {
	{ "--quiet", 'q', OPTION_FLAG, offsetof(struct ls_options, quiet), NULL, "only ids" },
	{ "--no-trunc", 0, OPTION_FLAG, offsetof(struct ls_options, no_trunc), NULL, "whole ids" },
	{ "--format", 0, OPTION_TEXT, offsetof(struct ls_options, format), "table|json",
		"how to print; json: an object a line" },
	{ 0 },
};

/* What a line shows. */
struct line {
	char repository[512], tag[129], id[DIGEST_SIZE], created[64], size[32];
	const char *created_at;
	int64_t bytes;
};

/* "3 hours ago", as docker's list has it. */
static void print_age(int64_t seconds, char *out, size_t size)
{
	static const struct {
		int64_t seconds;
		const char *word;
	} steps[] = {
		{ INT64_C(2) * 365 * 86400, "years" },
		{ INT64_C(2) * 30 * 86400, "months" },
		{ INT64_C(2) * 7 * 86400, "weeks" },
		{ INT64_C(2) * 86400, "days" },
		{ INT64_C(2) * 3600, "hours" },
		{ INT64_C(2) * 60, "minutes" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (seconds >= steps[i].seconds) {
			snprintf(out, size, "%lld %s ago",
				(long long)(2 * seconds / steps[i].seconds), steps[i].word);
			return;
		}
	}
	snprintf(out, size, "%lld seconds ago", (long long)(seconds > 0 ? seconds : 0));
}

/* Bytes that the layers unpack to, as their descriptors say; else of the blobs. */
static int64_t unpacked_size(int store, const struct store_image *image)
{
	_cleanup_json_ json_t *manifest = store_blob_json(store, image->manifest, NULL);
	int64_t total = 0;
	json_t *layer;
	size_t i;

	json_array_foreach(json_object_get(manifest, "layers"), i, layer)
	{
		const char *text = json_text(
			json_object_get(layer, "annotations"), STORE_ANNOTATION_UNPACKED, NULL);

		total += text ? strtoll(text, NULL, 10) : json_int(layer, "size", 0);
	}
	return total;
}

static void fill_name(struct line *line, const char *canonical)
{
	struct image_name name;
	char *familiar, *colon;

	snprintf(line->repository, sizeof(line->repository), "<none>");
	snprintf(line->tag, sizeof(line->tag), "<none>");
	if (image_name_parse(canonical, &name, NULL) < 0 || !name.tag[0]) {
		return;
	}
	familiar = image_name_familiar(&name);
	/* The tag is what follows the last colon after the last slash. */
	colon = strrchr(familiar, ':');
	if (colon && !strchr(colon, '/')) {
		*colon = '\0';
	}
	snprintf(line->repository, sizeof(line->repository), "%s", familiar);
	snprintf(line->tag, sizeof(line->tag), "%s", name.tag);
	free(familiar);
}

static void fill_line(struct line *line, int store, const struct store_image *image, bool whole)
{
	int64_t created_ns;

	/* An image without a name goes by its id. */
	fill_name(line, image_digest_valid(image->name) ? "" : image->name);
	snprintf(line->id, sizeof(line->id), whole ? "%s" : "%.12s",
		whole ? image->id : digest_hex(image->id));
	line->bytes = unpacked_size(store, image);
	units_print_size(line->bytes, line->size, sizeof(line->size));
	line->created_at = image->config.created;
	snprintf(line->created, sizeof(line->created), "N/A");
	if (line->created_at && clock_parse_rfc3339(line->created_at, &created_ns) == 0) {
		print_age((clock_wall_ns() - created_ns) / INT64_C(1000000000), line->created,
			sizeof(line->created));
	}
}

static void print_json(const struct line *line)
{
	_cleanup_json_ json_t *object = json_object();
	_cleanup_free_ char *text = NULL;

	json_put_text(object, "Repository", line->repository);
	json_put_text(object, "Tag", line->tag);
	json_put_text(object, "ID", line->id);
	json_put_text(object, "CreatedAt", line->created_at);
	json_put_text(object, "CreatedSince", line->created);
	json_put_text(object, "Size", line->size);
	json_put_int(object, "Bytes", line->bytes);
	text = json_print(object);
	puts(text);
}

static void print_line(const struct line *line, const struct ls_options *options)
{
	if (options->quiet) {
		puts(line->id);
	} else if (options->format && strcmp(options->format, "json") == 0) {
		print_json(line);
	} else {
		printf("%-36s %-12s %-*s %-16s %s\n", line->repository, line->tag,
			options->no_trunc ? DIGEST_SIZE - 1 : 14, line->id, line->created,
			line->size);
	}
}

static int list(const struct ls_options *options, struct error *err)
{
	const char *state = dirs_state(err);
	_cleanup_fd_ int store = -EBADF, lock = -EBADF;
	_cleanup_json_ json_t *index = NULL;
	json_t *entry;
	size_t i;

	if (!state) {
		return -err->code;
	}
	if (!options->quiet && !options->format) {
		printf("%-36s %-12s %-*s %-16s %s\n", "REPOSITORY", "TAG",
			options->no_trunc ? DIGEST_SIZE - 1 : 14, "IMAGE ID", "CREATED", "SIZE");
	}
	store = store_open(state, err);
	if (store >= 0) {
		lock = store_lock(store, LOCK_SH, err);
	}
	if (store == -ENOENT || lock == -ENOENT) {
		return 0; /* nothing was ever imported */
	}
	index = lock < 0 ? NULL : store_index_read(store, err);
	if (!index) {
		return -err->code;
	}
	json_array_foreach(json_object_get(index, "manifests"), i, entry)
	{
		struct store_image image;
		struct error e = ERROR_INIT;
		struct line line = { 0 };

		if (store_image_load(state, store, entry, &image, &e) < 0) {
			fprintf(stderr, "wherry image: %s\n", e.message);
			continue;
		}
		fill_line(&line, store, &image, options->no_trunc);
		print_line(&line, options);
		store_image_finish(&image);
	}
	return 0;
}

int command_ls(int argc, char **argv, struct error *err)
{
	_cleanup_strv_ struct strv words = { 0 };
	struct ls_options options = { 0 };
	int r = command_parse("ls [OPTIONS]", rows, &options, argc, argv, 0, 0, &words, err);

	if (r != 0) {
		return r;
	}
	if (options.format && strcmp(options.format, "table") == 0) {
		options.format = NULL;
	}
	if (options.format && strcmp(options.format, "json") != 0) {
		error_say(err, EINVAL, "--format %s: must be table or json", options.format);
		return error_exit_status(err, 2);
	}
	return list(&options, err);
}
