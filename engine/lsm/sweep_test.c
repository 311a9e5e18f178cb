/*
 * sweep_test.c - what a writer clears away at open: unfinished and dropped files go, foreign ones
 * are moved and recorded, live ones stay; a read-only tree touches nothing; ids are never handed
 * out twice.
 */
#include "lsm/read_testing.h"

struct store {
    struct segment_fixture segments;
    struct catalog *catalog;
    struct mutex *catalog_mutex;
    struct lsm_config config;
};

static void start(struct store *s) {
    memset(s, 0, sizeof *s);
    segment_fixture_init(&s->segments);
    struct sys *sys = s->segments.env.sys;
    assert_ok(sys->ops->mutex_create(sys, &s->catalog_mutex));
    struct catalog_config config = {.env = &s->segments.env,
                                    .allocator = s->segments.env.allocator,
                                    .dir = "g",
                                    .identity = s->segments.context.identity};
    struct catalog_edit first;
    catalog_edit_init(&first, &s->segments.allocator.base);
    assert_ok(catalog_edit_put(&first, slice("K", 1), slice("x", 1)));
    assert_ok(catalog_create(&config, &first, &s->catalog));
    catalog_edit_deinit(&first);
    s->config = (struct lsm_config){.context = &s->segments.context,
                                    .budget = &s->segments.budget,
                                    .catalog = s->catalog,
                                    .catalog_mutex = s->catalog_mutex,
                                    .memtable_bytes = 1 << 20,
                                    .table_bytes_max = 1 << 20,
                                    .block_bytes = 4096,
                                    .blob_threshold_bytes = 1024,
                                    .fan_in = 4};
}

static void stop(struct store *s) {
    catalog_close(s->catalog);
    s->segments.env.sys->ops->mutex_destroy(s->segments.env.sys, s->catalog_mutex);
    segment_fixture_deinit(&s->segments);
}

static void make_file(struct store *s, const char *path) {
    struct file *file;
    assert_ok(fs_open(&s->segments.env, path, FILE_CREATE, false, &file));
    assert_ok(file_write(file, 0, "twelve bytes", 12));
    file_close(file);
}

static bool exists(struct store *s, const char *path) {
    uint64_t size;
    bool is_dir;
    uint32_t mode;
    struct fs *fs = s->segments.env.fs;
    return fs->ops->stat(fs, path, &size, &is_dir, &mode) == LORE_OK;
}

static lore_status count_record(void *context, lore_slice key, lore_slice value) {
    (void)key;
    (void)value;
    ++*(size_t *)context;
    return LORE_OK;
}

static size_t records(struct store *s, char tag) {
    size_t count = 0;
    assert_ok(catalog_scan(s->catalog, slice(&tag, 1), count_record, &count));
    return count;
}

/* A live table with one entry. */
static uint64_t add_table(struct store *s, struct lsm *lsm) {
    uint64_t id, run;
    assert_ok(lsm_take_segment_id(lsm, &id));
    assert_ok(lsm_take_run_id(lsm, &run));
    struct table_builder_config config = {.id = id, .block_bytes = 4096};
    struct table_builder *builder;
    assert_ok(table_builder_create(&s->segments.context, &config, &builder));
    struct entry entry = {slice("\0\0\0\1k", 5), 1, ENTRY_PUT, slice("v", 1)};
    assert_ok(table_builder_add(builder, &entry));
    struct segment_summary summary;
    assert_ok(table_builder_finish(builder, &summary));
    table_builder_destroy(builder);
    struct version_change change;
    struct catalog_edit edit;
    version_change_init(&change, &s->segments.allocator.base);
    catalog_edit_init(&edit, &s->segments.allocator.base);
    assert_ok(version_change_add_table(&change, 0, run, run, &summary));
    bool maybe_durable;
    assert_ok(lsm_install(lsm, &change, &edit, &maybe_durable));
    catalog_edit_deinit(&edit);
    version_change_deinit(&change);
    segment_summary_deinit(&summary);
    return id;
}

static void drop_table(struct store *s, struct lsm *lsm, uint64_t id) {
    struct version_change change;
    struct catalog_edit edit;
    version_change_init(&change, &s->segments.allocator.base);
    catalog_edit_init(&edit, &s->segments.allocator.base);
    assert_ok(version_change_drop(&change, id));
    bool maybe_durable;
    assert_ok(lsm_install(lsm, &change, &edit, &maybe_durable));
    catalog_edit_deinit(&edit);
    version_change_deinit(&change);
}

static void table_path(uint64_t id, char path[PATH_BYTES_MAX]) {
    char name[SEGMENT_NAME_BYTES];
    segment_file_name(name, SEGMENT_TABLE, id);
    assert_ok(path_join(path, "g", name));
}

static void test_files_without_a_live_record(void **state) {
    (void)state;
    struct store s;
    start(&s);
    struct lsm *lsm;
    assert_ok(lsm_open(&s.config, 1, &lsm));
    uint64_t live = add_table(&s, lsm), gone = add_table(&s, lsm);
    drop_table(&s, lsm, gone);
    char live_path[PATH_BYTES_MAX], gone_path[PATH_BYTES_MAX], path[PATH_BYTES_MAX];
    table_path(live, live_path);
    table_path(gone, gone_path);
    assert_true(exists(&s, live_path));
    assert_false(exists(&s, gone_path)); /* unlinked with its last version */
    assert_int_equal(records(&s, 'S'), 2);
    uint64_t next;
    assert_ok(lsm_take_segment_id(lsm, &next));
    lsm_close(lsm);

    make_file(&s, gone_path); /* as if the unlink had failed */
    table_path(next, path);
    make_file(&s, path);                  /* unfinished */
    make_file(&s, "g/000000900000.blob"); /* foreign */
    make_file(&s, "g/notes.txt");         /* no segment at all */

    s.config.read_only = true;
    assert_ok(lsm_open(&s.config, 2, &lsm));
    lsm_close(lsm);
    assert_true(exists(&s, path) && exists(&s, gone_path));
    assert_true(exists(&s, "g/000000900000.blob"));

    s.config.read_only = false;
    assert_ok(lsm_open(&s.config, 2, &lsm));
    assert_false(exists(&s, path) || exists(&s, gone_path));
    assert_false(exists(&s, "g/000000900000.blob"));
    assert_true(exists(&s, "g/quarantine/000000900000.blob"));
    assert_true(exists(&s, live_path) && exists(&s, "g/notes.txt"));
    assert_int_equal(records(&s, 'S'), 1);
    assert_int_equal(records(&s, 'Q'), 1);
    uint64_t after;
    assert_ok(lsm_take_segment_id(lsm, &after));
    assert_true(after > next);
    struct lookup lookup;
    assert_ok(lsm_get(lsm, slice("\0\0\0\1k", 5), 1, NULL, &lookup, NULL));
    assert_true(lookup.found);
    lsm_close(lsm);
    stop(&s);
}

/* A pinned version keeps a dropped file until it is released. */
static void test_a_version_holds_its_files(void **state) {
    (void)state;
    struct store s;
    start(&s);
    struct lsm *lsm;
    assert_ok(lsm_open(&s.config, 1, &lsm));
    uint64_t id = add_table(&s, lsm);
    char path[PATH_BYTES_MAX];
    table_path(id, path);
    struct version *held = lsm_version(lsm);
    drop_table(&s, lsm, id);
    assert_true(exists(&s, path));
    version_release(held);
    assert_false(exists(&s, path));
    lsm_close(lsm);
    stop(&s);
}

/* A change that cannot be built leaves no trace in the catalog or the tree. */
static void test_a_change_that_fails(void **state) {
    (void)state;
    struct store s;
    start(&s);
    struct lsm *lsm;
    assert_ok(lsm_open(&s.config, 1, &lsm));
    uint64_t id = add_table(&s, lsm), view = lsm_view_number(lsm);
    struct version_change change;
    struct catalog_edit edit;
    struct segment_summary summary; /* of a file that is not there */
    version_change_init(&change, &s.segments.allocator.base);
    catalog_edit_init(&edit, &s.segments.allocator.base);
    struct version *version = lsm_version(lsm);
    segment_summary_init(&summary, &s.segments.allocator.base);
    assert_ok(segment_summary_copy(&summary, &version->slots[0].handle->summary));
    summary.id = id + 1;
    assert_ok(version_change_add_table(&change, 0, 9, 9, &summary));
    assert_ok(version_change_drop(&change, id));
    bool maybe_durable = true;
    assert_true(lsm_install(lsm, &change, &edit, &maybe_durable) != LORE_OK);
    assert_false(maybe_durable);
    assert_int_equal(lsm_view_number(lsm), view);
    assert_int_equal(records(&s, 'S'), 1);
    segment_summary_deinit(&summary);
    catalog_edit_deinit(&edit);
    version_change_deinit(&change);
    version_release(version);
    char path[PATH_BYTES_MAX];
    table_path(id, path);
    assert_true(exists(&s, path));
    lsm_close(lsm);
    stop(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_without_a_live_record),
        cmocka_unit_test(test_a_version_holds_its_files),
        cmocka_unit_test(test_a_change_that_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
