/*
 * scratch_test.c - a test's folders go away with it: at its end, and after its death with the next
 * test.
 */
#define LORE_MAY_CALL_THE_SYSTEM
#define _DEFAULT_SOURCE
#include "vfs/scratch.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/testing.h"

static char place[PATH_BYTES_MAX]; /* this test's own, in which its children make theirs */

enum ending { BY_EXIT, BY_UNDERSCORE_EXIT, BY_SIGNAL, BY_PAUSING };

static void child(enum ending ending, int pipe_end) {
    char path[PATH_BYTES_MAX];
    if (scratch_folder(place, "child", path) != LORE_OK) _exit(2);
    if (write(pipe_end, path, sizeof path) != sizeof path) _exit(2);
    (void)close(pipe_end);
    switch (ending) {
    case BY_EXIT: exit(0);
    case BY_UNDERSCORE_EXIT: scratch_clear(); _exit(0);
    case BY_SIGNAL: (void)raise(SIGKILL); break;
    case BY_PAUSING: (void)pause(); break;
    }
}

/* Through this program once more, so that the child does not begin with a folder of its parent's.
 */
static pid_t start(enum ending ending, char path[PATH_BYTES_MAX]) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char number[16], descriptor[16];
        (void)close(ends[0]);
        (void)snprintf(number, sizeof number, "%d", (int)ending);
        (void)snprintf(descriptor, sizeof descriptor, "%d", ends[1]);
        execl("/proc/self/exe", "scratch_test", place, number, descriptor, (char *)NULL);
        _exit(3);
    }
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], path, PATH_BYTES_MAX), PATH_BYTES_MAX);
    (void)close(ends[0]);
    return pid;
}

static void end(pid_t pid) {
    int result;
    assert_int_equal(waitpid(pid, &result, 0), pid);
}

static int set_up(void **state) {
    (void)state;
    return scratch_folder(NULL, "scratch", place) != LORE_OK;
}

static void an_end_takes_the_folders_along(void **state) {
    (void)state;
    char path[PATH_BYTES_MAX];
    end(start(BY_EXIT, path));
    assert_int_equal(access(path, F_OK), -1);
    end(start(BY_UNDERSCORE_EXIT, path));
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(rmdir(place), 0); /* nothing else is left either */
}

static void the_next_removes_those_of_the_dead_alone(void **state) {
    (void)state;
    char dead[PATH_BYTES_MAX], alive[PATH_BYTES_MAX], next[PATH_BYTES_MAX];
    pid_t pausing = start(BY_PAUSING, alive);
    end(start(BY_SIGNAL, dead));
    assert_int_equal(access(dead, F_OK), 0);
    end(start(BY_EXIT, next));
    assert_int_equal(access(dead, F_OK), -1);
    assert_int_equal(access(alive, F_OK), 0);
    assert_int_equal(kill(pausing, SIGKILL), 0);
    end(pausing);
}

static void a_child_leaves_its_parents_alone(void **state) {
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        scratch_clear();
        _exit(0);
    }
    end(pid);
    assert_int_equal(access(place, F_OK), 0);
}

int main(int argc, char **argv) {
    if (argc == 4) {
        (void)snprintf(place, sizeof place, "%s", argv[1]);
        child((enum ending)atoi(argv[2]), atoi(argv[3]));
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_end_takes_the_folders_along, set_up),
        cmocka_unit_test_setup(the_next_removes_those_of_the_dead_alone, set_up),
        cmocka_unit_test_setup(a_child_leaves_its_parents_alone, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
