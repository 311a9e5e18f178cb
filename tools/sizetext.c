/* sizetext.c - see sizetext.h. */
#include "sizetext.h"

#include <ctype.h>
#include <inttypes.h>
#include <strings.h>

/* Digits at *p, which is moved behind them. */
static bool digits(const char **p, uint64_t *number) {
    *number = 0;
    if (!isdigit((unsigned char)**p)) return false;
    for (; isdigit((unsigned char)**p); ++*p) {
        uint64_t digit = (uint64_t)(**p - '0');
        if (*number > (INT64_MAX - digit) / 10) return false;
        *number = *number * 10 + digit;
    }
    return true;
}

bool count_parse(const char *p, uint64_t *count) {
    uint64_t number;
    if (!digits(&p, &number) || *p != 0) return false;
    *count = number;
    return true;
}

bool size_parse(const char *p, uint64_t *bytes) {
    static const char letters[] = "KMGT";
    uint64_t number;
    if (!digits(&p, &number)) return false;
    while (*p == ' ')
        p++;
    uint64_t factor = 1;
    for (int i = 0; letters[i] != 0; i++) {
        if (toupper((unsigned char)*p) != letters[i]) continue;
        p++;
        uint64_t step = strcasecmp(p, "b") == 0 ? 1000 : 1024;
        for (int k = 0; k <= i; k++)
            factor *= step;
        if (strcasecmp(p, "ib") == 0) p += 2;
        break;
    }
    if (*p == 'b' || *p == 'B') p++;
    if (*p != 0 || number > INT64_MAX / factor) return false;
    *bytes = number * factor;
    return true;
}

void size_format(struct text *out, uint64_t bytes) {
    static const char *units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        text_printf(out, "%" PRIu64 " B", bytes);
        return;
    }
    double value = (double)bytes / 1024;
    int unit = 0;
    while (value >= 1023.95 && unit < 5)
        value /= 1024, unit++;
    text_printf(out, "%.1f %s", value, units[unit]);
}
