/* A container's /etc/resolv.conf. */
#include <fcntl.h>

#include "base/file.h"
#include "base/mem.h"
#include "net/resolver.h"

#define CONF_LIMIT (64 << 10)

/* The words behind @keyword, or NULL if the line is another. Comments end a line. */
static const char *words(char *line, const char *keyword)
{
	size_t size = strlen(keyword);

	line += strspn(line, " \t");
	if (strncmp(line, keyword, size) != 0 || !line[size] || !strchr(" \t", line[size])) {
		return NULL;
	}
	line += size;
	line[strcspn(line, "#;\r")] = '\0';
	return line;
}

static void add_words(struct strv *v, const char *text)
{
	_cleanup_free_ char *copy = xstrdup(text);
	char *rest = copy, *word;

	while ((word = strsep(&rest, " \t"))) {
		if (word[0]) {
			strv_add(v, word);
		}
	}
}

static void add_line(struct str *out, const char *keyword, const struct strv *v)
{
	if (v->count > 0) {
		str_add(out, keyword);
		for (size_t i = 0; i < v->count; i++) {
			str_addf(out, " %s", v->items[i]);
		}
		str_add_char(out, '\n');
	}
}

char *resolver_conf(const char *host_conf_path)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_strv_ struct strv search = { 0 }, options = { 0 };
	struct str out = { 0 };
	bool ndots = false;
	char *rest, *line;

	if (file_read_at(AT_FDCWD, host_conf_path, CONF_LIMIT, &text, NULL, NULL) < 0) {
		text = xstrdup("");
	}
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		const char *found;

		if ((found = words(line, "search")) || (found = words(line, "domain"))) {
			strv_finish(&search); /* the last one holds, as resolv.conf(5) says */
			add_words(&search, found);
		} else if ((found = words(line, "options"))) {
			add_words(&options, found);
		}
	}
	for (size_t i = 0; i < options.count; i++) {
		ndots |= strncmp(options.items[i], "ndots:", 6) == 0;
	}
	if (!ndots) {
		/* Names of services have no dot and must be tried as they stand. */
		strv_add(&options, "ndots:0");
	}
	str_add(&out, "nameserver 127.0.0.11\n");
	add_line(&out, "search", &search);
	add_line(&out, "options", &options);
	return str_take(&out);
}
