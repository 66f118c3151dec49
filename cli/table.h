/* Columns of text, aligned as docker's tabwriter does it: cells padded to the widest, three
 * blanks between columns, nothing after the last. */
#ifndef WHERRY_CLI_TABLE_H
#define WHERRY_CLI_TABLE_H

#include <stdio.h>

#include "base/mem.h"

/* Zeroed with `columns` set: an empty table. */
struct table {
	size_t columns;
	struct strv cells; /* row by row */
};

/* Adds a row of table->columns texts. */
void table_row(struct table *table, const char *const *texts);
/* Adds one cell; a row is whole when table->columns of them were added. */
void table_cell(struct table *table, const char *text);
void table_print(const struct table *table, FILE *out);
void table_finish(struct table *table);

#endif
