/* attributes.c - see attributes.h. */
#include "attributes.h"

#include <string.h>

static const struct {
    const char *name;
    lore_attribute attribute;
} attributes[] = {
    {"id", LORE_ATTR_ID},
    {"text", LORE_ATTR_TEXT},
    {"kind", LORE_ATTR_KIND},
    {"layer", LORE_ATTR_LAYER},
    {"tier", LORE_ATTR_TIER},
    {"status", LORE_ATTR_STATUS},
    {"user", LORE_ATTR_USER},
    {"user_id", LORE_ATTR_USER},
    {"agent", LORE_ATTR_AGENT},
    {"agent_id", LORE_ATTR_AGENT},
    {"session", LORE_ATTR_SESSION},
    {"session_id", LORE_ATTR_SESSION},
    {"role", LORE_ATTR_ROLE},
    {"metadata", LORE_ATTR_METADATA},
    {"tag", LORE_ATTR_TAGS},
    {"tags", LORE_ATTR_TAGS},
    {"created_at", LORE_ATTR_CREATED_AT},
    {"updated_at", LORE_ATTR_UPDATED_AT},
    {"expires_at", LORE_ATTR_EXPIRES_AT},
    {"importance", LORE_ATTR_IMPORTANCE},
    {"importance_score", LORE_ATTR_IMPORTANCE},
    {"position", LORE_ATTR_POSITION},
    {"access_count", LORE_ATTR_ACCESS_COUNT},
    {"last_accessed_at", LORE_ATTR_LAST_ACCESSED_AT},
};

bool attribute_find(const char *name, lore_attribute *attribute) {
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        if (strcmp(attributes[i].name, name) == 0)
            return *attribute = attributes[i].attribute, true;
    }
    return false;
}

void attribute_set(lore_memory *memory, lore_attribute attribute, lore_slice value) {
    switch (attribute) {
    case LORE_ATTR_ID: memory->id = value; break;
    case LORE_ATTR_TEXT: memory->text = value; break;
    case LORE_ATTR_KIND: memory->kind = value; break;
    case LORE_ATTR_LAYER: memory->layer = value; break;
    case LORE_ATTR_TIER: memory->tier = value; break;
    case LORE_ATTR_STATUS: memory->status = value; break;
    case LORE_ATTR_USER: memory->user_id = value; break;
    case LORE_ATTR_AGENT: memory->agent_id = value; break;
    case LORE_ATTR_SESSION: memory->session_id = value; break;
    case LORE_ATTR_ROLE: memory->role = value; break;
    case LORE_ATTR_METADATA: memory->metadata = value; break;
    case LORE_ATTR_TAGS:
    case LORE_ATTR_IMPORTANCE:
    case LORE_ATTR_CREATED_AT:
    case LORE_ATTR_UPDATED_AT:
    case LORE_ATTR_EXPIRES_AT:
    case LORE_ATTR_POSITION:
    case LORE_ATTR_ACCESS_COUNT:
    case LORE_ATTR_LAST_ACCESSED_AT:
    case LORE_ATTR_COUNT: return;
    }
    memory->fields |= LORE_FIELD(attribute);
}
