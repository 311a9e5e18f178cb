/*
 * fault_report.c - counting and passing on the faults of a verify.
 */
#include "segment/fault_report.h"

#include <inttypes.h>

#include "base/poison.h"

lore_status fault_report_damage(struct fault_report *report, uint64_t offset, lore_status status) {
    if (status != LORE_CORRUPTION && status != LORE_IO) return status;
    report->faults++;
    if (report->fault == NULL) return LORE_OK;
    struct segment_fault fault = {.offset = offset, .message = lore_error_message()};
    report->fault(report->context, &fault);
    return LORE_OK;
}

lore_status fault_report_go_on(const struct fault_report *report, uint64_t bytes) {
    if (report->keep_going == NULL || report->keep_going(report->context, bytes)) return LORE_OK;
    return fail(LORE_CANCELLED, "verify: cancelled");
}

lore_status fault_report_result(const struct fault_report *report, lore_status status,
                                const char *path) {
    if (status != LORE_OK || report->faults == 0) return status;
    return fail(LORE_CORRUPTION, "%s: %" PRIu64 " faults", path, report->faults);
}
