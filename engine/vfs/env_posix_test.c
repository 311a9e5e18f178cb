/*
 * The POSIX environment against the real system, in a temporary directory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/testing.h"
#include "vfs/fork_guard.h"
#include "vfs/scratch.h"

static const lore_env *env;
static struct fs *fs;
static struct sys *sys;
static char root[PATH_BYTES_MAX];

static int set_up(void **state) {
    (void)state;
    env = env_posix();
    fs = env->fs;
    sys = env->sys;
    return scratch_folder(NULL, "env", root) != LORE_OK;
}

static int tear_down(void **state) {
    (void)state;
    return fs_remove_tree(env, root) != LORE_OK;
}

/* `name` in the temporary directory; the result lasts until the fourth call from here. */
static const char *at(const char *name) {
    return scratch_path(root, name);
}

static void files_keep_what_was_written(void **state) {
    (void)state;
    struct file *file, *again;
    uint8_t data[100];
    size_t got;
    uint64_t size;
    assert_status(fs_open(env, at("file"), FILE_READ, false, &file), LORE_NOT_FOUND);
    assert_null(file);
    assert_ok(fs_open(env, at("file"), FILE_CREATE, false, &file));
    assert_status(fs_open(env, at("file"), FILE_CREATE, false, &again), LORE_EXISTS);
    assert_non_null(strstr(lore_error_message(), "/file: open: "));
    assert_ok(file_write(file, 0, "hello world", 11));
    assert_ok(file_write(file, 6, "again", 5));
    assert_ok(file_write(file, 20, "far", 3));
    assert_ok(file_write(file, 5, NULL, 0));
    assert_ok(file_sync(file));
    assert_ok(file_size(file, &size));
    assert_int_equal(size, 23);
    assert_ok(file_read(file, 6, data, 5, &got));
    assert_int_equal(got, 5);
    assert_memory_equal(data, "again", 5);
    assert_ok(file_read(file, 18, data, sizeof data, &got));
    assert_int_equal(got, 5);
    assert_memory_equal(data, "\0\0far", 5);
    assert_ok(file_read(file, 23, data, 1, &got));
    assert_int_equal(got, 0);
    assert_ok(file_read(file, UINT64_MAX, data, 1, &got));
    assert_int_equal(got, 0);
    assert_status(file_write(file, UINT64_MAX, data, 1), LORE_FULL);
    assert_ok(file_truncate(file, 5));
    assert_ok(file_size(file, &size));
    assert_int_equal(size, 5);
    assert_status(file_truncate(file, UINT64_MAX), LORE_FULL);

    assert_ok(fs_open(env, at("file"), FILE_READ, false, &again));
    assert_ok(file_read_exact(again, "file", 0, data, 5));
    assert_memory_equal(data, "hello", 5);
    assert_status(file_read_exact(again, "file", 3, data, 5), LORE_CORRUPTION);
    assert_string_equal(lore_error_message(), "file: ends 2 bytes after offset 3, 5 were expected");
    assert_status(file_write(again, 0, "x", 1), LORE_IO); /* opened to read */
    assert_non_null(strstr(lore_error_message(), "pwrite"));
    file_close(again);
    file_close(file);
    file_close(NULL);

    assert_ok(fs_open(env, at("file"), FILE_WRITE, false, &file));
    assert_ok(file_write(file, 0, "J", 1));
    file_close(file);
    assert_status(fs_open(env, at("missing"), FILE_WRITE, false, &file), LORE_NOT_FOUND);
}

static void permissions_are_narrow(void **state) {
    (void)state;
    mode_t before = umask(0);
    struct file *file;
    assert_ok(fs_open(env, at("private"), FILE_CREATE, false, &file));
    file_close(file);
    assert_ok(fs_open(env, at("shared"), FILE_CREATE, true, &file));
    file_close(file);
    assert_ok(fs->ops->make_dir(fs, at("private-dir"), false));
    assert_ok(fs->ops->make_dir(fs, at("shared-dir"), true));
    struct file_lock *lock;
    assert_ok(fs->ops->lock(fs, at("shared-lock"), true, &lock));
    fs->ops->unlock(fs, lock);
    static const struct {
        const char *name;
        bool is_dir;
        uint32_t mode;
    } expected[] = {{"private", false, 0600},
                    {"shared", false, 0660},
                    {"private-dir", true, 0700},
                    {"shared-dir", true, 0770},
                    {"shared-lock", false, 0660}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        uint64_t size;
        bool is_dir;
        uint32_t mode;
        assert_ok(fs->ops->stat(fs, at(expected[i].name), &size, &is_dir, &mode));
        assert_int_equal(is_dir, expected[i].is_dir);
        assert_int_equal(mode, expected[i].mode);
    }
    umask(before);
}

static void descriptors_close_across_exec(void **state) {
    (void)state;
    struct file *file;
    struct file_lock *lock;
    int lowest = open("/dev/null", O_RDONLY);
    close(lowest);
    assert_ok(fs_open(env, at("file-exec"), FILE_CREATE, false, &file));
    assert_true(fcntl(lowest, F_GETFD) & FD_CLOEXEC);
    int next = open("/dev/null", O_RDONLY);
    close(next);
    assert_ok(fs->ops->lock(fs, at("lock-exec"), false, &lock));
    assert_true(fcntl(next, F_GETFD) & FD_CLOEXEC);
    fs->ops->unlock(fs, lock);
    file_close(file);
    assert_int_equal(fcntl(lowest, F_GETFD), -1); /* and closed by close */
    assert_int_equal(fcntl(next, F_GETFD), -1);
}

struct names {
    int count, dirs;
    lore_status answer;
};

static lore_status count_name(void *context, const struct dir_entry *entry) {
    struct names *names = context;
    assert_true(strcmp(entry->name, ".") != 0 && strcmp(entry->name, "..") != 0);
    names->count++;
    names->dirs += entry->is_dir;
    return names->answer;
}

static void directories_list_rename_and_go(void **state) {
    (void)state;
    assert_ok(fs->ops->make_dir(fs, at("d"), false));
    assert_status(fs->ops->make_dir(fs, at("d"), false), LORE_EXISTS);
    assert_ok(fs->ops->make_dir(fs, at("d/sub"), false));
    assert_ok(fs_replace_file(env, at("d/a"), false, lore_slice_of("a")));
    assert_ok(fs_replace_file(env, at("d/b"), false, lore_slice_of("bb")));
    assert_int_equal(symlink("sub", at("d/link-to-dir")), 0);
    struct names names = {0, 0, LORE_OK};
    assert_ok(fs->ops->list(fs, at("d"), count_name, &names));
    assert_int_equal(names.count, 4);
    assert_int_equal(names.dirs, 1);
    names = (struct names){0, 0, LORE_CANCELLED};
    assert_status(fs->ops->list(fs, at("d"), count_name, &names), LORE_CANCELLED);
    assert_int_equal(names.count, 1);
    assert_status(fs->ops->list(fs, at("none"), count_name, &names), LORE_NOT_FOUND);
    assert_status(fs->ops->list(fs, at("d/a"), count_name, &names), LORE_IO);

    assert_ok(fs_rename(env, at("d/b"), at("d/a")));
    uint64_t size;
    assert_ok(fs->ops->stat(fs, at("d/a"), &size, NULL, NULL));
    assert_int_equal(size, 2);
    assert_status(fs_rename(env, at("d/b"), at("d/c")), LORE_NOT_FOUND);
    assert_status(fs->ops->remove_dir(fs, at("d")), LORE_IO);
    assert_non_null(strstr(lore_error_message(), "rmdir"));
    assert_ok(fs->ops->link(fs, at("d/a"), at("d/hard")));
    assert_status(fs->ops->link(fs, at("d/a"), at("d/hard")), LORE_EXISTS);
    assert_ok(fs_unlink(env, at("d/a")));
    assert_status(fs_unlink(env, at("d/a")), LORE_NOT_FOUND);
    assert_ok(fs->ops->stat(fs, at("d/hard"), &size, NULL, NULL));
    assert_ok(fs->ops->sync_dir(fs, at("d")));
    assert_status(fs->ops->sync_dir(fs, at("none")), LORE_NOT_FOUND);
    assert_status(fs->ops->sync_dir(fs, at("d/hard")), LORE_IO);
    uint64_t free_bytes = 0;
    assert_ok(fs->ops->space(fs, root, &free_bytes));
    assert_true(free_bytes > 0);
}

static void failures_say_why(void **state) {
    (void)state;
    struct file *file;
    assert_status(fs_open(env_posix(), "/dev/null/nothing", FILE_READ, false, &file), LORE_IO);
    assert_non_null(strstr(lore_error_message(), "/dev/null/nothing"));
    assert_non_null(strstr(lore_error_message(), strerror(ENOTDIR)));
}

static void no_room_is_full(void **state) {
    (void)state;
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 1000;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    struct file *file;
    assert_ok(fs_open(env, at("limited"), FILE_CREATE, false, &file));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    char data[600] = {0};
    lore_status first = file_write(file, 0, data, sizeof data);
    lore_status second = file_write(file, 600, data, sizeof data); /* short, then EFBIG */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_ok(first);
    assert_status(second, LORE_FULL);
    assert_non_null(strstr(lore_error_message(), "limited: pwrite: "));
    file_close(file);
    if (access("/dev/full", W_OK) == 0) {
        assert_ok(fs_open(env, "/dev/full", FILE_WRITE, false, &file));
        assert_status(file_write(file, 0, data, sizeof data), LORE_FULL); /* ENOSPC */
        file_close(file);
    }
}

static void locks_exclude_within_a_process_and_between(void **state) {
    (void)state;
    struct file_lock *lock, *second;
    bool locked = true;
    assert_status(fs->ops->is_locked(fs, at("LOCK"), &locked), LORE_NOT_FOUND);
    assert_ok(fs->ops->lock(fs, at("LOCK"), false, &lock));
    assert_status(fs->ops->lock(fs, at("LOCK"), false, &second), LORE_LOCKED);
    assert_null(second);
    assert_non_null(strstr(lore_error_message(), "LOCK"));
    assert_ok(fs->ops->is_locked(fs, at("LOCK"), &locked));
    assert_true(locked);

    struct file *file; /* closing another descriptor of the file leaves the lock alone */
    assert_ok(fs_open(env, at("LOCK"), FILE_WRITE, false, &file));
    assert_ok(file_write(file, 0, "pid", 3));
    file_close(file);
    assert_status(fs->ops->lock(fs, at("LOCK"), false, &second), LORE_LOCKED);

    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(fs->ops->lock(fs, at("LOCK"), false, &second) == LORE_LOCKED ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);

    fs->ops->unlock(fs, lock);
    assert_ok(fs->ops->is_locked(fs, at("LOCK"), &locked));
    assert_false(locked);

    child = fork(); /* a lock dies with its process */
    if (child == 0) {
        lore_status taken = fs->ops->lock(fs, at("LOCK"), false, &second);
        raise(taken == LORE_OK ? SIGKILL : SIGTERM);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_ok(fs->ops->lock(fs, at("LOCK"), false, &lock));
    fs->ops->unlock(fs, lock);
    fs->ops->unlock(fs, NULL);
}

static void an_unlock_frees_although_a_child_shares_it(void **state) {
    (void)state;
    struct file_lock *lock;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_ok(fs->ops->lock(fs, at("LOCK2"), false, &lock));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[1]);
        char byte;
        ssize_t n = read(ends[0], &byte, 1); /* until the parent closes its end */
        _exit(n == 0 ? 0 : 1);
    }
    close(ends[0]);
    fs->ops->unlock(fs, lock);
    bool locked = true;
    lore_status status = fs->ops->is_locked(fs, at("LOCK2"), &locked);
    close(ends[1]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_ok(status);
    assert_false(locked);
}

static void native_paths_are_the_paths(void **state) {
    (void)state;
    char native[16];
    assert_ok(fs->ops->native_open(fs, "123456789012345", native, sizeof native));
    assert_string_equal(native, "123456789012345");
    assert_status(fs->ops->native_open(fs, "1234567890123456", native, sizeof native),
                  LORE_INVALID);
    assert_ok(fs->ops->native_commit(fs, "x"));
    fs->ops->native_close(fs, "x");
}

/* ---- time, chance, threads ---- */

static void clocks_and_names(void **state) {
    (void)state;
    assert_true(sys->ops->now_us(sys) > INT64_C(1700000000) * 1000000);
    uint64_t before = sys->ops->monotonic_us(sys);
    sys->ops->sleep_us(sys, 2000);
    assert_true(sys->ops->monotonic_us(sys) - before >= 2000);
    sys->ops->sleep_us(sys, 0);
    assert_int_equal(sys->ops->process_id(sys), getpid());
    char name[256], cut[2];
    sys->ops->host_name(sys, name, sizeof name);
    assert_true(strlen(name) < sizeof name);
    sys->ops->host_name(sys, cut, sizeof cut);
    assert_true(strlen(cut) < sizeof cut);
}

static bool child_of(struct fork_guard *guard, const lore_env *of) {
    pid_t child = fork();
    if (child == 0) {
        bool refused = fork_guard_is_child(guard, of);
        pid_t grandchild = refused ? fork() : -1;
        if (grandchild == 0) _exit(fork_guard_is_child(guard, of) ? 0 : 1);
        int result = 1;
        if (grandchild > 0) (void)waitpid(grandchild, &result, 0);
        _exit(result == 0 ? 0 : 1);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    return result == 0;
}

static void a_forked_child_is_told_apart(void **state) {
    (void)state;
    struct sys_ops without_marks = *sys->ops;
    without_marks.fork_mark = NULL;
    struct sys plain_sys = {&without_marks};
    const lore_env plain = {env->allocator, env->fs, &plain_sys};
    const lore_env *const envs[] = {env, &plain};
    for (size_t i = 0; i < 2; i++) {
        struct fork_guard guard, second;
        fork_guard_init(&guard, envs[i]);
        fork_guard_init(&second, envs[i]);
        assert_false(fork_guard_is_child(&guard, envs[i]));
        assert_true(child_of(&guard, envs[i]));
        fork_guard_free(&guard, envs[i]);
        assert_false(fork_guard_is_child(&second, envs[i]));
        assert_true(child_of(&second, envs[i]));
        fork_guard_free(&second, envs[i]);
    }
}

static void random_fills_all_of_it(void **state) {
    (void)state;
    uint8_t a[1000] = {0}, b[1000] = {0};
    assert_ok(sys_random(env, a, sizeof a));
    assert_ok(sys_random(env, b, sizeof b));
    assert_memory_not_equal(a, b, sizeof a);
    for (size_t i = 0; i + 16 <= sizeof a; i += 8) { /* 16 zeros in a row: 2^-128 */
        static const uint8_t zeros[16] = {0};
        assert_memory_not_equal(a + i, zeros, 16);
    }
    assert_ok(sys_random(env, NULL, 0));
}

struct baton {
    struct mutex *mutex;
    struct condition *condition;
    int turn;
    int rounds;
    bool signals_blocked;
};

static void take_turns(void *context) {
    struct baton *baton = context;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    baton->signals_blocked = sigismember(&mask, SIGTERM) && !sigismember(&mask, SIGSEGV);
    for (int i = 0; i < 100; i++) {
        sys->ops->mutex_lock(sys, baton->mutex);
        while (baton->turn != 1) {
            sys->ops->condition_wait(sys, baton->condition, baton->mutex);
        }
        baton->turn = 0;
        baton->rounds++;
        sys->ops->condition_signal(sys, baton->condition);
        sys->ops->mutex_unlock(sys, baton->mutex);
    }
}

static void threads_wait_for_each_other(void **state) {
    (void)state;
    struct baton baton = {0};
    struct thread *thread;
    assert_ok(sys->ops->mutex_create(sys, &baton.mutex));
    assert_ok(sys->ops->condition_create(sys, &baton.condition));
    assert_ok(sys->ops->thread_start(sys, take_turns, &baton, &thread));
    for (int i = 0; i < 100; i++) {
        sys->ops->mutex_lock(sys, baton.mutex);
        baton.turn = 1;
        sys->ops->condition_broadcast(sys, baton.condition);
        while (baton.turn != 0) {
            (void)sys->ops->condition_wait_for(sys, baton.condition, baton.mutex, UINT64_MAX);
        }
        assert_int_equal(baton.rounds, i + 1);
        sys->ops->mutex_unlock(sys, baton.mutex);
    }
    sys->ops->thread_join(sys, thread);
    assert_true(baton.signals_blocked);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    assert_false(sigismember(&mask, SIGTERM)); /* the starter's mask is as it was */
    sys->ops->condition_destroy(sys, baton.condition);
    sys->ops->mutex_destroy(sys, baton.mutex);
    sys->ops->condition_destroy(sys, NULL);
    sys->ops->mutex_destroy(sys, NULL);
    sys->ops->thread_join(sys, NULL);
}

static void waits_end_when_their_time_is_out(void **state) {
    (void)state;
    struct mutex *mutex;
    struct condition *condition;
    assert_ok(sys->ops->mutex_create(sys, &mutex));
    assert_ok(sys->ops->condition_create(sys, &condition));
    sys->ops->mutex_lock(sys, mutex);
    assert_false(sys->ops->condition_wait_for(sys, condition, mutex, 0));
    uint64_t before = sys->ops->monotonic_us(sys);
    while (sys->ops->condition_wait_for(sys, condition, mutex, 3000)) { /* woken for nothing */
    }
    assert_true(sys->ops->monotonic_us(sys) - before >= 3000);
    sys->ops->mutex_unlock(sys, mutex);
    sys->ops->condition_destroy(sys, condition);
    sys->ops->mutex_destroy(sys, mutex);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_keep_what_was_written),
        cmocka_unit_test(permissions_are_narrow),
        cmocka_unit_test(descriptors_close_across_exec),
        cmocka_unit_test(directories_list_rename_and_go),
        cmocka_unit_test(failures_say_why),
        cmocka_unit_test(no_room_is_full),
        cmocka_unit_test(locks_exclude_within_a_process_and_between),
        cmocka_unit_test(an_unlock_frees_although_a_child_shares_it),
        cmocka_unit_test(native_paths_are_the_paths),
        cmocka_unit_test(clocks_and_names),
        cmocka_unit_test(a_forked_child_is_told_apart),
        cmocka_unit_test(random_fills_all_of_it),
        cmocka_unit_test(threads_wait_for_each_other),
        cmocka_unit_test(waits_end_when_their_time_is_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
