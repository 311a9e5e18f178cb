/*
 * fault_report.h - how a verify tells of what it finds, and goes on.
 *
 * Threads: one.
 */
#ifndef LORE_SEGMENT_FAULT_REPORT_H
#define LORE_SEGMENT_FAULT_REPORT_H

#include "segment/table.h"

struct fault_report {
    segment_fault_fn fault;                            /* NULL: only counted */
    bool (*keep_going)(void *context, uint64_t bytes); /* NULL: always */
    void *context;                                     /* of both */
    uint64_t faults;
};
/* Report this thread's last failure if it is damage (LORE_CORRUPTION, or LORE_IO: a place that the
 * device no longer gives), and return LORE_OK; any other status is passed on. */
MUST_USE lore_status fault_report_damage(struct fault_report *report, uint64_t offset,
                                         lore_status status);
/* LORE_CANCELLED if the caller does not want to go on; `bytes` are about to be read. */
MUST_USE lore_status fault_report_go_on(const struct fault_report *report, uint64_t bytes);
/* What the verify returns: LORE_CORRUPTION if it went through and there were faults. */
MUST_USE lore_status fault_report_result(const struct fault_report *report, lore_status status,
                                         const char *path);

#endif
