/*
 * commands.h - the one table of verbs, from which parsing, --help, man pages and completions come,
 * and the verbs themselves, each in its cmd_ file. A verb returns its exit code.
 */
#ifndef LORE_TOOLS_COMMANDS_H
#define LORE_TOOLS_COMMANDS_H

#include "cli.h"

extern const struct command_spec commands[];      /* ends with a NULL name */
extern const struct option_spec global_options[]; /* likewise */

int cmd_backup(struct cli *cli);
int cmd_chat_history(struct cli *cli);
int cmd_compact(struct cli *cli);
int cmd_completion(struct cli *cli);
int cmd_config(struct cli *cli);
int cmd_delete(struct cli *cli);
int cmd_dump(struct cli *cli);
int cmd_get(struct cli *cli);
int cmd_help(struct cli *cli);
int cmd_import(struct cli *cli);
int cmd_init(struct cli *cli);
int cmd_list_snapshots(struct cli *cli);
int cmd_load(struct cli *cli);
int cmd_man(struct cli *cli);
int cmd_put(struct cli *cli);
int cmd_restore(struct cli *cli);
int cmd_salvage(struct cli *cli);
int cmd_search(struct cli *cli);
int cmd_selftest(struct cli *cli);
int cmd_stats(struct cli *cli);
int cmd_status(struct cli *cli);
int cmd_verify(struct cli *cli);
int cmd_version(struct cli *cli);
int cmd_wal_dump(struct cli *cli);

#endif
