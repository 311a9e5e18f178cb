/* output.c - see output.h. */
#include "output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "alloc.h"
#include "timetext.h"

#define CELL_CHARACTERS_MAX 4000

void table_begin(struct table *table, size_t columns) {
    *table = (struct table){.columns = columns};
}

static void add_cell(struct table *table, char *owned) {
    if ((table->cells_count & (table->cells_count - 1)) == 0) {
        size_t capacity = table->cells_count == 0 ? 16 : table->cells_count * 2;
        table->cells = alloc_grow(table->cells, capacity * sizeof *table->cells);
    }
    table->cells[table->cells_count++] = owned;
}

void table_cell(struct table *table, const char *text) {
    add_cell(table, alloc_copy(text));
}

void table_bytes(struct table *table, const void *bytes, size_t size) {
    struct text cell = {0};
    text_add_printable(&cell, bytes, size, true, 0);
    add_cell(table, cell.data != NULL ? cell.data : alloc_copy(""));
}

void table_uint(struct table *table, uint64_t value) {
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, value);
    table_cell(table, digits);
}

void table_time(struct table *table, int64_t time_us) {
    struct text cell = {0};
    time_format_short(&cell, time_us);
    add_cell(table, cell.data);
}

static size_t screen_width(void) {
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) return size.ws_col;
    return 100;
}

static void add_padded(struct text *out, const char *cell, size_t width, bool last, size_t room) {
    if (last) {
        text_add_printable(out, cell, strlen(cell), true, room);
        return;
    }
    text_puts(out, cell);
    for (size_t i = text_width(cell); i < width + 2; i++)
        text_char(out, ' ');
}

static void format_aligned(struct text *out, const struct table *table, const struct cli *cli,
                           const char *const *header) {
    size_t *widths = alloc_bytes(table->columns * sizeof *widths);
    for (size_t i = 0; header != NULL && i < table->columns; i++)
        widths[i] = text_width(header[i]);
    for (size_t i = 0; i < table->cells_count; i++) {
        size_t width = text_width(table->cells[i]), column = i % table->columns;
        if (width > widths[column]) widths[column] = width;
    }
    size_t used = 0, screen = screen_width();
    for (size_t i = 0; i + 1 < table->columns; i++)
        used += widths[i] + 2;
    size_t room = screen > used + 20 ? screen - used : 20;
    if (header == NULL) room = CELL_CHARACTERS_MAX;
    if (header != NULL) {
        if (cli->color) text_puts(out, "\033[1m");
        for (size_t i = 0; i < table->columns; i++) {
            add_padded(out, header[i], widths[i], i + 1 == table->columns, room);
        }
        text_puts(out, cli->color ? "\033[0m\n" : "\n");
    }
    for (size_t i = 0; i < table->cells_count; i++) {
        bool last = i % table->columns + 1 == table->columns;
        add_padded(out, table->cells[i], widths[i % table->columns], last, room);
        if (last) text_char(out, '\n');
    }
    free(widths);
}

static void format_tabbed(struct text *out, const struct table *table, const char *const *header) {
    for (size_t i = 0; i < table->columns; i++)
        text_printf(out, "%s%c", header[i], i + 1 == table->columns ? '\n' : '\t');
    for (size_t i = 0; i < table->cells_count; i++) {
        text_printf(out, "%s%c", table->cells[i],
                    i % table->columns + 1 == table->columns ? '\n' : '\t');
    }
}

int table_end(struct table *table, struct cli *cli, const char *const *header) {
    struct text out = {0};
    if (cli->terminal || header == NULL) {
        format_aligned(&out, table, cli, header);
    } else {
        format_tabbed(&out, table, header);
    }
    table_free(table);
    int code = print_text(cli, &out);
    text_free(&out);
    return code;
}

void table_free(struct table *table) {
    for (size_t i = 0; i < table->cells_count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct table){0};
}

int print_text(struct cli *cli, const struct text *text) {
    if (text->size == 0) return 0;
    bool fine = fwrite(text->data, 1, text->size, stdout) == text->size && fflush(stdout) == 0;
    return fine ? 0 : fail_errno(cli, "cannot write to stdout");
}

int print_json(struct cli *cli, struct text *document) {
    text_free(&cli->answer);
    cli->answer = *document;
    *document = (struct text){0};
    return 0;
}

void hex_format(struct text *out, const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        text_printf(out, "%02x", bytes[i]);
}
