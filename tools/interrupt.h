/* interrupt.h - SIGINT and SIGTERM ask the running verb to stop; it ends with exit code 130. A
 * second signal of the kind ends the process at once, which a store survives like any crash. */
#ifndef LORE_TOOLS_INTERRUPT_H
#define LORE_TOOLS_INTERRUPT_H

#include <stdbool.h>

void interrupt_install(void);
bool interrupt_pending(void);

#endif
