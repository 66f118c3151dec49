#include "specs/image_name.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define DEFAULT_DOMAIN    "docker.io"
#define LEGACY_DOMAIN     "index.docker.io"
#define DEFAULT_NAMESPACE "library/"
#define DEFAULT_TAG       "latest"

enum { REPOSITORY_MAX = 255 };

static bool is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* One path component: lower-case words joined by ".", "_", "__" or any number of "-". */
static bool component_valid(const char *text, size_t size)
{
	size_t i = 0;

	while (i < size) {
		size_t start = i, dashes = 0;

		while (i < size && is_lower_alnum(text[i])) {
			i++;
		}
		if (i == start) {
			return false;
		}
		if (i == size) {
			return true;
		}
		while (i < size && text[i] == '-') {
			i++, dashes++;
		}
		if (dashes) {
			continue;
		}
		if (text[i] == '.') {
			i++;
		} else if (text[i] == '_') {
			i += i + 1 < size && text[i + 1] == '_' ? 2 : 1;
		} else {
			return false;
		}
	}
	return false; /* empty, or ends in a separator */
}

static bool repository_valid(const char *text)
{
	for (;;) {
		size_t size = strcspn(text, "/");

		if (!component_valid(text, size)) {
			return false;
		}
		if (!text[size]) {
			return true;
		}
		text += size + 1;
	}
}

/* A host name or [IPv6], with an optional port. */
static bool domain_valid(const char *text)
{
	const char *p = text;

	if (*p == '[') {
		p++;
		p += strspn(p, "0123456789abcdefABCDEF:.");
		if (*p++ != ']') {
			return false;
		}
	} else {
		for (;;) {
			size_t size = 0;

			while (isalnum((unsigned char)p[size]) || p[size] == '-') {
				size++;
			}
			if (size == 0 || p[0] == '-' || p[size - 1] == '-') {
				return false;
			}
			p += size;
			if (*p != '.') {
				break;
			}
			p++;
		}
	}
	if (*p == ':') {
		size_t digits = strspn(p + 1, "0123456789");

		if (digits == 0 || digits > 5) {
			return false;
		}
		p += 1 + digits;
	}
	return *p == '\0';
}

static bool tag_valid(const char *text)
{
	size_t size = strlen(text);

	if (size == 0 || size > 128 || text[0] == '.' || text[0] == '-') {
		return false;
	}
	for (size_t i = 0; i < size; i++) {
		if (!isalnum((unsigned char)text[i]) && !strchr("_.-", text[i])) {
			return false;
		}
	}
	return true;
}

/* "algorithm:hex"; the algorithms whose length is known are checked against it. */
static bool digest_valid(const char *text)
{
	const char *colon = strchr(text, ':');
	size_t hex;

	if (!colon || colon == text || strlen(text) > 159) {
		return false;
	}
	for (const char *p = text; p < colon; p++) {
		if (!isalnum((unsigned char)*p) && !strchr("+._-", *p)) {
			return false;
		}
	}
	hex = strspn(colon + 1, "0123456789abcdef");
	if (colon[1 + hex]) {
		return false;
	}
	if (strncmp(text, "sha256:", 7) == 0) {
		return hex == 64;
	}
	return strncmp(text, "sha512:", 7) == 0 ? hex == 128 : hex >= 32;
}

/* The part before the first slash is a registry only if it looks like a host. */
static bool is_domain(const char *text, size_t size)
{
	if (size == strlen("localhost") && strncmp(text, "localhost", size) == 0) {
		return true;
	}
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '.' || text[i] == ':' || isupper((unsigned char)text[i])) {
			return true;
		}
	}
	return false;
}

static int set_repository(struct image_name *name, const char *rest, struct error *err)
{
	bool official = strcmp(name->domain, DEFAULT_DOMAIN) == 0 && !strchr(rest, '/');

	for (const char *p = rest; *p; p++) {
		if (isupper((unsigned char)*p)) {
			return error_say(
				err, EINVAL, "image repository \"%s\" must be lowercase", rest);
		}
	}
	if (!repository_valid(rest)) {
		return error_say(err, EINVAL, "image repository \"%s\" is not valid", rest);
	}
	if (snprintf(name->repository, sizeof(name->repository), "%s%s",
		    official ? DEFAULT_NAMESPACE : "", rest) > REPOSITORY_MAX) {
		return error_say(err, EINVAL, "image repository is longer than %d characters",
			REPOSITORY_MAX);
	}
	return 0;
}

int image_name_parse(const char *text, struct image_name *name, struct error *err)
{
	_cleanup_free_ char *copy = xstrdup(text);
	char *digest, *slash, *colon, *rest = copy;
	const char *domain = DEFAULT_DOMAIN;

	*name = (struct image_name){ 0 };
	if (!*text) {
		return error_say(err, EINVAL, "image name is empty");
	}
	digest = strchr(copy, '@');
	if (digest) {
		*digest++ = '\0';
		if (!digest_valid(digest)) {
			return error_say(
				err, EINVAL, "image digest \"%.80s\" is not valid", digest);
		}
		snprintf(name->digest, sizeof(name->digest), "%s", digest);
	}
	slash = strchr(copy, '/');
	if (slash && is_domain(copy, (size_t)(slash - copy))) {
		*slash = '\0';
		domain = strcmp(copy, LEGACY_DOMAIN) == 0 ? DEFAULT_DOMAIN : copy;
		rest = slash + 1;
		if (!domain_valid(domain) || strlen(domain) >= sizeof(name->domain)) {
			return error_say(
				err, EINVAL, "image registry \"%.80s\" is not valid", domain);
		}
	}
	snprintf(name->domain, sizeof(name->domain), "%s", domain);
	colon = strrchr(rest, ':');
	if (colon && !strchr(colon, '/')) {
		*colon++ = '\0';
		if (!tag_valid(colon)) {
			return error_say(err, EINVAL, "image tag \"%.80s\" is not valid", colon);
		}
		snprintf(name->tag, sizeof(name->tag), "%s", colon);
	} else if (!digest) {
		snprintf(name->tag, sizeof(name->tag), "%s", DEFAULT_TAG);
	}
	return set_repository(name, rest, err);
}

static char *assemble(const char *domain, const char *repository, const struct image_name *name)
{
	return xasprintf("%s%s%s%s%s%s%s", domain, *domain ? "/" : "", repository,
		name->tag[0] ? ":" : "", name->tag, name->digest[0] ? "@" : "", name->digest);
}

char *image_name_canonical(const struct image_name *name)
{
	return assemble(name->domain, name->repository, name);
}

char *image_name_familiar(const struct image_name *name)
{
	const char *repository = name->repository;
	const char *domain = name->domain;

	if (strcmp(domain, DEFAULT_DOMAIN) == 0) {
		domain = "";
		if (strncmp(repository, DEFAULT_NAMESPACE, strlen(DEFAULT_NAMESPACE)) == 0 &&
			!strchr(repository + strlen(DEFAULT_NAMESPACE), '/')) {
			repository += strlen(DEFAULT_NAMESPACE);
		}
	}
	return assemble(domain, repository, name);
}
