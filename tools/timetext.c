/* timetext.c - see timetext.h. Dates are computed on the proleptic Gregorian calendar, counting
 * days from 1 March so that the leap day is a year's last. */
#include "timetext.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define SECOND_US INT64_C(1000000)
#define DAY_S     INT64_C(86400)

struct civil {
    int64_t year;
    int64_t month, day, hour, minute, second, micro;
};

static int64_t days_of(int64_t year, int64_t month, int64_t day) {
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static struct civil civil_of(int64_t time_us) {
    int64_t micro = time_us % SECOND_US, seconds = time_us / SECOND_US;
    if (micro < 0) micro += SECOND_US, seconds--;
    int64_t days = seconds / DAY_S, rest = seconds % DAY_S;
    if (rest < 0) rest += DAY_S, days--;
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    struct civil civil = {.day = day_of_year - (153 * shifted + 2) / 5 + 1,
                          .month = shifted + (shifted < 10 ? 3 : -9),
                          .hour = rest / 3600,
                          .minute = rest / 60 % 60,
                          .second = rest % 60,
                          .micro = micro};
    civil.year = year_of_era + era * 400 + (civil.month <= 2);
    return civil;
}

static bool civil_to_us(const struct civil *c, int64_t *time_us) {
    static const int8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (c->year < 0 || c->year > 9999 || c->month < 1 || c->month > 12) return false;
    bool leap = (c->year % 4 == 0 && c->year % 100 != 0) || c->year % 400 == 0;
    int64_t length = lengths[c->month - 1] + (c->month == 2 && leap ? 1 : 0);
    if (c->day < 1 || c->day > length) return false;
    if (c->hour > 23 || c->minute > 59 || c->second > 59) return false;
    int64_t seconds =
        days_of(c->year, c->month, c->day) * DAY_S + c->hour * 3600 + c->minute * 60 + c->second;
    *time_us = seconds * SECOND_US + c->micro;
    return true;
}

void time_format(struct text *out, int64_t time_us) {
    struct civil c = civil_of(time_us);
    if (c.year >= 0 && c.year <= 9999) {
        text_printf(out,
                    "%04" PRId64 "-%02" PRId64 "-%02" PRId64 "T%02" PRId64 ":%02" PRId64
                    ":%02" PRId64 ".%06" PRId64 "Z",
                    c.year, c.month, c.day, c.hour, c.minute, c.second, c.micro);
    } else {
        uint64_t size = time_us < 0 ? 0 - (uint64_t)time_us : (uint64_t)time_us;
        text_printf(out, "@%s%" PRIu64 ".%06" PRIu64, time_us < 0 ? "-" : "", size / 1000000,
                    size % 1000000);
    }
}

void time_format_short(struct text *out, int64_t time_us) {
    struct civil c = civil_of(time_us);
    text_printf(out, "%04" PRId64 "-%02" PRId64 "-%02" PRId64 " %02" PRId64 ":%02" PRId64, c.year,
                c.month, c.day, c.hour, c.minute);
}

/* `least` to `most` digits at *p; moves *p behind them. */
static bool digits(const char **p, int least, int most, int64_t *value) {
    int count = 0;
    *value = 0;
    while (count < most && isdigit((unsigned char)**p)) {
        *value = *value * 10 + (*(*p)++ - '0');
        count++;
    }
    return count >= least;
}

static bool literal(const char **p, const char *string) {
    size_t size = strlen(string);
    if (strncasecmp(*p, string, size) != 0) return false;
    *p += size;
    return true;
}

static void blanks(const char **p) {
    while (**p == ' ')
        (*p)++;
}

/* ".5" as 500000; digits past the sixth are dropped. */
static bool fraction(const char **p, int64_t *micro) {
    int count = 0;
    *micro = 0;
    while (isdigit((unsigned char)**p)) {
        if (count < 6) *micro = *micro * 10 + (**p - '0');
        count++;
        (*p)++;
    }
    for (int i = count; i < 6; i++)
        *micro *= 10;
    return count > 0 && count <= 18;
}

static bool parse_iso(const char *p, int64_t *time_us) {
    struct civil c = {0};
    if (!digits(&p, 4, 4, &c.year) || !literal(&p, "-") || !digits(&p, 2, 2, &c.month) ||
        !literal(&p, "-") || !digits(&p, 2, 2, &c.day)) {
        return false;
    }
    int64_t zone_s = 0;
    if (*p == 'T' || *p == 't' || *p == ' ') {
        p++;
        if (!digits(&p, 2, 2, &c.hour) || !literal(&p, ":") || !digits(&p, 2, 2, &c.minute)) {
            return false;
        }
        if (literal(&p, ":")) {
            if (!digits(&p, 2, 2, &c.second)) return false;
            if ((*p == '.' || *p == ',') && (p++, !fraction(&p, &c.micro))) return false;
        }
        blanks(&p);
        if (*p == '+' || *p == '-') {
            int64_t sign = *p++ == '+' ? 1 : -1, hours, minutes = 0;
            if (!digits(&p, 2, 2, &hours)) return false;
            literal(&p, ":");
            if (*p != 0 && !digits(&p, 2, 2, &minutes)) return false;
            if (hours > 23 || minutes > 59) return false;
            zone_s = sign * (hours * 3600 + minutes * 60);
        } else if (!literal(&p, "Z")) {
            literal(&p, "UTC");
        }
    }
    if (*p != 0 || !civil_to_us(&c, time_us)) return false;
    *time_us -= zone_s * SECOND_US;
    return true;
}

static bool month_name(const char **p, int64_t *month) {
    static const char *names[] = {"january",   "february", "march",    "april",
                                  "may",       "june",     "july",     "august",
                                  "september", "october",  "november", "december"};
    for (int i = 0; i < 12; i++) {
        if (literal(p, names[i])) return *month = i + 1, true;
    }
    for (int i = 0; i < 12; i++) {
        char short_name[4] = {names[i][0], names[i][1], names[i][2], 0};
        if (literal(p, short_name)) return literal(p, "."), *month = i + 1, true;
    }
    return false;
}

/* "1:56 pm on 8 May, 2023", "8 May 2023", "May 8, 2023". */
static bool parse_words(const char *p, int64_t *time_us) {
    struct civil c = {0};
    const char *start = p;
    int64_t hour;
    if (digits(&p, 1, 2, &hour) && literal(&p, ":")) {
        if (!digits(&p, 2, 2, &c.minute)) return false;
        blanks(&p);
        bool pm = literal(&p, "pm");
        if (pm || literal(&p, "am")) {
            if (hour < 1 || hour > 12) return false;
            hour = hour % 12 + (pm ? 12 : 0);
        }
        blanks(&p);
        if (literal(&p, "on ")) blanks(&p);
        c.hour = hour;
    } else {
        p = start;
    }
    if (isdigit((unsigned char)*p)) {
        if (!digits(&p, 1, 2, &c.day)) return false;
        blanks(&p);
        if (!month_name(&p, &c.month)) return false;
    } else {
        if (!month_name(&p, &c.month)) return false;
        blanks(&p);
        if (!digits(&p, 1, 2, &c.day)) return false;
    }
    literal(&p, ",");
    blanks(&p);
    return digits(&p, 4, 4, &c.year) && *p == 0 && civil_to_us(&c, time_us);
}

static bool parse_seconds(const char *p, int64_t *time_us) {
    bool negative = literal(&p, "-");
    int64_t seconds, micro = 0;
    if (!digits(&p, 1, 13, &seconds)) return false;
    if (literal(&p, ".") && !fraction(&p, &micro)) return false;
    if (*p != 0) return false;
    uint64_t size = (uint64_t)seconds * 1000000u + (uint64_t)micro;
    if (size > (uint64_t)INT64_MAX + (negative ? 1u : 0u)) return false;
    *time_us = negative ? (int64_t)(0 - size) : (int64_t)size;
    return true;
}

bool duration_parse(const char *p, int64_t *duration_us) {
    static const struct {
        const char *name;
        int64_t us;
    } units[] = {{"", SECOND_US},
                 {"us", 1},
                 {"ms", 1000},
                 {"s", SECOND_US},
                 {"m", 60 * SECOND_US},
                 {"min", 60 * SECOND_US},
                 {"h", 3600 * SECOND_US},
                 {"d", DAY_S * SECOND_US},
                 {"w", 7 * DAY_S * SECOND_US},
                 {"y", 365 * DAY_S * SECOND_US}};
    int64_t number;
    if (!digits(&p, 1, 9, &number)) return false;
    blanks(&p);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(p, units[i].name) != 0) continue;
        if (number > INT64_MAX / 4 / units[i].us) return false;
        *duration_us = number * units[i].us;
        return true;
    }
    return false;
}

bool time_parse(const char *string, int64_t now_us, int direction, int64_t *time_us) {
    const char *p = string;
    blanks(&p);
    if (strcmp(p, "now") == 0) return *time_us = now_us, true;
    if (*p == '@') return parse_seconds(p + 1, time_us);
    if (parse_iso(p, time_us) || parse_words(p, time_us)) return true;
    if (direction == 0) return false;
    if (*p == '+' || *p == '-') direction = *p++ == '+' ? 1 : -1;
    int64_t duration_us;
    if (!isdigit((unsigned char)*p) || isdigit((unsigned char)p[strlen(p) - 1]) ||
        !duration_parse(p, &duration_us)) {
        return false;
    }
    *time_us = now_us + direction * duration_us;
    return true;
}

bool time_from_number(double number, int64_t *time_us) {
    double size = fabs(number);
    if (!(size < 9e18)) return false;
    if (size < 1e11) {
        number *= 1e6;
    } else if (size < 1e14) {
        number *= 1e3;
    }
    *time_us = (int64_t)llround(number);
    return true;
}

int64_t time_now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000;
}
