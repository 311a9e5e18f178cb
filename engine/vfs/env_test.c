/*
 * The shorthand of env.c, over the POSIX environment with a failing call put in where that matters.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/testing.h"
#include "vfs/scratch.h"

static char root[PATH_BYTES_MAX];

/* An environment whose allocator is counted and whose calls `broken` can fail, by name. */
static struct test_allocator counted;
static const char *broken;
static struct fs_ops broken_ops;
static struct fs broken_fs = {&broken_ops};
static lore_env test_env;
static const lore_env *env = &test_env;

static bool is_broken(const char *call) {
    return broken != NULL && strcmp(broken, call) == 0;
}

static lore_status broken_rename(struct fs *fs, const char *from, const char *to) {
    (void)fs;
    if (is_broken("rename")) {
        broken = "unlink"; /* so is what the caller cleans up with */
        return fail(LORE_IO, "broken rename");
    }
    return env_posix()->fs->ops->rename(env_posix()->fs, from, to);
}

static lore_status broken_sync_dir(struct fs *fs, const char *path) {
    (void)fs;
    if (is_broken("sync_dir")) return fail(LORE_IO, "broken sync_dir");
    return env_posix()->fs->ops->sync_dir(env_posix()->fs, path);
}

static lore_status broken_unlink(struct fs *fs, const char *path) {
    (void)fs;
    if (is_broken("unlink")) return fail(LORE_IO, "broken unlink");
    return env_posix()->fs->ops->unlink(env_posix()->fs, path);
}

static int set_up(void **state) {
    (void)state;
    if (scratch_folder(NULL, "env", root) != LORE_OK) return 1;
    test_allocator_init(&counted);
    broken_ops = *env_posix()->fs->ops;
    broken_ops.rename = broken_rename;
    broken_ops.sync_dir = broken_sync_dir;
    broken_ops.unlink = broken_unlink;
    test_env = (lore_env){&counted.base, &broken_fs, env_posix()->sys};
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    broken = NULL;
    counted.fail_at = -1;
    return fs_remove_tree(env, root) != LORE_OK || counted.blocks != 0;
}

static const char *at(const char *name) {
    return scratch_path(root, name);
}

static bool exists(const char *path) {
    return access(path, F_OK) == 0;
}

static void assert_content(const char *path, const char *expected) {
    struct bytes content = bytes_empty(&counted.base);
    assert_ok(fs_read_file(env, path, 1000, &content));
    assert_true(slice_equal(bytes_slice(&content), lore_slice_of(expected)));
    bytes_free(&content);
}

static void paths_join_and_fit(void **state) {
    (void)state;
    char out[PATH_BYTES_MAX];
    assert_ok(path_join(out, "dir", "name"));
    assert_string_equal(out, "dir/name");
    assert_ok(path_join(out, "/", "name"));
    assert_string_equal(out, "/name");
    assert_ok(path_join(out, "", "name"));
    assert_string_equal(out, "name");
    char name[PATH_BYTES_MAX];
    memset(name, 'n', sizeof name);
    name[PATH_BYTES_MAX - 3] = '\0'; /* "d/" and 1,021 more: 1,023 */
    assert_ok(path_join(out, "d", name));
    assert_int_equal(strlen(out), PATH_BYTES_MAX - 1);
    assert_status(path_join(out, "dd", name), LORE_INVALID);
    assert_string_equal(out, "");
}

static void replace_writes_all_or_nothing(void **state) {
    (void)state;
    assert_ok(fs_replace_file(env, at("CURRENT"), false, lore_slice_of("first")));
    assert_content(at("CURRENT"), "first");
    assert_ok(fs_replace_file(env, at("CURRENT.tmp"), false, lore_slice_of("left by a crash")));
    assert_ok(fs_replace_file(env, at("CURRENT"), false, lore_slice_of("second")));
    assert_content(at("CURRENT"), "second");
    assert_false(exists(at("CURRENT.tmp")));
    assert_ok(fs_replace_file(env, at("EMPTY"), false, slice(NULL, 0)));
    assert_content(at("EMPTY"), "");

    broken = "sync_dir"; /* it may be there or not: the caller is told that it is not known */
    assert_status(fs_replace_file(env, at("CURRENT"), false, lore_slice_of("third")), LORE_IO);
    broken = "rename"; /* the clean-up fails as well, and the text is still about the cause */
    assert_status(fs_replace_file(env, at("CURRENT"), false, lore_slice_of("fourth")), LORE_IO);
    assert_string_equal(lore_error_message(), "broken rename");
    broken = NULL;
    assert_content(at("CURRENT"), "third");
    assert_ok(fs_replace_file(env, at("CURRENT"), false, lore_slice_of("fifth")));
    assert_false(exists(at("CURRENT.tmp")));
    assert_status(fs_replace_file(env, at("none/CURRENT"), false, lore_slice_of("x")),
                  LORE_NOT_FOUND);
}

static void whole_files_are_read_up_to_a_limit(void **state) {
    (void)state;
    struct bytes content = bytes_empty(&counted.base);
    assert_ok(fs_replace_file(env, at("ten"), false, lore_slice_of("0123456789")));
    assert_ok(fs_read_file(env, at("ten"), 10, &content));
    assert_ok(fs_read_file(env, at("ten"), 11, &content)); /* replaces what was there */
    assert_true(slice_equal(bytes_slice(&content), lore_slice_of("0123456789")));
    assert_status(fs_read_file(env, at("ten"), 9, &content), LORE_CORRUPTION);
    assert_non_null(strstr(lore_error_message(), "ten: 10 bytes, 9 at most"));
    assert_status(fs_read_file(env, at("none"), 9, &content), LORE_NOT_FOUND);
    bytes_free(&content);
    counted.fail_at = 0;
    assert_status(fs_read_file(env, at("ten"), 10, &content), LORE_NO_MEMORY);
    counted.fail_at = -1;
    assert_int_equal(counted.blocks, 0);
}

static void copies_are_equal_at_every_chunk_boundary(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 200000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct bytes content = bytes_empty(&counted.base), copy = bytes_empty(&counted.base);
        assert_ok(bytes_append_zeros(&content, sizes[i]));
        uint64_t seed = i;
        for (size_t j = 0; j < sizes[i]; j++)
            content.data[j] = (uint8_t)test_random(&seed);
        assert_ok(fs_replace_file(env, at("from"), false, bytes_slice(&content)));
        assert_ok(fs_copy_file(env, at("from"), at("to"), false));
        assert_ok(fs_read_file(env, at("to"), sizes[i], &copy));
        assert_true(slice_equal(bytes_slice(&content), bytes_slice(&copy)));
        assert_status(fs_copy_file(env, at("from"), at("to"), false), LORE_EXISTS);
        assert_true(exists(at("to"))); /* what was there before is not this call's to remove */
        assert_ok(fs_unlink(env, at("to")));
        bytes_free(&content);
        bytes_free(&copy);
    }
    assert_status(fs_copy_file(env, at("none"), at("to"), false), LORE_NOT_FOUND);
    assert_false(exists(at("to")));
    assert_status(fs_copy_file(env, root, at("to"), false), LORE_IO); /* cannot be read */
    assert_false(exists(at("to")));
    counted.fail_at = 0;
    assert_status(fs_copy_file(env, at("from"), at("to"), false), LORE_NO_MEMORY);
    counted.fail_at = -1;
    assert_int_equal(counted.blocks, 0);
}

static void make_tree(void) {
    static const char *const dirs[] = {"tree", "tree/a", "tree/a/b", "tree/a/b/c", "tree/d"};
    static const char *const files[] = {"tree/f", "tree/a/f", "tree/a/b/c/f", "tree/d/f",
                                        "tree/d/g"};
    for (size_t i = 0; i < 5; i++)
        assert_ok(env->fs->ops->make_dir(env->fs, at(dirs[i]), false));
    for (size_t i = 0; i < 5; i++) {
        assert_ok(fs_replace_file(env, at(files[i]), false, lore_slice_of("x")));
    }
    assert_ok(env->fs->ops->make_dir(env->fs, at("outside"), false));
    assert_ok(fs_replace_file(env, at("outside/kept"), false, lore_slice_of("x")));
    assert_int_equal(symlink("../outside", at("tree/link")), 0);
}

static void trees_are_removed_and_links_not_followed(void **state) {
    (void)state;
    assert_ok(fs_remove_tree(env, at("tree"))); /* none there */
    make_tree();
    assert_ok(fs_remove_tree(env, at("tree")));
    assert_false(exists(at("tree")));
    assert_true(exists(at("outside/kept")));
    assert_ok(fs_remove_tree(env, at("outside/"))); /* with a slash at the end */
    assert_false(exists(at("outside")));

    make_tree();
    for (long n = 0;; n++) { /* every allocation that can fail, one after the other */
        counted.fail_at = n;
        lore_status status = fs_remove_tree(env, at("tree"));
        counted.fail_at = -1;
        assert_int_equal(counted.blocks, 0);
        if (status == LORE_OK) break;
        assert_status(status, LORE_NO_MEMORY);
    }
    assert_false(exists(at("tree")));
    assert_ok(fs_remove_tree(env, at("outside")));

    make_tree();
    broken = "unlink";
    assert_status(fs_remove_tree(env, at("tree")), LORE_IO);
    assert_string_equal(lore_error_message(), "broken unlink");
    broken = NULL;
    assert_ok(fs_remove_tree(env, at("tree")));
    assert_ok(fs_replace_file(env, at("plain"), false, lore_slice_of("x")));
    assert_status(fs_remove_tree(env, at("plain")), LORE_IO); /* not a directory */
    assert_true(exists(at("plain")));
}

static void parents_are_synced(void **state) {
    (void)state;
    assert_ok(fs_sync_parent(env, at("anything")));
    assert_ok(fs_sync_parent(env, "name-in-the-working-directory"));
    assert_ok(fs_sync_parent(env, "/name-in-the-root"));
    assert_status(fs_sync_parent(env, at("none/x")), LORE_NOT_FOUND);
    char long_path[PATH_BYTES_MAX + 10];
    memset(long_path, 'p', sizeof long_path);
    memcpy(long_path + sizeof long_path - 3, "/x", 3);
    assert_status(fs_sync_parent(env, long_path), LORE_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_join_and_fit),
        cmocka_unit_test(replace_writes_all_or_nothing),
        cmocka_unit_test(whole_files_are_read_up_to_a_limit),
        cmocka_unit_test(copies_are_equal_at_every_chunk_boundary),
        cmocka_unit_test(trees_are_removed_and_links_not_followed),
        cmocka_unit_test(parents_are_synced),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
