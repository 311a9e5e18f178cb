/* spaces.h - embedding spaces as the tool writes them: words for element and metric, the
 * "name=...,dims=..." of init, and a list of a store's spaces. */
#ifndef LORE_TOOLS_SPACES_H
#define LORE_TOOLS_SPACES_H

#include <stdbool.h>

#include "alloc.h"
#include "jsonwrite.h"
#include "lore.h"
#include "text.h"

#define SPACE_NAME_BYTES_MAX 255

struct space {
    char name[SPACE_NAME_BYTES_MAX + 1];
    char model[SPACE_NAME_BYTES_MAX + 1];
    lore_space_spec spec; /* model points into this struct's model: move it only by space_copy */
};

struct space_list {
    struct space **spaces; /* ordered by name; owned */
    size_t count;
};

const char *element_name(lore_element element); /* "f32", "f16", "int8", "binary" */
bool element_find(const char *name, lore_element *element);
const char *metric_name(lore_metric metric); /* "cosine", "dot", "l2", "hamming" */
bool metric_find(const char *name, lore_metric *metric);

size_t space_stride(const lore_space_spec *spec); /* bytes of one vector */

bool space_set(struct space *space, const void *name, size_t name_size, const void *model,
               size_t model_size);

/* "name=use512,dims=512[,element=f16][,metric=cosine][,model=...]"; element defaults to f32, metric
 * to cosine (hamming for binary). A comma cannot stand in a value. */
bool space_parse(const char *string, struct space *space, struct text *error);

lore_status space_list_read(lore_store *store, struct space_list *list);
void space_list_add(struct space_list *list, const struct space *space); /* copies, keeps order */
const struct space *space_list_find(const struct space_list *list, const char *name);
void space_list_free(struct space_list *list);

/* As the header of a dump has it. */
void space_as_json(struct json_writer *writer, const struct space *space);

#endif
