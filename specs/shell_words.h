/*
 * Splits a command line into words: blanks part words; quotes and backslashes as in a shell;
 * nothing is expanded and no shell runs. Unquoted ; & | < > end the line, as docker compose has it:
 * what follows is dropped, and *@dropped says where it starts.
 */
#ifndef WHERRY_SPECS_SHELL_WORDS_H
#define WHERRY_SPECS_SHELL_WORDS_H

#include "base/mem.h"

/* Returns 0, or -EINVAL for an open quote, a trailing backslash or an unquoted parenthesis.
 * *@dropped is NULL or points into @text. */
int shell_words_split(const char *text, struct strv *words, const char **dropped);

#endif
