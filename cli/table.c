#include "cli/table.h"

#include "cli/format.h"

#define GAP 3

void table_cell(struct table *table, const char *text)
{
	strv_add(&table->cells, text);
}

void table_row(struct table *table, const char *const *texts)
{
	for (size_t i = 0; i < table->columns; i++) {
		table_cell(table, texts[i]);
	}
}

void table_print(const struct table *table, FILE *out)
{
	_cleanup_free_ size_t *widths = xcalloc(table->columns, sizeof(*widths));

	for (size_t i = 0; i < table->cells.count; i++) {
		size_t width = format_width(table->cells.items[i]);

		if (width > widths[i % table->columns]) {
			widths[i % table->columns] = width;
		}
	}
	for (size_t i = 0; i < table->cells.count; i++) {
		const char *text = table->cells.items[i];
		size_t column = i % table->columns;

		fputs(text, out);
		if (column + 1 == table->columns) {
			fputc('\n', out);
		} else {
			fprintf(out, "%*s", (int)(widths[column] - format_width(text) + GAP), "");
		}
	}
}

void table_finish(struct table *table)
{
	strv_finish(&table->cells);
}
