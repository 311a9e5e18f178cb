/* interrupt.h - SIGINT and SIGTERM ask the running verb to stop; it ends with exit code 130. A
 * second signal of the kind ends the process at once, which a store survives like any crash. */
#ifndef LORE_TOOLS_INTERRUPT_H
#define LORE_TOOLS_INTERRUPT_H

#include <stdbool.h>

void interrupt_install(void);
bool interrupt_pending(void);
/* Readable once a signal has asked to stop: for poll, beside what is waited for. -1: none. */
int interrupt_fd(void);

#endif
