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

static void print_cell(const char *cell, size_t width, bool last, size_t room) {
    if (last) {
        struct text cut = {0};
        text_add_printable(&cut, cell, strlen(cell), true, room);
        fputs(text_string(&cut), stdout);
        text_free(&cut);
        return;
    }
    fputs(cell, stdout);
    for (size_t i = text_width(cell); i < width + 2; i++)
        fputc(' ', stdout);
}

static void print_aligned(const struct table *table, const struct cli *cli,
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
        if (cli->color) fputs("\033[1m", stdout);
        for (size_t i = 0; i < table->columns; i++) {
            print_cell(header[i], widths[i], i + 1 == table->columns, room);
        }
        fputs(cli->color ? "\033[0m\n" : "\n", stdout);
    }
    for (size_t i = 0; i < table->cells_count; i++) {
        bool last = i % table->columns + 1 == table->columns;
        print_cell(table->cells[i], widths[i % table->columns], last, room);
        if (last) fputc('\n', stdout);
    }
    free(widths);
}

static void print_tabbed(const struct table *table, const char *const *header) {
    for (size_t i = 0; header != NULL && i < table->columns; i++) {
        printf("%s%c", header[i], i + 1 == table->columns ? '\n' : '\t');
    }
    for (size_t i = 0; i < table->cells_count; i++) {
        printf("%s%c", table->cells[i], i % table->columns + 1 == table->columns ? '\n' : '\t');
    }
}

void table_end(struct table *table, const struct cli *cli, const char *const *header) {
    if (cli->terminal || header == NULL) {
        print_aligned(table, cli, header);
    } else {
        print_tabbed(table, header);
    }
    table_free(table);
}

void table_free(struct table *table) {
    for (size_t i = 0; i < table->cells_count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct table){0};
}

int print_done(struct cli *cli) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return 0;
    return fail_errno(cli, "cannot write to stdout");
}

int print_text(struct cli *cli, const struct text *text) {
    if (text->size > 0) fwrite(text->data, 1, text->size, stdout);
    return print_done(cli);
}

int print_json(struct cli *cli, struct text *document) {
    text_char(document, '\n');
    return print_text(cli, document);
}

void hex_format(struct text *out, const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        text_printf(out, "%02x", bytes[i]);
}
