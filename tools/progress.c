/* progress.c - see progress.h. */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "interrupt.h"
#include "jsonwrite.h"
#include "sizetext.h"
#include "timetext.h"

#define BAR_INTERVAL_US  100000
#define JSON_INTERVAL_US 1000000
#define BAR_WIDTH        24

void progress_begin(struct progress *progress, const struct cli *cli, const char *unit) {
    int64_t now_us = time_now_us();
    *progress = (struct progress){
        .cli = cli, .unit = unit, .stage = "", .started_us = now_us, .shown_us = now_us};
}

static void add_amount(struct text *text, const struct progress *progress, uint64_t amount) {
    if (strcmp(progress->unit, "B") == 0) {
        size_format(text, amount);
    } else {
        text_printf(text, "%" PRIu64 " %s", amount, progress->unit);
    }
}

static void draw_bar(struct progress *progress, const lore_progress *update, double rate) {
    struct text line = {0};
    text_printf(&line, "\r\033[K%s ", update->stage);
    if (update->total > 0) {
        double part = (double)update->done / (double)update->total;
        int full = part >= 1 ? BAR_WIDTH : (int)(part * BAR_WIDTH);
        text_char(&line, '[');
        for (int i = 0; i < BAR_WIDTH; i++)
            text_char(&line, i < full ? '#' : '.');
        text_printf(&line, "] %3.0f%% ", part >= 1 ? 100.0 : part * 100);
    }
    add_amount(&line, progress, update->done);
    if (rate > 0) {
        text_puts(&line, ", ");
        add_amount(&line, progress, (uint64_t)rate);
        text_puts(&line, "/s");
        if (update->total > update->done) {
            uint64_t left_s = (uint64_t)((double)(update->total - update->done) / rate);
            text_printf(&line, ", %" PRIu64 ":%02" PRIu64 " left", left_s / 60, left_s % 60);
        }
    }
    fputs(line.data, stderr);
    fflush(stderr);
    text_free(&line);
    progress->drawn = true;
}

static void write_json(const struct progress *progress, const lore_progress *update, double rate) {
    struct text line = {0};
    struct json_writer writer = {.out = &line};
    jw_begin_object(&writer);
    jw_key(&writer, "progress");
    jw_begin_object(&writer);
    jw_string_member(&writer, "stage", update->stage);
    jw_uint_member(&writer, "done", update->done);
    if (update->total > 0) jw_uint_member(&writer, "total", update->total);
    jw_string_member(&writer, "unit", progress->unit);
    jw_uint_member(&writer, "rate", (uint64_t)rate);
    if (update->total > update->done && rate > 0) {
        jw_uint_member(&writer, "eta_s", (uint64_t)((double)(update->total - update->done) / rate));
    }
    jw_end_object(&writer);
    jw_end_object(&writer);
    fprintf(stderr, "%s\n", line.data);
    text_free(&line);
}

bool progress_update(void *context, const lore_progress *update) {
    struct progress *progress = context;
    if (interrupt_pending()) return false;
    if (progress->cli->progress == PROGRESS_NONE) return true;
    bool bar = progress->cli->progress == PROGRESS_BAR;
    int64_t now_us = time_now_us();
    if (strcmp(progress->stage, update->stage) != 0) {
        progress->stage = update->stage;
        progress->started_us = now_us;
    } else if (now_us - progress->shown_us < (bar ? BAR_INTERVAL_US : JSON_INTERVAL_US)) {
        return true;
    }
    progress->shown_us = now_us;
    double seconds = (double)(now_us - progress->started_us) / 1e6;
    double rate = seconds > 0.05 ? (double)update->done / seconds : 0;
    if (bar) {
        draw_bar(progress, update, rate);
    } else {
        write_json(progress, update, rate);
    }
    return true;
}

bool progress_step(struct progress *progress, const char *stage, uint64_t done, uint64_t total) {
    lore_progress update = {stage, done, total};
    return progress_update(progress, &update);
}

void progress_end(struct progress *progress) {
    if (progress->drawn) fputs("\r\033[K", stderr);
    progress->drawn = false;
}
