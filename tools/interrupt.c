/* interrupt.c - see interrupt.h. A flag, and a pipe that wakes whoever waits: a signal that comes
 * just before a read blocks would be seen by the flag alone only after the next byte. */
#include "interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t pending;
static int wake[2] = {-1, -1};

static void on_signal(int number) {
    int error = errno;
    (void)number;
    pending = 1;
    ssize_t written = write(wake[1], "", 1);
    (void)written;
    errno = error;
}

void interrupt_install(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    if (pipe(wake) == 0) {
        for (int i = 0; i < 2; i++) {
            fcntl(wake[i], F_SETFD, FD_CLOEXEC);
            fcntl(wake[i], F_SETFL, O_NONBLOCK);
        }
    }
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool interrupt_pending(void) {
    return pending != 0;
}

int interrupt_fd(void) {
    return wake[0];
}
