/* commands.c - see commands.h. Options that several verbs share are macros above the tables. */
#include "commands.h"

#include "filters.h"

#define ANY SIZE_MAX
#define END                                                                                        \
    { .name = NULL }

#define READING_OPTIONS                                                                            \
    {.name = "no-access", .help = "Do not count this as an access."},                              \
        {.name = "expired", .help = "Show memories past their expiry too."}, {                     \
        .name = "embeddings", .help = "Show embeddings (base64 with --json)."                      \
    }

const struct option_spec global_options[] = {
    {.name = "memory-path",
     .value = "PATH",
     .alias = "db",
     .help = "Directory of the store (else LORE_MEMORY_PATH, the configuration, ./memory)."},
    {.name = "config", .value = "FILE", .help = "Read settings from this file only."},
    {.name = "memory-budget", .value = "SIZE", .help = "Memory that the store may use (64MiB)."},
    {.name = "lock-timeout", .value = "TIME", .help = "How long to wait for another writer (30s)."},
    {.name = "durability", .value = "HOW", .help = "full, interval or none (full)."},
    {.name = "read-only", .help = "Take no lock and change nothing, not even access counts."},
    {.name = "json",
     .help = "One JSON document on stdout, also on failure; what is said on stderr as JSON."},
    {.name = "progress",
     .value = "HOW",
     .help = "auto, bar, json or none: on stderr, for long work."},
    {.name = "verbose",
     .letter = 'v',
     .repeat = true,
     .help = "Say more on stderr; twice for everything."},
    {.name = "quiet", .letter = 'q', .help = "Say nothing on stderr but errors."},
    {.name = "help", .letter = 'h', .help = "Show help."},
    {.name = "version", .help = "Show the version."},
    END,
};

static const struct option_spec no_options[] = {END};

static const struct option_spec init_options[] = {
    {.name = "space",
     .value = "SPEC",
     .repeat = true,
     .help = "Create an embedding space: name=N,dims=D[,element=f32][,metric=cosine][,model=M]."},
    END,
};
static const struct example_spec init_examples[] = {
    {"lore init", "Create ./memory."},
    {"lore init --db ~/agent --space name=use512,dims=512,element=f16",
     "With a space for embeddings."},
    {NULL, NULL},
};

static const struct option_spec put_options[] = {
    {.name = "text", .value = "TEXT", .help = "The text (\"-\": stdin); an operand does the same."},
    {.name = "stdin", .help = "Read the text from stdin."},
    {.name = "id", .value = "ID", .help = "Its id; else one is made."},
    {.name = "kind", .value = "KIND", .help = "Such as dialogue, decision, fact."},
    {.name = "layer",
     .value = "LAYER",
     .help = "short_term, long_term, working, episodic, semantic, or your own."},
    {.name = "tier", .value = "TIER", .help = "working, warm or cold."},
    {.name = "status", .value = "STATUS", .help = "active, archived or deleted."},
    {.name = "user", .value = "USER", .help = "Whose memory."},
    {.name = "agent", .value = "AGENT", .help = "Which agent's."},
    {.name = "session", .value = "SESSION", .help = "Of which session."},
    {.name = "position", .value = "N", .help = "Place in the session; else the next."},
    {.name = "role", .value = "ROLE", .help = "Who speaks: user, assistant, a name."},
    {.name = "tag", .value = "TAG", .repeat = true, .help = "A tag."},
    {.name = "importance", .value = "X", .help = "0 to 1."},
    {.name = "created", .value = "TIME", .help = "When it was said; else now."},
    {.name = "expires",
     .value = "TIME",
     .help = "From when reads hide it: a time, 30d from now, or never."},
    {.name = "metadata", .value = "JSON", .help = "Anything; kept byte for byte."},
    {.name = "embedding",
     .value = "SPACE=FILE",
     .repeat = true,
     .help = "A vector: .f16bin or .npy (FILE#ROW), a JSON array, or raw bytes."},
    {.name = "update", .help = "Change only what is given of the memory --id."},
    {.name = "insert", .help = "Fail if the id is there already."},
    END,
};
static const struct example_spec put_examples[] = {
    {"lore put \"The user prefers trains to planes.\" --kind fact --tag travel",
     "Prints the new id."},
    {"lore put --id pref-1 --update --importance 0.9",
     "Changes one attribute; text and vectors stay."},
    {"date | lore put --stdin --session s1 --role assistant", "Text from stdin."},
    {NULL, NULL},
};

static const struct option_spec get_options[] = {READING_OPTIONS, END};
static const struct example_spec get_examples[] = {
    {"lore get pref-1", "The memory in full."},
    {"lore get pref-1 --json | jq -r .text", "One field of it."},
    {NULL, NULL},
};

static const struct option_spec delete_options[] = {
    FILTER_OPTIONS,
    {.name = "all", .help = "Every memory."},
    {.name = "dry-run", .help = "Only say how many."},
    END,
};
static const struct example_spec delete_examples[] = {
    {"lore delete pref-1 pref-2", "By id."},
    {"lore delete --session s1 --until 90d --dry-run",
     "How many of a session are older than 90 days?"},
    {NULL, NULL},
};

static const struct option_spec import_options[] = {
    {.name = "format",
     .value = "FORMAT",
     .help = "auto, jsonl, array, locomo, chatgpt or claude (auto)."},
    {.name = "map",
     .value = "FIELD=NAME",
     .repeat = true,
     .help = "Take FIELD from the member NAME."},
    {.name = "set",
     .value = "FIELD=VALUE",
     .repeat = true,
     .help = "Give VALUE where a record has no FIELD."},
    {.name = "id-from", .value = "A,B", .help = "Make the id of these members, joined by '/'."},
    {.name = "session-from",
     .value = "A,B",
     .help = "Make the session of these members, joined by '/'."},
    {.name = "embeddings",
     .value = "FILE",
     .help = "Row i of this .f16bin or .npy goes with record i."},
    {.name = "space",
     .value = "NAME",
     .help = "The space of --embeddings; created if it is missing."},
    {.name = "element",
     .value = "TYPE",
     .help = "Element type of a space so created (the file's)."},
    {.name = "metric", .value = "METRIC", .help = "Metric of a space so created (cosine)."},
    {.name = "model", .value = "MODEL", .help = "Model name of a space so created."},
    {.name = "existing",
     .value = "HOW",
     .help = "Ids that are there already: skip, replace or fail (skip)."},
    {.name = "skip-bad",
     .help = "Leave bad records out (exit code 3) instead of stopping at the first."},
    {.name = "dry-run", .help = "Read and check everything, write nothing."},
    END,
};
static const struct example_spec import_examples[] = {
    {"lore import docs/sample/conversation.jsonl", "A conversation, a turn a line."},
    {"lore import conversations.json", "A ChatGPT or Claude export."},
    {"lore import turns.jsonl --id-from conv,id --map text=words --set kind=dialogue",
     "Other names of members."},
    {"lore import turns.jsonl --embeddings turns.f16bin --space use512",
     "With a vector for each line."},
    {NULL, NULL},
};

static const struct option_spec dump_options[] = {
    {.name = "output",
     .letter = 'o',
     .value = "FILE",
     .help = "Write here (whole or not at all) instead of stdout."},
    {.name = "canonical",
     .help = "Leave store id, lineage and sequence out: equal content, equal bytes."},
    {.name = "format",
     .value = "FORMAT",
     .help = "jsonl, csv (without embeddings), or npy (one space) (jsonl)."},
    {.name = "space", .value = "NAME", .help = "The space of --format npy."},
    END,
};
static const struct example_spec dump_examples[] = {
    {"lore dump > memory.jsonl", "Everything."},
    {"lore dump --format npy --space use512 --output vectors.npy",
     "The vectors, by id of their memory."},
    {NULL, NULL},
};

static const struct option_spec load_options[] = {
    {.name = "merge", .help = "Into a store that is not empty; same ids and keys are replaced."},
    {.name = "dry-run", .help = "Only check the dump."},
    END,
};
static const struct example_spec load_examples[] = {
    {"lore load memory.jsonl --db ./copy", "Into a new store."},
    {"lore dump --db a | lore load --db b --merge", "Add one store to another."},
    {NULL, NULL},
};

static const struct option_spec backup_options[] = {
    {.name = "to", .value = "DIR", .help = "Directory of backups (else the setting backup_path)."},
    {.name = "name", .value = "LABEL", .help = "Its name in there (snapshot_YYYYMMDD_HHMMSS)."},
    {.name = "copy", .help = "Copy every file, even where a link would do."},
    {.name = "type", .value = "TYPE", .help = "full, the only one of this version."},
    END,
};
static const struct example_spec backup_examples[] = {
    {"lore backup --to /mnt/other/backups", "Prints the new directory."},
    {"lore backup --to ./backups --name before-upgrade --copy", "One that stands on its own."},
    {NULL, NULL},
};

static const struct option_spec list_options[] = {
    {.name = "to", .value = "DIR", .help = "Directory of backups (else the setting backup_path)."},
    END,
};
static const struct example_spec list_examples[] = {
    {"lore list-snapshots --to /mnt/other/backups", "Oldest first; the last good one is marked."},
    {NULL, NULL},
};

static const struct option_spec restore_options[] = {
    {.name = "from",
     .value = "DIR",
     .help = "Directory of backups (else the setting backup_path)."},
    {.name = "target-path",
     .value = "DIR",
     .help = "Restore to here instead of the store's place."},
    {.name = "confirm", .help = "Make it the next generation of a store that is there."},
    {.name = "dry-run", .help = "Check the backup and say what would happen."},
    END,
};
static const struct example_spec restore_examples[] = {
    {"lore restore latest --target-path ./try", "Into a new place."},
    {"lore restore before-upgrade --confirm", "Back to that backup; the present state is kept."},
    {"lore restore memory.jsonl --confirm", "From a dump."},
    {NULL, NULL},
};

static const struct option_spec salvage_options[] = {
    {.name = "to",
     .value = "DIR",
     .help = "The new store: a directory that is not there, or empty."},
    {.name = "report", .value = "FILE", .help = "What is missing, as JSON (DIR-salvage.json)."},
    END,
};
static const struct example_spec salvage_examples[] = {
    {"lore salvage --db ./broken --to ./saved", "All that checks, into a new store."},
    {"lore load --merge ./saved-suspect.jsonl --db ./saved", "Then what is in doubt, if wanted."},
    {NULL, NULL},
};

static const struct example_spec verify_examples[] = {
    {"lore verify", "The store, also beside a live writer."},
    {"lore verify ./backups/before-upgrade", "A backup, without restoring it."},
    {"lore verify memory.jsonl", "A dump."},
    {NULL, NULL},
};
static const struct example_spec compact_examples[] = {
    {"lore compact", "Merge everything and drop what is dead."},
    {NULL, NULL},
};
static const struct example_spec status_examples[] = {
    {"lore status", "Where it is, what is in it, how it is."},
    {"lore status --json | jq .memories", "One number of it."},
    {NULL, NULL},
};
static const struct example_spec stats_examples[] = {
    {"lore stats --json", "Every number that the engine keeps."},
    {NULL, NULL},
};

static const struct option_spec search_options[] = {
    FILTER_OPTIONS,
    {.name = "limit", .value = "N", .help = "At most so many (10); 0: all."},
    {.name = "offset", .value = "N", .help = "Pass over the first N."},
    {.name = "order",
     .value = "ORDER",
     .help = "default, created, newest, importance or accessed."},
    {.name = "ignore-case", .letter = 'i', .help = "Letters a-z equal A-Z in the substring."},
    {.name = "vector",
     .value = "FILE",
     .help = "Nearest to this vector (.f16bin or .npy with #ROW, JSON, raw)."},
    {.name = "like", .value = "ID", .help = "Nearest to the embedding of this memory."},
    {.name = "space", .value = "NAME", .help = "The space to search, if there are several."},
    READING_OPTIONS,
    END,
};
static const struct example_spec search_examples[] = {
    {"lore search train --limit 5", "Memories whose text contains \"train\"."},
    {"lore search --kind fact --user ada --since 30d", "By attributes alone."},
    {"lore search --vector queries.f16bin#0 --space use512 --limit 5", "Exact nearest neighbours."},
    {"lore search --like pref-1 --tag travel", "Like that one, among those tagged."},
    {NULL, NULL},
};

static const struct option_spec chat_options[] = {
    {.name = "session",
     .value = "SESSION",
     .help = "Only this session, by position; else all, by time."},
    {.name = "role", .value = "ROLE", .help = "Only turns of this role."},
    {.name = "limit",
     .value = "N",
     .help = "The last N turns (20; with --tokens all that fit); 0: all."},
    {.name = "tokens", .value = "N", .help = "The last turns that fit, at four bytes a token."},
    {.name = "since", .value = "TIME", .help = "Only turns at or after TIME."},
    {.name = "until", .value = "TIME", .help = "Only turns before TIME."},
    END,
};
static const struct example_spec chat_examples[] = {
    {"lore chat-history --limit 20", "The last 20 turns of all sessions."},
    {"lore chat-history --session s1 --tokens 2000", "What fits into a prompt."},
    {NULL, NULL},
};

static const struct option_spec wal_options[] = {
    {.name = "limit", .value = "N", .help = "At most so many records."},
    END,
};
static const struct example_spec wal_examples[] = {
    {"lore wal-dump", "A line for each record of the log."},
    {NULL, NULL},
};

static const struct option_spec config_options[] = {
    {.name = "origin", .help = "Say where each setting comes from."},
    END,
};
static const struct example_spec config_examples[] = {
    {"lore config show --origin", "Every setting and its origin."},
    {"lore config get memory_path", "One of them."},
    {NULL, NULL},
};
static const struct example_spec selftest_examples[] = {
    {"lore selftest", "After moving to a new machine."},
    {NULL, NULL},
};
static const struct example_spec completion_examples[] = {
    {"lore completion bash > ~/.local/share/bash-completion/completions/lore", "For bash."},
    {NULL, NULL},
};
static const struct example_spec no_examples[] = {{NULL, NULL}};

const struct command_spec commands[] = {
    {"init", NULL, "create a store", "", 0, 0,
     "Creates an empty store. With --space also on a store that is there: spaces are added.",
     "{path, created}", init_options, init_examples, cmd_init, false},
    {"put", NULL, "write a memory", "[TEXT]", 0, 1,
     "Writes one memory and prints its id. It is on the disk when the command returns. A memory of "
     "the same id is\n"
     "replaced whole; with --update only what is given changes.",
     "{id, result}: result is written or updated", put_options, put_examples, cmd_put, false},
    {"get", NULL, "show memories by id", "ID...", 1, ANY,
     "Shows memories in full. This counts as an access, unless --no-access or --read-only is given "
     "or a writer\n"
     "holds the store.",
     "one ID: the memory itself; several: {memories, count, not_found}", get_options, get_examples,
     cmd_get, false},
    {"delete", NULL, "delete memories by id or by conditions", "[ID]...", 0, ANY, "",
     "{deleted, not_found}; with --dry-run would_delete", delete_options, delete_examples,
     cmd_delete, false},
    {"import", NULL, "import other programs' JSON", "[FILE]", 0, 1,
     "Reads JSON lines, an array of objects, a ChatGPT or Claude export, or LoCoMo turns, from "
     "FILE or stdin.\n"
     "Members are found by their usual names: id; text, content or message; kind; date, created_at "
     "or timestamp;\n"
     "session, session_id or conversation; role or speaker; user_id; tags; metadata, kept byte for "
     "byte. What\n"
     "no field takes is kept as metadata.\n"
     "\n"
     "LoCoMo turns become id conv/D1:3, session conv/D1, the speaker as role, the conversation as "
     "tag, and\n"
     "the session's date, each turn a microsecond after the one before.",
     "{format, imported, existing, bad, bad_records}; with --dry-run would_import", import_options,
     import_examples, cmd_import, false},
    {"dump", NULL, "write everything as JSON lines, CSV or .npy", "", 0, 0,
     "One snapshot of the store: a header, a line for each memory by id and for each entry of the "
     "ordered map, and\n"
     "a trailer with count and digest. lore load reads it back.",
     "{path, format}, for jsonl also records, entries, digest; needs --output", dump_options,
     dump_examples, cmd_dump, false},
    {"load", NULL, "read a dump back", "[FILE]", 0, 1,
     "Reads a dump from FILE or stdin into a new or empty store. A cut or changed file is "
     "recognised at its end: use\n"
     "lore restore to check first and switch in one step.",
     "{records, written, skipped, entries, digest, dry_run}", load_options, load_examples, cmd_load,
     false},
    {"backup", NULL, "make a full backup", "", 0, 0,
     "Flushes, then makes DIR/LABEL: every file of the store and a manifest with their digests. On "
     "the same file\n"
     "system files are linked; such a backup shares its bytes with the store and never counts as "
     "the last good one.",
     "{name, path, sequence, records, files, bytes, linked, root_digest, content_digest}",
     backup_options, backup_examples, cmd_backup, false},
    {"list-snapshots", NULL, "list backups and named snapshots", "", 0, 0,
     "Backups in the backup directory, generations that a restore has kept, and snapshots inside "
     "the "
     "store. Where the\nstore does not open, all but the last are listed still (exit code 3).",
     "{backup_path, backups, snapshots, generations}", list_options, list_examples,
     cmd_list_snapshots, false},
    {"restore", NULL, "restore a backup or a dump", "NAME|latest|PATH|DUMPFILE", 1, 1,
     "Checks every digest first, builds the next generation, and switches to it in one step. The "
     "generation before\n"
     "is kept. A store that is there is not touched without --confirm.",
     "{from, target, kind, restored, replaces, records}", restore_options, restore_examples,
     cmd_restore, false},
    {"verify", "validate", "check a store, a backup or a dump", "[PATH]", 0, 1,
     "Every check and digest of every file, the order of keys, and every index against the "
     "memories. Changes nothing.\n"
     "A damaged file is one finding, with what depends on it: keys, and memories by their ids.",
     "{path, kind, ok, damaged, warnings, files, bytes, entries, memories, findings}; a finding of "
     "damage: code, name, kind, file, offset, message, places, keys, memories, memory_ids, "
     "keys_hex",
     no_options, verify_examples, cmd_verify, false},
    {"salvage", NULL, "save what can be read of a damaged store", "", 0, 0,
     "Reads all that checks, whatever else is broken, into a new store at DIR. The damaged store "
     "is "
     "only read. No value\n"
     "in the new store is wrong: a record goes there only if no damaged place could hold a newer "
     "version of it, or its\n"
     "delete. The others that can be read are written to DIR-suspect.jsonl, a dump that lore load "
     "reads, each with the\n"
     "reason as its member \"suspect\". What is missing is in DIR-salvage.json: key ranges, "
     "sequence numbers, memories by id.\n"
     "Exit code 0: everything came through; 3: something is in doubt or missing.",
     "{path, to, suspect_file, ok, memories, entries, suspect_memories, suspect_entries, "
     "memories_lost, losses, files, bytes, missing, harmless}; a loss: kind, file, offset, "
     "first_key, last_key, first_sequence, last_sequence, id, space, message",
     salvage_options, salvage_examples, cmd_salvage, false},
    {"compact", NULL, "merge everything and drop what is dead", "", 0, 0, "",
     "{bytes_before, bytes_after}", no_options, compact_examples, cmd_compact, false},
    {"status", NULL, "what is in the store and how it is", "", 0, 0, "",
     "a member for each line, sizes in bytes", no_options, status_examples, cmd_status, false},
    {"stats", NULL, "every number that the engine keeps", "", 0, 0, "", "a member for each number",
     no_options, stats_examples, cmd_stats, false},
    {"search", NULL, "find memories by text, attributes or vector", "[TEXT]", 0, 1,
     "All conditions must hold. TEXT is a plain substring. With --vector or --like the nearest "
     "come first, by exact\n"
     "distance; otherwise the order of writing.",
     "{results, count}: memories with row, and distance where a vector was searched",
     search_options, search_examples, cmd_search, false},
    {"chat-history", NULL, "the last turns of a session or of all", "", 0, 0, "",
     "{turns, count}: memories, oldest first", chat_options, chat_examples, cmd_chat_history,
     false},
    {"wal-dump", NULL, "list the records of the log", "", 0, 0, "", "{records, count}", wal_options,
     wal_examples, cmd_wal_dump, false},
    {"config", NULL, "show the settings and where they come from", "[show|get SETTING]", 0, 2, "",
     "a member for each setting, with --origin {value, origin}; get: {setting, value, origin}",
     config_options, config_examples, cmd_config, false},
    {"selftest", NULL, "check digests, codecs and kernels on this machine", "", 0, 0, "",
     "{tests, passed, failed}", no_options, selftest_examples, cmd_selftest, false},
    {"completion", NULL, "print a completion script for a shell", "bash|zsh|fish", 1, 1, "",
     "{script}", no_options, completion_examples, cmd_completion, false},
    {"version", NULL, "show the version", "", 0, 0, "", "{version}", no_options, no_examples,
     cmd_version, false},
    {"help", NULL, "show help", "[VERB]", 0, 1, "", "{help}", no_options, no_examples, cmd_help,
     false},
    {"man", NULL, "write the man pages", "DIRECTORY [PAGE]...", 1, ANY, "", "{directory, pages}",
     no_options, no_examples, cmd_man, true},
    {.name = NULL},
};
