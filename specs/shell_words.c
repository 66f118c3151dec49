#include "specs/shell_words.h"

#include <errno.h>
#include <stdbool.h>

int shell_words_split(const char *text, struct strv *words, const char **dropped)
{
	_cleanup_str_ struct str word = { 0 };
	bool in_word = false;
	char quote = '\0';

	*dropped = NULL;
	for (const char *p = text; *p; p++) {
		if (*p == '\\' && quote != '\'') {
			if (!*++p) {
				return -EINVAL;
			}
			str_add_char(&word, *p);
			in_word = true;
		} else if (quote && *p == quote) {
			if (quote == '`') {
				str_add_char(&word, '`');
			}
			quote = '\0';
		} else if (quote) {
			str_add_char(&word, *p);
		} else if (strchr("'\"`", *p)) {
			quote = *p;
			in_word = true;
			if (quote == '`') {
				str_add_char(&word, '`');
			}
		} else if (strchr(" \t\r\n", *p)) {
			if (in_word) {
				strv_add(words, str_text(&word));
			}
			str_finish(&word);
			in_word = false;
		} else if (strchr("()", *p)) {
			return -EINVAL;
		} else if (strchr(";&|<>", *p)) {
			*dropped = p;
			break;
		} else {
			str_add_char(&word, *p);
			in_word = true;
		}
	}
	if (quote) {
		return -EINVAL;
	}
	if (in_word) {
		strv_add(words, str_text(&word));
	}
	return 0;
}
