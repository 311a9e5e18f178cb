/*
 * segment_file.h - what builders and readers of all segment files share: a buffered writer that digests what it
 * writes, and header, trailer and footer checked against a summary. segment.h draws the bytes.
 *
 * Threads: a writer belongs to one thread; the reading functions may be called from any.
 */
#ifndef LORE_SEGMENT_SEGMENT_FILE_H
#define LORE_SEGMENT_SEGMENT_FILE_H

#include "segment/segment_block.h"

#define SUMMARY_FIXED_BYTES 176u /* of an encoded summary; keys, groups and inputs follow */

/* Copy the inputs into a summary that has none yet. */
MUST_USE lore_status segment_summary_set_inputs(struct segment_summary *summary,
                                                const uint64_t *inputs, size_t inputs_count);

/* "dir/000000000012.table" in out. */
MUST_USE lore_status segment_path(const struct segment_context *context, enum segment_kind kind,
                                  uint64_t id, char out[PATH_BYTES_MAX]);

/* ---- writing a file ---- */

struct segment_writer {
    const struct segment_context *context; /* the builder's */
    enum segment_kind kind;
    uint64_t id;
    struct file *file; /* owned; NULL once finished */
    uint64_t offset;   /* bytes so far: written and buffered */
    uint8_t *buffer;   /* owned: work allocator */
    size_t buffered;
    struct digest_stream digest; /* of all up to `offset` */
    char path[PATH_BYTES_MAX];
};
/* Create the file, with its header in the buffer. The writer is in its final place: it must not be moved. On failure
 * nothing is left. */
MUST_USE lore_status segment_writer_init(struct segment_writer *writer,
                                         const struct segment_context *context,
                                         enum segment_kind kind, uint64_t id);
/* After a failure of these the writer is only good for segment_writer_deinit. */
MUST_USE lore_status segment_writer_append(struct segment_writer *writer, const void *data,
                                           size_t size);
/* Append a stored block (as segment_pack gave it, or copied from another file) and say where it went. */
MUST_USE lore_status segment_writer_add_block(struct segment_writer *writer, lore_slice stored,
                                              struct segment_place *place);
/* Bytes handed to the file, without what is in the buffer. */
uint64_t segment_writer_written(const struct segment_writer *writer);
/* Append footer and trailer, sync, close. `footer` holds segment_summary_encode(summary, true, ...) and what the kind adds.
 * Sets the summary's bytes, footer_check and digest. */
MUST_USE lore_status segment_writer_finish(struct segment_writer *writer, lore_slice footer,
                                           struct segment_summary *summary);
/* Unfinished: closes and removes the file. Fine on a zeroed writer. */
void segment_writer_deinit(struct segment_writer *writer);

/* ---- reading a file ---- */

/* Check the file's size, header, trailer and footer against the summary. *body is the whole footer (allocated here: the
 * caller's bytes_free, also after a failure); *rest is what follows the summary in it. *footer_offset is where it begins.
 * LORE_CORRUPTION says what differs, LORE_UNSUPPORTED what is unknown. */
MUST_USE lore_status segment_footer_read(struct pooled_file *file,
                                         const struct segment_summary *summary, struct bytes *body,
                                         struct reader *rest, uint64_t *footer_offset);
/* For salvage: what a file says of itself, `digest` not computed. `summary` is initialised. */
MUST_USE lore_status segment_describe(struct pooled_file *file, struct segment_summary *summary);
/* For salvage: which segment a header is of; false if it is not sound. */
bool segment_header_names(const uint8_t header[SEGMENT_HEADER_BYTES], enum segment_kind *kind,
                          uint64_t *id);
/* For salvage: the two ends of the file at `path` as they must be, made from the summary: its header; footer and trailer
 * (`tail`, whose end is the file's, at summary->bytes). What the summary does not say is taken from the file, under the footer's
 * check: LORE_CORRUPTION if that is hurt. *sound: these are the ends that it has. */
MUST_USE lore_status segment_ends(const lore_env *env, const char *path,
                                  const struct segment_summary *summary,
                                  uint8_t header[SEGMENT_HEADER_BYTES], struct bytes *tail,
                                  bool *sound);
/* Read the whole file and compare its XXH3-128 with the summary's. LORE_CORRUPTION if it differs. keep_going as
 * in table_verify. */
MUST_USE lore_status segment_digest_check(struct pooled_file *file,
                                          const struct segment_summary *summary,
                                          const struct allocator *allocator,
                                          bool (*keep_going)(void *context, uint64_t bytes),
                                          void *context);

#endif
