/* Payloads: bodies that any codec can frame, that tell their numbers apart, and that are compared
 * to the byte; and those read from files. */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "payload.h"

static const char *const codecs[] = {"u8",
                                     "u16be",
                                     "u24le",
                                     "u32be",
                                     "u64le",
                                     "u32be:adjust=-4",
                                     "line",
                                     "crlf",
                                     "nul",
                                     "mllp",
                                     "delim:30",
                                     "delim:6130",
                                     "delim:67",
                                     "octet",
                                     "netstring",
                                     "varint",
                                     "mqtt",
                                     "mysql",
                                     "dns",
                                     "postgres",
                                     "field:offset=2,width=2",
                                     "varint:offset=1,max=4",
                                     "raw"};
#define CODECS ((int)(sizeof codecs / sizeof *codecs))

static const size_t sizes[] = {1, 2, 3, 8, 15, 16, 17, 24, 63, 64, 100, 127, 128, 129, 200, 254};
#define SIZES ((int)(sizeof sizes / sizeof *sizes))

static struct frame_codec codec;
static struct error e;

static void use_codec(const char *text)
{
    ck_assert_int_eq(frame_codec_parse(&codec, text, 16 << 20, &e), 0);
}

static size_t whole(const struct payload *payload, uint64_t connection, uint64_t number,
                    uint8_t *out)
{
    struct payload_body body;
    payload_body(payload, connection, number, &body);
    ck_assert_uint_le(body.stamp_length, PAYLOAD_STAMP_MAX);
    memcpy(out, body.stamp, body.stamp_length);
    memcpy(out + body.stamp_length, body.rest, body.rest_length);
    return body.stamp_length + body.rest_length;
}

/* Framed and decoded again, each body is the same. */
static void goes_round(const struct payload *payload, uint64_t connection, uint64_t number)
{
    uint8_t body[300], wire[400];
    struct frame_state out, in;
    struct frame_wrap wrap;
    struct frame_fault fault;
    struct frame_found found;
    size_t n = whole(payload, connection, number, body), at;

    frame_state_init(&out, &codec, FRAME_FROM_SERVER);
    frame_state_init(&in, &codec, FRAME_FROM_SERVER);
    ck_assert_int_eq(frame_encode(&codec, &out, body, n, &wrap, &fault), 0);
    memcpy(wire, wrap.head, wrap.head_length);
    memcpy(wire + wrap.head_length, body, n);
    memcpy(wire + wrap.head_length + n, wrap.tail, wrap.tail_length);
    size_t total = wrap.head_length + n + wrap.tail_length;
    ck_assert_int_eq(frame_decode(&codec, &in, wire, total, &found, &fault), 1);
    ck_assert_uint_eq(found.total, total);
    ck_assert(
        payload_equal(payload, connection, number, wire + found.body, found.body_length, &at));
}

START_TEST(every_codec_carries_them)
{
    unsigned made = 0;
    use_codec(codecs[_i]);
    for (int s = 0; s < SIZES; s++) {
        struct payload *payload = payload_new(&codec, sizes[s], &e);
        if (payload == NULL) {
            ck_assert_msg(e.what[0] != '\0' && e.mend[0] != '\0', "%zu: %s", sizes[s], e.what);
            continue;
        }
        made++;
        ck_assert_uint_eq(payload_longest(payload), sizes[s]);
        ck_assert_uint_eq(payload_count(payload), 0);
        for (uint64_t i = 0; i < 200; i++)
            goes_round(payload, i * 77, i * i * 1000003);
        payload_free(payload);
    }
    ck_assert_uint_ge(made, 8);
}
END_TEST

START_TEST(printable_behind_the_header)
{
    uint8_t body[300];
    use_codec(_i == 0 ? "u32be" : _i == 1 ? "line" : "delim:61");
    struct payload *payload = payload_new(&codec, 200, &e);
    for (uint64_t i = 0; i < 500; i++) {
        size_t n = whole(payload, i, i * 3, body);
        ck_assert_uint_eq(n, 200);
        for (size_t k = 0; k < n; k++)
            ck_assert(body[k] > ' ' && body[k] < 0x7f && (_i != 2 || body[k] != 'a'));
    }
    payload_free(payload);
}
END_TEST

START_TEST(numbers_are_told_apart)
{
    uint8_t body[64];
    size_t at;
    use_codec("u32be");
    struct payload *payload = payload_new(&codec, 64, &e);
    for (uint64_t c = 0; c < 30; c++) {
        for (uint64_t i = 0; i < 30; i++) {
            whole(payload, c, i, body);
            ck_assert(payload_equal(payload, c, i, body, 64, &at));
            ck_assert(!payload_equal(payload, c + 1, i, body, 64, &at));
            ck_assert(!payload_equal(payload, c, i + 1, body, 64, &at));
            ck_assert(!payload_equal(payload, i + 40, c, body, 64, &at));
        }
    }
    whole(payload, 0xfffffe, 0xfffffffffe, body);
    ck_assert(memcmp(body, "fffffefffffffffe", 16) == 0);
    payload_free(payload);
}
END_TEST

/* Each single byte that is another is found, at its place; so is a body cut short or too long. */
START_TEST(differences_are_found)
{
    static const size_t lengths[] = {1, 5, 16, 17, 64, 5000};
    uint8_t body[5001];
    size_t n = lengths[_i], at;
    use_codec(_i < 3 ? "u16be" : "field:offset=1,width=2");
    struct payload *payload = payload_new(&codec, n, &e);
    ck_assert_ptr_nonnull(payload);
    ck_assert_uint_eq(whole(payload, 3, 4, body), n);
    for (size_t i = 0; i < n; i++) {
        body[i] ^= 1;
        at = SIZE_MAX;
        ck_assert(!payload_equal(payload, 3, 4, body, n, &at));
        ck_assert_uint_eq(at, i);
        body[i] ^= 1;
    }
    for (size_t cut = 0; cut < n; cut++) {
        ck_assert(!payload_equal(payload, 3, 4, body, cut, &at));
        ck_assert_uint_eq(at, cut);
    }
    body[n] = 'x';
    ck_assert(!payload_equal(payload, 3, 4, body, n + 1, &at));
    ck_assert_uint_eq(at, n);
    payload_free(payload);
}
END_TEST

START_TEST(what_cannot_be_framed_is_refused)
{
    use_codec("u8");
    ck_assert_ptr_null(payload_new(&codec, 256, &e));
    ck_assert(strstr(e.what, "256 B") != NULL && e.mend[0] != '\0');
    ck_assert_int_eq(frame_codec_parse(&codec, "u32be", 100, &e), 0);
    ck_assert_ptr_null(payload_new(&codec, 101, &e));
    ck_assert(strstr(e.what, "--max-frame") != NULL);
}
END_TEST

/* --- from files --- */

static char folder[] = "/tmp/synfin-payload-XXXXXX";

static const char *put_file(const char *name, const char *bytes, size_t n)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, n, file), n);
    fclose(file);
    return path;
}

static void make_folder(void)
{
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void remove_folder(void)
{
    static const char *const names[] = {"f", "a", "b", "c", ".hidden", "sub"};
    char path[200];
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        remove(path);
    }
    rmdir(folder);
}

static void is_body(const struct payload *payload, uint64_t connection, uint64_t number,
                    const char *text)
{
    uint8_t body[300];
    size_t n = whole(payload, connection, number, body), at;
    ck_assert_uint_eq(n, strlen(text));
    ck_assert(memcmp(body, text, n) == 0);
    ck_assert(payload_equal(payload, connection, number, (const uint8_t *)text, n, &at));
    ck_assert(!payload_equal(payload, connection, number, (const uint8_t *)"another", 7, &at));
}

/* The last line with its end and without. */
START_TEST(lines_of_a_file)
{
    struct frame_codec line;
    use_codec("u32be");
    ck_assert_int_eq(frame_codec_parse(&line, "line", 1 << 20, &e), 0);
    const char *text = _i == 0 ? "one\ntwo\n\nfour\n" : "one\ntwo\n\nfour";
    struct payload *payload =
        payload_read(&codec, &line, NULL, put_file("f", text, strlen(text)), &e);
    ck_assert_ptr_nonnull(payload);
    ck_assert_uint_eq(payload_count(payload), 4);
    ck_assert_uint_eq(payload_longest(payload), 4);
    is_body(payload, 0, 0, "one");
    is_body(payload, 0, 1, "two");
    is_body(payload, 1, 0, "two");
    is_body(payload, 1, 1, "");
    is_body(payload, 5, 2, "four");
    is_body(payload, 2, 2, "one");
    payload_free(payload);
}
END_TEST

/* What text_hex_decode does, for one shape of text. */
static ssize_t decode_pairs(const uint8_t *text, size_t n, uint8_t *out)
{
    for (size_t i = 0; i + 1 < n; i += 2) {
        if (text[i] < '0' || text[i] > '9')
            return -1 - (ssize_t)i;
        out[i / 2] = (uint8_t)((text[i] - '0') << 4 | (text[i + 1] - '0'));
    }
    return (ssize_t)(n / 2);
}

START_TEST(pieces_are_decoded)
{
    struct frame_codec line;
    use_codec("u32be");
    ck_assert_int_eq(frame_codec_parse(&line, "line", 1 << 20, &e), 0);
    struct payload *payload =
        payload_read(&codec, &line, decode_pairs, put_file("f", "4142\n43\n", 8), &e);
    ck_assert_ptr_nonnull(payload);
    is_body(payload, 0, 0, "AB");
    is_body(payload, 0, 1, "C");
    payload_free(payload);
    ck_assert_ptr_null(payload_read(&codec, &line, decode_pairs, put_file("f", "41\nx4", 5), &e));
    ck_assert(strstr(e.what, "body 2") != NULL);
}
END_TEST

START_TEST(files_of_a_folder)
{
    struct frame_codec line;
    char path[200];
    use_codec("u32be");
    ck_assert_int_eq(frame_codec_parse(&line, "line", 1 << 20, &e), 0);
    put_file("b", "two\nlines\n", 10);
    put_file("a", "one", 3);
    put_file("c", "", 0);
    put_file(".hidden", "no", 2);
    snprintf(path, sizeof path, "%s/sub", folder);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    struct payload *payload = payload_read(&codec, &line, NULL, folder, &e);
    ck_assert_ptr_nonnull(payload);
    ck_assert_uint_eq(payload_count(payload), 3);
    is_body(payload, 0, 0, "one");
    is_body(payload, 0, 1, "two\nlines\n");
    is_body(payload, 0, 2, "");
    payload_free(payload);
}
END_TEST

static const struct bad_file {
    const char *codec, *stdio, *text, *part;
} bad_files[] = {
    {"u32be", "line", "", "no body"},   {"u32be", "u32be", "\0\0\0\5abc", "ends inside body 1"},
    {"u8", "line", NULL, "body 1"}, /* of 300 bytes */
    {"line", "u8", "\3a\nb", "body 1"}, {"u32be", "netstring", "x:", "body 1"},
};
#define BAD_FILES ((int)(sizeof bad_files / sizeof *bad_files))

START_TEST(bad_files_are_told)
{
    static const size_t lengths[BAD_FILES] = {0, 7, 300, 4, 2};
    const struct bad_file *bad = &bad_files[_i];
    struct frame_codec stdio;
    char text[300];
    memset(text, 'x', sizeof text);
    if (bad->text != NULL)
        memcpy(text, bad->text, lengths[_i]);
    use_codec(bad->codec);
    ck_assert_int_eq(frame_codec_parse(&stdio, bad->stdio, 1 << 20, &e), 0);
    const char *path = put_file("f", text, lengths[_i]);
    ck_assert_ptr_null(payload_read(&codec, &stdio, NULL, path, &e));
    ck_assert_msg(strstr(e.what, "--payload /tmp/") == e.what, "%s", e.what);
    ck_assert_msg(strstr(e.what, bad->part) != NULL, "%s", e.what);
    ck_assert_str_ne(e.mend, "");
}
END_TEST

static void refused(const char *path, const char *part)
{
    ck_assert_ptr_null(payload_read(&codec, &codec, NULL, path, &e));
    ck_assert_msg(strstr(e.what, "--payload /") == e.what, "%s", e.what);
    ck_assert_msg(strstr(e.what, part) != NULL, "%s", e.what);
    ck_assert_str_ne(e.mend, "");
}

/* They are not waited for, nor read without end; also in a folder. */
START_TEST(no_regular_file)
{
    char path[200];
    use_codec("u32be");
    refused("/dev/zero", "a character device");
    snprintf(path, sizeof path, "%s/f", folder);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    refused(path, "it is a FIFO");
    refused(folder, ": f: it is a FIFO");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(symlink("/dev/zero", path), 0);
    refused(folder, ": f: it is a character device");
}
END_TEST

/* Known by its length: nothing of it is read. */
START_TEST(too_long_a_file)
{
    use_codec("u32be");
    const char *path = put_file("f", "", 0);
    ck_assert_int_eq(truncate(path, (off_t)PAYLOAD_BYTES_MAX + 1), 0);
    refused(path, "1024 MiB");
    refused(folder, ": f: its bodies need more");
}
END_TEST

START_TEST(no_such_file)
{
    use_codec("u32be");
    ck_assert_ptr_null(payload_read(&codec, &codec, NULL, "/nonesuch/file", &e));
    ck_assert(strstr(e.what, "--payload /nonesuch/file: No such file") == e.what);
    ck_assert_str_ne(e.mend, "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("payload");
    TCase *made = tcase_create("made"), *read = tcase_create("read");
    tcase_add_loop_test(made, every_codec_carries_them, 0, CODECS);
    tcase_add_loop_test(made, printable_behind_the_header, 0, 3);
    tcase_add_test(made, numbers_are_told_apart);
    tcase_add_loop_test(made, differences_are_found, 0, 6);
    tcase_add_test(made, what_cannot_be_framed_is_refused);
    tcase_add_checked_fixture(read, make_folder, remove_folder);
    tcase_add_loop_test(read, lines_of_a_file, 0, 2);
    tcase_add_test(read, pieces_are_decoded);
    tcase_add_test(read, files_of_a_folder);
    tcase_add_loop_test(read, bad_files_are_told, 0, BAD_FILES);
    tcase_add_test(read, no_regular_file);
    tcase_add_test(read, too_long_a_file);
    tcase_add_test(read, no_such_file);
    suite_add_tcase(suite, made);
    suite_add_tcase(suite, read);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
