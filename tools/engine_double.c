/* engine_double.c - the calls of lore.h that the pure parts of the tool make, for tests and fuzzers
 * that link no engine. */
#include <string.h>

#include "lore.h"

/* The replayer of fuzz targets brings the engine's lowest floor, which has these. */
#pragma weak lore_version
#pragma weak lore_slice_of

const char *lore_version(void) {
    return "0.0.0";
}

lore_slice lore_slice_of(const char *text) {
    return (lore_slice){text, strlen(text)};
}

void lore_memory_init(lore_memory *memory) {
    memset(memory, 0, sizeof *memory);
    memory->struct_size = sizeof *memory;
}

lore_status lore_space_list(lore_store *store, lore_space_fn callback, void *context) {
    (void)store;
    (void)callback;
    (void)context;
    return LORE_OK;
}
