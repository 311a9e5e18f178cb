/* attributes.h - attributes of a memory by name. */
#ifndef LORE_TOOLS_ATTRIBUTES_H
#define LORE_TOOLS_ATTRIBUTES_H

#include <stdbool.h>

#include "lore.h"

/* As options, JSON and --map write it ("user" and "user_id" are one); false for an unknown one. */
bool attribute_find(const char *name, lore_attribute *attribute);

/* Set a text attribute; others are left alone. `value` must outlive the memory. */
void attribute_set(lore_memory *memory, lore_attribute attribute, lore_slice value);

#endif
