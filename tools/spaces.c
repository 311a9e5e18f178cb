/* spaces.c - see spaces.h. */
#include "spaces.h"

#include <stdlib.h>
#include <string.h>

#include "sizetext.h"

static const char *const elements[] = {NULL, "f32", "f16", "int8", "binary"};
static const char *const metrics[] = {NULL, "cosine", "dot", "l2", "hamming"};

const char *element_name(lore_element element) {
    return elements[element];
}
const char *metric_name(lore_metric metric) {
    return metrics[metric];
}

bool element_find(const char *name, lore_element *element) {
    for (int i = 1; i <= 4; i++) {
        if (strcmp(name, elements[i]) == 0) return *element = (lore_element)i, true;
    }
    return false;
}

bool metric_find(const char *name, lore_metric *metric) {
    for (int i = 1; i <= 4; i++) {
        if (strcmp(name, metrics[i]) == 0) return *metric = (lore_metric)i, true;
    }
    return false;
}

size_t space_stride(const lore_space_spec *spec) {
    switch (spec->element) {
    case LORE_ELEMENT_F32: return (size_t)spec->dimensions * 4;
    case LORE_ELEMENT_F16: return (size_t)spec->dimensions * 2;
    case LORE_ELEMENT_INT8: return spec->dimensions;
    case LORE_ELEMENT_BINARY: break;
    }
    return spec->dimensions / 8;
}

bool space_set(struct space *space, const void *name, size_t name_size, const void *model,
               size_t model_size) {
    if (name_size < 1 || name_size > SPACE_NAME_BYTES_MAX || model_size > SPACE_NAME_BYTES_MAX) {
        return false;
    }
    if (memchr(name, 0, name_size) != NULL) return false;
    memset(space->name, 0, sizeof space->name);
    memset(space->model, 0, sizeof space->model);
    memcpy(space->name, name, name_size);
    if (model_size > 0) memcpy(space->model, model, model_size);
    space->spec.model = (lore_slice){space->model, model_size};
    return true;
}

static bool parse_part(struct space *space, const char *key, const char *value,
                       struct text *error) {
    uint64_t dimensions;
    if (strcmp(key, "name") == 0) {
        if (space_set(space, value, strlen(value), space->model, space->spec.model.size))
            return true;
        text_puts(error, "a space's name has 1 to 255 bytes");
    } else if (strcmp(key, "model") == 0) {
        if (strlen(value) <= SPACE_NAME_BYTES_MAX) {
            strcpy(space->model, value);
            space->spec.model = (lore_slice){space->model, strlen(value)};
            return true;
        }
        text_puts(error, "a space's model has at most 255 bytes");
    } else if (strcmp(key, "dims") == 0 || strcmp(key, "dimensions") == 0) {
        if (count_parse(value, &dimensions) && dimensions >= 1 &&
            dimensions <= LORE_DIMENSIONS_MAX) {
            space->spec.dimensions = (uint32_t)dimensions;
            return true;
        }
        text_printf(error, "dims is 1 to %u", LORE_DIMENSIONS_MAX);
    } else if (strcmp(key, "element") == 0) {
        if (element_find(value, &space->spec.element)) return true;
        text_puts(error, "element is f32, f16, int8 or binary");
    } else if (strcmp(key, "metric") == 0) {
        if (metric_find(value, &space->spec.metric)) return true;
        text_puts(error, "metric is cosine, dot, l2 or hamming");
    } else {
        text_printf(error, "unknown part \"%s\" (name, dims, element, metric, model)", key);
    }
    return false;
}

bool space_parse(const char *string, struct space *space, struct text *error) {
    memset(space, 0, sizeof *space);
    space->spec.element = LORE_ELEMENT_F32;
    char *copy = alloc_copy(string), *rest = copy;
    bool fine = true, metric_given = false;
    while (fine && rest != NULL) {
        char *part = rest;
        rest = strchr(part, ',');
        if (rest != NULL) *rest++ = 0;
        char *value = strchr(part, '=');
        if (value == NULL) {
            text_printf(error, "\"%s\" is not key=value", part);
            fine = false;
            break;
        }
        *value++ = 0;
        metric_given = metric_given || strcmp(part, "metric") == 0;
        fine = parse_part(space, part, value, error);
    }
    free(copy);
    if (!fine) return false;
    if (space->name[0] == 0 || space->spec.dimensions == 0) {
        text_puts(error, "a space needs name=... and dims=...");
        return false;
    }
    if (!metric_given) {
        space->spec.metric =
            space->spec.element == LORE_ELEMENT_BINARY ? LORE_METRIC_HAMMING : LORE_METRIC_COSINE;
    }
    return true;
}

void space_list_add(struct space_list *list, const struct space *space) {
    list->spaces = alloc_grow(list->spaces, (list->count + 1) * sizeof *list->spaces);
    struct space *copy = alloc_bytes(sizeof *copy);
    *copy = *space;
    copy->spec.model.data = copy->model;
    size_t at = list->count++;
    for (; at > 0 && strcmp(list->spaces[at - 1]->name, copy->name) > 0; at--) {
        list->spaces[at] = list->spaces[at - 1];
    }
    list->spaces[at] = copy;
}

static bool on_space(void *context, const lore_space_info *info) {
    struct space space;
    memset(&space, 0, sizeof space);
    space.spec = info->spec;
    if (space_set(&space, info->name.data, info->name.size, info->spec.model.data,
                  info->spec.model.size)) {
        space_list_add(context, &space);
    }
    return true;
}

lore_status space_list_read(lore_store *store, struct space_list *list) {
    *list = (struct space_list){0};
    return lore_space_list(store, on_space, list);
}

const struct space *space_list_find(const struct space_list *list, const char *name) {
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->spaces[i]->name, name) == 0) return list->spaces[i];
    }
    return NULL;
}

void space_list_free(struct space_list *list) {
    for (size_t i = 0; i < list->count; i++)
        free(list->spaces[i]);
    free(list->spaces);
    *list = (struct space_list){0};
}

void space_as_json(struct json_writer *writer, const struct space *space) {
    jw_begin_object(writer);
    jw_string_member(writer, "name", space->name);
    jw_uint_member(writer, "dimensions", space->spec.dimensions);
    jw_string_member(writer, "element", element_name(space->spec.element));
    jw_string_member(writer, "metric", metric_name(space->spec.metric));
    jw_bytes_member(writer, "model", space->model, space->spec.model.size);
    jw_end_object(writer);
}
