#include "rootfs-tools/image/apt_sources.h"

#include <dirent.h>
#include <errno.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/sys.h"

#define FILE_LIMIT ((size_t)1 << 20)

/* What is looked for, and where matches go. */
struct search {
	const char *match; /* suite as the files have it */
	const char *suite; /* suite to write in its place */
	bool main_only;
	struct str *out;
	size_t found;
};

/* One source: texts with blanks between their words. */
struct source {
	char *uris, *suites, *components, *options;
};

static bool has_word(const char *text, const char *word)
{
	size_t size = strlen(word);

	while (*text) {
		size_t length = strcspn(text, " \t\n");

		if (length == size && strncmp(text, word, size) == 0) {
			return true;
		}
		text += length;
		text += strspn(text, " \t\n");
	}
	return false;
}

/* The next word of *@text as an allocated text, or NULL. */
static char *next_word(const char **text)
{
	size_t length;
	char *word;

	*text += strspn(*text, " \t\n");
	length = strcspn(*text, " \t\n");
	word = length > 0 ? xstrndup(*text, length) : NULL;
	*text += length;
	return word;
}

/* "bookworm-security" with match "bookworm": "-security". NULL if it is no part of that suite. */
static const char *suite_suffix(const char *name, const char *match)
{
	static const char *const suffixes[] = { "", "-updates", "-security", "/updates" };
	size_t size = strlen(match);

	if (strncmp(name, match, size) != 0) {
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		if (strcmp(name + size, suffixes[i]) == 0) {
			return suffixes[i];
		}
	}
	return NULL;
}

static void write_source(struct search *search, const struct source *source)
{
	const char *suites = source->suites;

	if (!has_word(source->components, "main")) {
		return;
	}
	for (char *suite; (suite = next_word(&suites)); free(suite)) {
		const char *suffix = suite_suffix(suite, search->match), *uris = source->uris;

		if (!suffix) {
			continue;
		}
		for (char *uri; (uri = next_word(&uris)); free(uri)) {
			/* A disc in the drive is no source for another machine. */
			if (strncmp(uri, "cdrom:", 6) == 0) {
				continue;
			}
			str_addf(search->out, "deb %s%s%s %s%s %s\n", source->options,
				*source->options ? " " : "", uri, search->suite, suffix,
				search->main_only ? "main" : source->components);
			search->found += *suffix == '\0';
		}
	}
}

/* --- sources.list --- */

static void read_line(struct search *search, const char *line)
{
	struct source source = { 0 };
	char *type = next_word(&line);

	line += strspn(line, " \t");
	if (type && strcmp(type, "deb") == 0) {
		size_t size = 0;

		if (*line == '[') {
			size = strcspn(line, "]");
			size += line[size] == ']';
		}
		source.options = xstrndup(line, size);
		line += size;
		source.uris = next_word(&line);
		source.suites = next_word(&line);
		line += strspn(line, " \t");
		source.components = xstrdup(line);
		if (source.uris && source.suites) {
			write_source(search, &source);
		}
	}
	free(type);
	free(source.options);
	free(source.uris);
	free(source.suites);
	free(source.components);
}

static void read_list(struct search *search, char *text)
{
	for (char *line = text, *next; line; line = next) {
		char *comment;

		next = strchr(line, '\n');
		if (next) {
			*next++ = '\0';
		}
		comment = strchr(line, '#');
		if (comment) {
			*comment = '\0';
		}
		for (size_t n = strlen(line); n > 0 && strchr(" \t\r", line[n - 1]); n--) {
			line[n - 1] = '\0';
		}
		read_line(search, line);
	}
}

/* --- deb822 --- */

enum { TYPES, URIS, SUITES, COMPONENTS, SIGNED_BY, ARCHITECTURES, TRUSTED, VALID, ENABLED, FIELDS };

static const struct {
	const char *name, *option; /* the name that the one-line form has for it */
} fields[FIELDS] = {
	[TYPES] = { "Types", NULL },
	[URIS] = { "URIs", NULL },
	[SUITES] = { "Suites", NULL },
	[COMPONENTS] = { "Components", NULL },
	[SIGNED_BY] = { "Signed-By", "signed-by" },
	[ARCHITECTURES] = { "Architectures", "arch" },
	[TRUSTED] = { "Trusted", "trusted" },
	[VALID] = { "Check-Valid-Until", "check-valid-until" },
	[ENABLED] = { "Enabled", NULL },
};

/* Words joined by commas, as options have them. */
static void add_option(struct str *out, const char *name, const char *value)
{
	const char *separator = "";

	str_addf(out, "%s%s=", out->size > 1 ? " " : "", name);
	for (char *word; (word = next_word(&value)); free(word)) {
		str_addf(out, "%s%s", separator, word);
		separator = ",";
	}
}

static void finish_stanza(struct search *search, struct str values[FIELDS])
{
	_cleanup_str_ struct str options = { 0 };
	const char *enabled = str_text(&values[ENABLED]), *key = str_text(&values[SIGNED_BY]);
	struct source source = { 0 };

	if (has_word(str_text(&values[TYPES]), "deb") && !has_word(enabled, "no") &&
		!has_word(enabled, "false") && !strstr(key, "-----BEGIN")) {
		str_add(&options, "[");
		for (size_t i = 0; i < FIELDS; i++) {
			if (fields[i].option && values[i].size > 0) {
				add_option(&options, fields[i].option, str_text(&values[i]));
			}
		}
		str_add(&options, "]");
		source.options = options.size > 2 ? options.data : (char[]){ "" };
		source.uris = (char *)(uintptr_t)str_text(&values[URIS]);
		source.suites = (char *)(uintptr_t)str_text(&values[SUITES]);
		source.components = (char *)(uintptr_t)str_text(&values[COMPONENTS]);
		write_source(search, &source);
	}
	for (size_t i = 0; i < FIELDS; i++) {
		str_finish(&values[i]);
	}
}

static int find_field(const char *line, size_t size)
{
	for (int i = 0; i < FIELDS; i++) {
		if (strlen(fields[i].name) == size &&
			strncasecmp(fields[i].name, line, size) == 0) {
			return i;
		}
	}
	return -1;
}

/* A field's first or following line; *@field is where following lines go (-1: nowhere). */
static void read_field(struct str values[FIELDS], int *field, const char *line)
{
	const char *value = line;

	if (*line == '#') {
		return;
	}
	if (*line != ' ' && *line != '\t') {
		size_t size = strcspn(line, ":");

		*field = find_field(line, size);
		value = line + size + (line[size] == ':');
	}
	value += strspn(value, " \t");
	if (*field >= 0 && *value) {
		str_addf(&values[*field], "%s%s", values[*field].size ? " " : "", value);
	}
}

static void read_stanzas(struct search *search, char *text)
{
	struct str values[FIELDS] = { 0 };
	int field = -1;

	for (char *line = text, *next; line; line = next) {
		next = strchr(line, '\n');
		if (next) {
			*next++ = '\0';
		}
		line[strcspn(line, "\r")] = '\0';
		if (line[strspn(line, " \t")] == '\0') {
			finish_stanza(search, values);
			field = -1;
		} else {
			read_field(values, &field, line);
		}
	}
	finish_stanza(search, values);
}

/* --- files --- */

static void read_file(struct search *search, int folder, const char *name)
{
	const char *dot = strrchr(name, '.');
	_cleanup_free_ char *text = NULL;

	if (!dot || (strcmp(dot, ".list") != 0 && strcmp(dot, ".sources") != 0) ||
		file_read_at(folder, name, FILE_LIMIT, &text, NULL, NULL) < 0) {
		return;
	}
	if (strcmp(dot, ".list") == 0) {
		read_list(search, text);
	} else {
		read_stanzas(search, text);
	}
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void read_all(struct search *search, int etc_apt)
{
	_cleanup_strv_ struct strv names = { 0 };
	_cleanup_fd_ int folder = sys_openat(etc_apt, "sources.list.d", O_RDONLY | O_DIRECTORY, 0);
	DIR *stream = folder < 0 ? NULL : fdopendir(fcntl(folder, F_DUPFD_CLOEXEC, 3));
	struct dirent *entry;

	read_file(search, etc_apt, "sources.list");
	while (stream && (entry = readdir(stream))) {
		strv_add(&names, entry->d_name);
	}
	if (stream) {
		closedir(stream);
	}
	if (names.count > 0) {
		qsort(names.items, names.count, sizeof(*names.items), compare_names);
	}
	for (size_t i = 0; i < names.count; i++) {
		read_file(search, folder, names.items[i]);
	}
}

int apt_sources_collect(
	int etc_apt, const char *host_suite, const char *suite, struct str *out, struct error *err)
{
	struct search search = { .match = suite, .suite = suite, .out = out };

	read_all(&search, etc_apt);
	if (search.found == 0 && host_suite) {
		str_finish(out);
		search.match = host_suite;
		search.main_only = true;
		read_all(&search, etc_apt);
	}
	if (search.found == 0) {
		return error_say(err, ENOENT,
			"this machine's apt has no source for suite %s (looked in sources.list and "
			"sources.list.d below /etc/apt)",
			suite);
	}
	return 0;
}

char *apt_sources_host_suite(int etc)
{
	static const char key[] = "VERSION_CODENAME=";
	_cleanup_free_ char *text = NULL;
	const char *line;

	if (file_read_at(etc, "os-release", FILE_LIMIT, &text, NULL, NULL) < 0) {
		return NULL;
	}
	line = strncmp(text, key, sizeof(key) - 1) == 0 ? text
							: strstr(text, "\nVERSION_CODENAME=");
	if (!line) {
		return NULL;
	}
	line += strcspn(line, "=") + 1;
	line += *line == '"';
	return xstrndup(line, strcspn(line, "\"\r\n"));
}
