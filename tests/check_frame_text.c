/* Codecs and people: how a codec is written, what is wrong with one that is not, what is refused,
 * and what a fault says. */
#include "config.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"

#define LIMIT (16 * 1024 * 1024)

static struct frame_codec parse(const char *text)
{
    struct frame_codec codec;
    struct error e = {0};

    ck_assert_msg(frame_codec_parse(&codec, text, LIMIT, &e) == 0, "%s: %s", text, e.what);
    return codec;
}

/* What is no codec, the words its error must have. */
static const struct {
    const char *text;
    enum err err;
    const char *what, *mend;
} wrong[] = {
    {"", ERR_SYNTAX, "\"\" is no codec", "--frame list"},
    {"u32", ERR_SYNTAX, "\"u32\" is no codec", "u32be or u32le"},
    {"U32BE", ERR_SYNTAX, "is no codec", "u32be"},
    {"netsring", ERR_SYNTAX, "\"netsring\"", "did you mean netstring? --frame list"},
    {"xyzzy", ERR_SYNTAX, "\"xyzzy\"", "--frame list"},
    {"u32be ", ERR_SYNTAX, "\"u32be \"", "u32be"},
    {"u32be:", ERR_SYNTAX, "parameter \"\"", "adjust"},
    {"u32be:adjust", ERR_SYNTAX, "\"adjust\" has no value", "adjust=VALUE"},
    {"u32be:adjust=", ERR_SYNTAX, "adjust= is not a whole number", "adjust="},
    {"u32be:adjust=1x", ERR_SYNTAX, "adjust=1x", "adjust="},
    {"u32be:adjust= 1", ERR_SYNTAX, "adjust= 1", "adjust="},
    {"u32be:adjust=--4", ERR_SYNTAX, "adjust=--4", "adjust="},
    {"u32be:adjust=1,", ERR_SYNTAX, "parameter \"\"", "adjust"},
    {"u32be:adjust=1,adjust=2", ERR_SYNTAX, "\"adjust\" is given twice", "once"},
    {"u32be:adjust=99999999999999999999", ERR_RANGE, "out of range", "from -2147483648"},
    {"u32be:width=2", ERR_SYNTAX, "u32be has no parameter \"width\"", "adjust"},
    {"u8:adjust=-256", ERR_RANGE, "negative", "adjust=-1"},
    {"u32be:adjust=16777217", ERR_RANGE, "at least 16777217 B", "--max-frame"},
    {"mysql:adjust=1", ERR_SYNTAX, "mysql has no parameter", "field:"},
    {"netstring:max=5", ERR_SYNTAX, "netstring has no parameter \"max\"", "none"},
    {"crlf:0d", ERR_SYNTAX, "crlf has no parameter", "delim:0d0a"},
    {"field:width=5", ERR_RANGE, "width=5", "1, 2, 3, 4 or 8"},
    {"field:width=0", ERR_RANGE, "width=0", "from 1 to 8"},
    {"field:width=9", ERR_RANGE, "width=9", "from 1 to 8"},
    {"field:offset=-1", ERR_RANGE, "offset=-1", "from 0 to 31"},
    {"field:offset=29", ERR_RANGE, "over 32 bytes", "up to 28"},
    {"field:order=big", ERR_SYNTAX, "order=big", "le or be"},
    {"field:strip=1", ERR_SYNTAX, "strip=1", "yes or no"},
    {"field:max=3", ERR_SYNTAX, "\"max\"", "offset, width, order, adjust, strip"},
    {"varint:max=11", ERR_RANGE, "max=11", "from 1 to 10"},
    {"varint:max=0", ERR_RANGE, "max=0", "from 1 to 10"},
    {"varint:offset=23", ERR_RANGE, "over 32 bytes", "up to 22"},
    {"delim", ERR_SYNTAX, "is empty", "delim:0d0a"},
    {"delim:", ERR_SYNTAX, "is empty", "delim:0d0a"},
    {"delim:0d0", ERR_SYNTAX, "odd number", "delim:0d0a"},
    {"delim:0x0a", ERR_SYNTAX, "not hex digits", "delim:0d0a"},
    {"delim:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20", ERR_SYNTAX,
     "longer than 32 bytes", "1 to 32"},
};

START_TEST(parse_errors)
{
    struct frame_codec codec, before;
    struct error e;

    memset(&codec, 0x5a, sizeof codec);
    before = codec;
    ck_assert_int_eq(frame_codec_parse(&codec, wrong[_i].text, LIMIT, &e), wrong[_i].err);
    ck_assert_msg(strstr(e.what, wrong[_i].what) != NULL, "%s", e.what);
    ck_assert_msg(strstr(e.mend, wrong[_i].mend) != NULL, "%s", e.mend);
    ck_assert_mem_eq(&codec, &before, sizeof codec);
    ck_assert_int_eq(frame_codec_parse(&codec, wrong[_i].text, LIMIT, NULL), wrong[_i].err);
}
END_TEST

START_TEST(endless_text)
{
    char text[3000];
    struct frame_codec codec;
    struct error e;

    memset(text, 'u', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    ck_assert_int_eq(frame_codec_parse(&codec, text, LIMIT, &e), ERR_SYNTAX);
    ck_assert_uint_lt(strlen(e.what), 200);
    memcpy(text, "delim:", 6);
    ck_assert_int_eq(frame_codec_parse(&codec, text, LIMIT, &e), ERR_SYNTAX);
    memcpy(text, "field:", 6);
    ck_assert_int_eq(frame_codec_parse(&codec, text, LIMIT, &e), ERR_SYNTAX);
}
END_TEST

START_TEST(defaults)
{
    struct frame_codec codec = parse("field");

    ck_assert(codec.kind == FRAME_LENGTH && codec.strip && codec.width == 4 && !codec.little);
    ck_assert_str_eq(codec.name, "field");
    ck_assert_uint_eq(codec.max_body, LIMIT);
    codec = parse("field:offset=2");
    ck_assert(!codec.strip && codec.width == 4 && codec.adjust == 0);
    codec = parse("field:strip=yes,offset=2,order=le");
    ck_assert(codec.strip && codec.offset == 2 && codec.little);
    codec = parse("varint");
    ck_assert(codec.kind == FRAME_VARINT && codec.strip && codec.width == 10);
    codec = parse("varint:offset=1,max=4");
    ck_assert(!codec.strip && codec.width == 4);
    codec = parse("delim:0D0a");
    ck_assert(codec.end_length == 2 && codec.end[0] == '\r' && codec.end[1] == '\n');
    ck_assert_int_eq(frame_codec_parse(&codec, "u64be", UINT64_MAX, NULL), 0);
    ck_assert_uint_eq(codec.max_body, FRAME_LIMIT_MAX);
    ck_assert_int_eq(frame_codec_parse(&codec, "u64be", 0, NULL), 0);
    ck_assert_int_eq(frame_codec_parse(&codec, "raw", 0, NULL), ERR_RANGE);
    ck_assert_int_eq(frame_codec_parse(&codec, "postgres", 4, NULL), ERR_RANGE);
}
END_TEST

static const char *const names[] = {"u8",    "u16be", "u16le", "u24be", "u24le",  "u32be",
                                    "u32le", "u64be", "u64le", "field", "varint", "netstring",
                                    "octet", "line",  "crlf",  "nul",   "mllp",   "delim",
                                    "raw",   "dns",   "kafka", "mqtt",  "mysql",  "postgres"};

START_TEST(list)
{
    char *text = NULL, *next, row[16];
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    ck_assert_ptr_nonnull(out);
    frame_codec_list(out);
    fclose(out);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(row, sizeof row, "\n%s ", names[i]);
        ck_assert_msg(strstr(text, row) != NULL, "%s", names[i]);
    }
    next = text;
    for (char *line = strsep(&next, "\n"); line != NULL; line = strsep(&next, "\n"))
        ck_assert_msg(strlen(line) <= 100 && (*line == '\0' || line[strlen(line) - 1] != ' '), "%s",
                      line);
    free(text);
}
END_TEST

static char *read_page(void)
{
    FILE *file = fopen(TOP_SRCDIR "/doc/synfin-frame.7", "r");
    char *text = NULL;
    size_t size = 0;

    ck_assert_ptr_nonnull(file);
    ck_assert_int_gt(getdelim(&text, &size, '\0', file), 0);
    fclose(file);
    return text;
}

/* The page has every codec, and every codec with parameters on it is one. */
START_TEST(man_page)
{
    char *text = read_page(), *next = text, word[32];
    struct frame_codec codec;
    struct error e = {0};
    int shapes = 0;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(word, sizeof word, "Cm %s", names[i]);
        ck_assert_msg(strstr(text, word) != NULL, "%s", names[i]);
    }
    while ((next = strpbrk(next, " \n")) != NULL) {
        char *shape = ++next, *colon = shape + strcspn(shape, ": \n");
        size_t n = strcspn(shape, " \n");
        if (*colon != ':' || colon + 1 >= shape + n || n > 100 || shape[0] < 'a' || shape[0] > 'z')
            continue;
        char *copy = strndup(shape, n);
        copy[colon - shape] = '\0';
        bool known = false;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            known = known || strcmp(copy, names[i]) == 0;
        copy[colon - shape] = ':';
        ck_assert_msg(!known || frame_codec_parse(&codec, copy, LIMIT, &e) == 0, "%s: %s", copy,
                      e.what);
        shapes += known;
        free(copy);
    }
    ck_assert_int_gt(shapes, 12);
    free(text);
}
END_TEST

/* What cannot be sent, and what is said of it. */
static const struct {
    const char *codec, *body;
    size_t n;
    enum err err;
    const char *what, *mend;
} refused[] = {
    {"u8", NULL, 256, ERR_FRAME_TOO_LARGE,
     "a body of 256 B does not fit the length field of u8, at most 255 B", "-F u32be"},
    {"u16be", NULL, 65536, ERR_FRAME_TOO_LARGE, "a body of 65,536 B", "-F u32be"},
    {"u16be:adjust=-2", NULL, 65534, ERR_FRAME_TOO_LARGE, "at most 65,533 B", "-F u32be"},
    {"u8:adjust=5", NULL, 261, ERR_FRAME_TOO_LARGE, "at most 260 B", "-F u32be"},
    {"u8:adjust=5", NULL, 4, ERR_FRAME_BAD, "a body of 4 B is shorter than", "smaller adjust"},
    {"varint:max=1", NULL, 128, ERR_FRAME_TOO_LARGE, "at most 127 B", "-F u32be"},
    {"octet", "", 0, ERR_FRAME_BAD, "no empty frame", "leave empty frames out"},
    {"mqtt", "\xc0\1", 2, ERR_FRAME_BAD, "of 2 B whose own length field makes it 3 B",
     "with their header"},
    {"mqtt", "\xc0\0x", 3, ERR_FRAME_BAD, "of 3 B whose own length field makes it 2 B",
     "with their header"},
    {"mqtt", "\xc0", 1, ERR_FRAME_BAD, "makes it longer", "with their header"},
    {"mqtt", "", 0, ERR_FRAME_BAD, "of 0 B", "with their header"},
    {"mysql", "\1\0\0\0", 4, ERR_FRAME_BAD, "of 4 B whose own length field makes it 5 B",
     "with their header"},
    {"postgres", "Q\0\0\0\4", 5, ERR_FRAME_BAD, "postgres", "with their header"},
    {"field:adjust=-4,strip=no", "\0\0\0\3", 4, ERR_FRAME_BAD,
     "a length of 3 B is under the 4 B it must count", "without adjust=-4"},
    {"line", "hello\nworld", 11, ERR_FRAME_BAD,
     "the body of 11 B holds the delimiter 0a of line: the peer would read 5 B", "-F u32be"},
    {"crlf", "a\r\n", 3, ERR_FRAME_BAD, "the peer would read 1 B", "-F u32be"},
    {"delim:61626162", "xab", 3, ERR_FRAME_BAD,
     "61 62 61 62 of delim:61626162: the peer would "
     "read 1 B",
     "-F u32be"},
    {"mllp", "\x1c\r", 2, ERR_FRAME_BAD, "the peer would read 0 B", "-F u32be"},
};

START_TEST(encode_refusals)
{
    static uint8_t zeros[1 << 17];
    struct frame_codec codec = parse(refused[_i].codec);
    struct frame_state state, before;
    struct frame_wrap wrap, untouched;
    struct frame_fault fault;
    struct error e;
    const uint8_t *body = refused[_i].body == NULL ? zeros : (const uint8_t *)refused[_i].body;

    frame_state_init(&state, &codec, FRAME_FROM_CLIENT);
    before = state;
    memset(&wrap, 0x5a, sizeof wrap);
    untouched = wrap;
    ck_assert_int_eq(frame_encode(&codec, &state, body, refused[_i].n, &wrap, &fault),
                     refused[_i].err);
    ck_assert_mem_eq(&wrap, &untouched, sizeof wrap);
    ck_assert_int_eq(state.first, before.first);
    frame_fault_text(&codec, &fault, &e);
    ck_assert_msg(strstr(e.what, refused[_i].what) != NULL, "%s", e.what);
    ck_assert_msg(strstr(e.mend, refused[_i].mend) != NULL, "%s", e.mend);
}
END_TEST

/* Bytes from a peer, the evidence and the likely cause. */
static const struct {
    const char *codec, *bytes;
    size_t n;
    const char *what, *mend;
} faults[] = {
    {"u32be", "\5\0\0\0hello", 9, "a length of 83,886,080 B is over 16.0 MiB; prefix 05 00 00 00",
     "-F u32le reads it as 5 B"},
    {"u32le", "\0\0\0\5hello", 9, "a length of 83,886,080 B", "-F u32be reads it as 5 B"},
    {"u32be:adjust=-4", "\x09\0\0\0", 4, "a length of 150,994,940 B",
     "-F u32le:adjust=-4 reads it as 5 B"},
    {"field:adjust=-4", "\x09\0\0\0", 4, "a length of 150,994,940 B",
     "-F field:adjust=-4,order=le reads it as 5 B"},
    {"field", "\5\0\0\0", 4, "83,886,080", "-F field:order=le reads it as 5 B"},
    {"field:order=le,offset=1", "x\0\0\0\5", 5, "83,886,085",
     "-F field:order=be,offset=1 reads it as 10 B"},
    {"kafka", "\5\0\0\0", 4, "83,886,080", "--max-frame 128M"},
    {"u32be", "HTTP/1.1 200 OK\r\n", 17, "prefix 48 54 54 50",
     "the prefix is text, \"HTTP\": try -F line or -F crlf"},
    {"u32be", "+OK\r\n", 5, "prefix 2b 4f 4b 0d", "text, \"+OK\\r\""},
    {"u64be", "220 smtp ready\r\n", 16, "prefix", "text, \"220 smtp\""},
    {"u32be", "\x16\3\1\2\0\1", 6, "prefix 16 03 01 02", "TLS handshake"},
    {"u32be", "\x15\3\3\0\2\2", 6, "prefix 15 03 03 00", "TLS alert"},
    {"u32be", "\x3f\xff\xff\xff", 4, "1,073,741,823 B", "--max-frame 1G"},
    {"u32be", "\x40\0\0\1", 4, "1,073,741,825 B", "--frame list"}, /* more than can be asked for */
    {"u64be", "\xff\xff\xff\xff\xff\xff\xff\xff", 8, "at least 18,446,744,073,709,551,615 B",
     "--frame list"},
    {"u32be:adjust=-4", "\0\0\0\2", 4, "a length of 2 B is under the 4 B it must count",
     "without adjust=-4"},
    {"postgres", "R\0\0\0\3", 5, "a length of 3 B is under the 4 B it must count", "list"},
    {"netstring", "hello\n", 6, "begins with a digit; prefix 68", "text, \"h\""},
    {"netstring", "\0\0\0\5", 4, "begins with a digit; prefix 00", "--frame list"},
    {"netstring", "5:hello\n", 8, "ends with a comma; prefix 35 3a 68 65 6c 6c 6f 0a", "list"},
    {"octet", "<34>1", 5, "begins with a digit; prefix 3c", "text, \"<\""},
    {"octet", "0 ", 2, "zero", "list"},
    {"mllp", "MSH|", 4, "start bytes; prefix 4d", "list"},
    {"varint", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10, "more bytes", "list"},
};

START_TEST(fault_texts)
{
    struct frame_codec codec = parse(faults[_i].codec);
    struct frame_state state;
    struct frame_found found;
    struct frame_fault fault;
    struct error e;

    frame_state_init(&state, &codec, FRAME_FROM_SERVER);
    ck_assert_int_lt(frame_decode(&codec, &state, (const uint8_t *)faults[_i].bytes, faults[_i].n,
                                  &found, &fault),
                     0);
    frame_fault_text(&codec, &fault, &e);
    ck_assert_msg(strstr(e.what, faults[_i].what) != NULL, "%s", e.what);
    ck_assert_msg(strstr(e.mend, faults[_i].mend) != NULL, "%s", e.mend);
}
END_TEST

START_TEST(no_delimiter)
{
    static uint8_t bytes[2001];
    struct frame_codec codec;
    struct frame_state state = {0};
    struct frame_found found;
    struct frame_fault fault;
    struct error e;

    ck_assert_int_eq(frame_codec_parse(&codec, "crlf", 2000, NULL), 0);
    memset(bytes, 'a', sizeof bytes);
    ck_assert_int_eq(frame_decode(&codec, &state, bytes, sizeof bytes, &found, &fault),
                     ERR_FRAME_TOO_LARGE);
    frame_fault_text(&codec, &fault, &e);
    ck_assert_str_eq(e.what, "no delimiter 0d 0a in 1.95 KiB; prefix 61 61 61 61 61 61 61 61 61 61 "
                             "61 61 61 61 61 61");
    ck_assert_ptr_nonnull(strstr(e.mend, "--max-frame 2K"));
    memcpy(bytes, "\0\0\0\5", 4);
    memset(&state, 0, sizeof state);
    ck_assert_int_eq(frame_decode(&codec, &state, bytes, sizeof bytes, &found, &fault),
                     ERR_FRAME_TOO_LARGE);
    frame_fault_text(&codec, &fault, &e);
    ck_assert_str_eq(e.mend, "-F u32be reads it as 5 B");
}
END_TEST

START_TEST(other_order)
{
    struct frame_codec codec = parse("u32be");
    uint64_t reads = 0;

    ck_assert_str_eq(frame_other_order(&codec, 5, &reads), "u32le");
    ck_assert_uint_eq(reads, 83886080);
    codec = parse("u16le");
    ck_assert_str_eq(frame_other_order(&codec, 0x0102, &reads), "u16be");
    ck_assert_uint_eq(reads, 0x0201);
    ck_assert_ptr_null(frame_other_order(&codec, 65536, &reads));
    codec = parse("u24be");
    ck_assert_str_eq(frame_other_order(&codec, 1, &reads), "u24le");
    ck_assert_uint_eq(reads, 0x010000);
    codec = parse("u8");
    ck_assert_ptr_null(frame_other_order(&codec, 5, &reads));
    codec = parse("kafka");
    ck_assert_ptr_null(frame_other_order(&codec, 5, &reads));
    codec = parse("line");
    ck_assert_ptr_null(frame_other_order(&codec, 5, &reads));
}
END_TEST

#define COUNT(table) (int)(sizeof table / sizeof table[0])

static Suite *suite(void)
{
    Suite *suite = suite_create("frame_text");
    TCase *cases = tcase_create("words");

    tcase_add_loop_test(cases, parse_errors, 0, COUNT(wrong));
    tcase_add_loop_test(cases, encode_refusals, 0, COUNT(refused));
    tcase_add_loop_test(cases, fault_texts, 0, COUNT(faults));
    tcase_add_test(cases, endless_text);
    tcase_add_test(cases, defaults);
    tcase_add_test(cases, list);
    tcase_add_test(cases, man_page);
    tcase_add_test(cases, no_delimiter);
    tcase_add_test(cases, other_order);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
