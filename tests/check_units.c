#include "config.h"

#include "units.h"

#include <check.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#define US 1ULL
#define MS 1000ULL
#define SECOND 1000000ULL
#define MINUTE 60000000ULL
#define HOUR 3600000000ULL
#define UNTOUCHED 0xdeadbeefULL

typedef int parser(const char *text, uint64_t *value, struct error *e);
typedef const char *formatter(char buf[UNITS_TEXT], uint64_t value);

/* Parsing */

struct accepted {
    parser *parse;
    const char *text;
    uint64_t value;
};

static const struct accepted accepted[] = {
    {units_duration, "0", 0},
    {units_duration, "5", 5 * SECOND},
    {units_duration, "5s", 5 * SECOND},
    {units_duration, "5S", 5 * SECOND},
    {units_duration, "007", 7 * SECOND},
    {units_duration, "1.5s", 1500 * MS},
    {units_duration, "1.50", 1500 * MS},
    {units_duration, "0.25ms", 250 * US},
    {units_duration, "17us", 17},
    {units_duration, "17Us", 17},
    {units_duration, "500mS", 500 * MS},
    {units_duration, "2m", 2 * MINUTE},
    {units_duration, "2M", 2 * MINUTE},
    {units_duration, "1.5h", 90 * MINUTE},
    {units_duration, "1.4us", 1},
    {units_duration, "1.5us", 2},
    {units_duration, "0.0000005", 1},
    {units_duration, "0.9999999999999999999999s", SECOND},
    {units_duration, "off", UNITS_OFF},
    {units_duration, "OFF", UNITS_OFF},
    {units_duration, "18446744073709551615us", UINT64_MAX},
    {units_size, "0", 0},
    {units_size, "1", 1},
    {units_size, "64B", 64},
    {units_size, "64b", 64},
    {units_size, "1K", 1024},
    {units_size, "1k", 1024},
    {units_size, "1KB", 1024},
    {units_size, "1KiB", 1024},
    {units_size, "1kIb", 1024},
    {units_size, "16M", 16 << 20},
    {units_size, "3G", 3ULL << 30},
    {units_size, "0.5K", 512},
    {units_size, "1.5MiB", 3 << 19},
    {units_size, "0.3K", 307},
    {units_size, "18446744073709551615", UINT64_MAX},
    {units_size, "17179869183G", 17179869183ULL << 30},
    {units_count, "0", 0},
    {units_count, "1000", 1000},
    {units_count, "50k", 50000},
    {units_count, "50K", 50000},
    {units_count, "1.5k", 1500},
    {units_count, "0.001k", 1},
    {units_count, "1.000", 1},
    {units_count, "2m", 2000000},
    {units_count, "1.000000001G", 1000000001},
    {units_count, "1.00000000000000000000000k", 1000},
    {units_count, "18446744073709551615", UINT64_MAX},
    {units_count, "18446744073.709551615g", UINT64_MAX},
};

START_TEST(accepts)
{
    const struct accepted *row = &accepted[_i];
    struct error e = {"kept", "kept"};
    uint64_t value = UNTOUCHED;
    ck_assert_msg(row->parse(row->text, &value, &e) == 0, "%s refused: %s", row->text, e.what);
    ck_assert_msg(value == row->value, "%s is %llu", row->text, (unsigned long long)value);
    ck_assert_str_eq(e.what, "kept");
}
END_TEST

struct refused {
    parser *parse;
    const char *text;
    int rc;
    const char *cause; /* part of what is said */
};

static const struct refused refused[] = {
    {units_duration, "", ERR_SYNTAX, "empty"},
    {units_duration, " ", ERR_SYNTAX, "' '"},
    {units_duration, " 5s", ERR_SYNTAX, "' 5s'"},
    {units_duration, "5s ", ERR_SYNTAX, "'5s '"},
    {units_duration, "5 s", ERR_SYNTAX, "'5 s'"},
    {units_duration, "s", ERR_SYNTAX, "'s'"},
    {units_duration, "5x", ERR_SYNTAX, "'5x'"},
    {units_duration, "5sec", ERR_SYNTAX, "'5sec'"},
    {units_duration, "5ss", ERR_SYNTAX, "'5ss'"},
    {units_duration, "+5s", ERR_SYNTAX, "'+5s'"},
    {units_duration, "5.s", ERR_SYNTAX, "'5.s'"},
    {units_duration, ".5s", ERR_SYNTAX, "'.5s'"},
    {units_duration, "1.5.5s", ERR_SYNTAX, "'1.5.5s'"},
    {units_duration, "1,5s", ERR_SYNTAX, "'1,5s'"},
    {units_duration, "0x10", ERR_SYNTAX, "'0x10'"},
    {units_duration, "1e3", ERR_SYNTAX, "'1e3'"},
    {units_duration, "nan", ERR_SYNTAX, "'nan'"},
    {units_duration, "inf", ERR_SYNTAX, "'inf'"},
    {units_duration, "offs", ERR_SYNTAX, "'offs'"},
    {units_duration, "-", ERR_SYNTAX, "'-'"},
    {units_duration, "-5s", ERR_RANGE, "negative"},
    {units_duration, "0.4us", ERR_RANGE, "too small"},
    {units_duration, "18446744073709551616us", ERR_RANGE, "too large"},
    {units_duration, "18446744073709551615", ERR_RANGE, "too large"},
    {units_duration, "99999999999999999999999999", ERR_RANGE, "too large"},
    {units_size, "", ERR_SYNTAX, "empty"},
    {units_size, "K", ERR_SYNTAX, "'K'"},
    {units_size, "16iB", ERR_SYNTAX, "'16iB'"},
    {units_size, "16T", ERR_SYNTAX, "'16T'"},
    {units_size, "16Kb2", ERR_SYNTAX, "'16Kb2'"},
    {units_size, "16 K", ERR_SYNTAX, "'16 K'"},
    {units_size, "off", ERR_SYNTAX, "'off'"},
    {units_size, "-1", ERR_RANGE, "negative"},
    {units_size, "0.1", ERR_RANGE, "too small"},
    {units_size, "17179869184G", ERR_RANGE, "too large"},
    {units_size, "18446744073709551615.5", ERR_RANGE, "too large"},
    {units_count, "", ERR_SYNTAX, "empty"},
    {units_count, "many", ERR_SYNTAX, "'many'"},
    {units_count, "5kB", ERR_SYNTAX, "'5kB'"},
    {units_count, "1.5", ERR_RANGE, "not a whole number"},
    {units_count, "1.0001k", ERR_RANGE, "not a whole number"},
    {units_count, "1.0000000000000000000001k", ERR_RANGE, "not a whole number"},
    {units_count, "-0", ERR_RANGE, "negative"},
    {units_count, "18446744073709551616", ERR_RANGE, "too large"},
    {units_count, "18446744074g", ERR_RANGE, "too large"},
};

START_TEST(refuses)
{
    const struct refused *row = &refused[_i];
    struct error e = {"", ""};
    uint64_t value = UNTOUCHED;
    ck_assert_msg(row->parse(row->text, &value, &e) == row->rc, "'%s': %s", row->text, e.what);
    ck_assert(value == UNTOUCHED);
    ck_assert_msg(strstr(e.what, row->cause), "'%s': %s", row->text, e.what);
    ck_assert_msg(strstr(e.what, row->text), "'%s': %s", row->text, e.what);
    ck_assert_msg(e.mend[0], "'%s' without a mend", row->text);
    ck_assert(row->parse(row->text, &value, NULL) == row->rc);
}
END_TEST

/* Formatting */

struct formatted {
    formatter *format;
    uint64_t value;
    const char *text;
};

static const struct formatted formatted[] = {
    {units_text_duration, 0, "0 us"},
    {units_text_duration, 6, "6 us"},
    {units_text_duration, 999, "999 us"},
    {units_text_duration, 1000, "1.00 ms"},
    {units_text_duration, 1835, "1.84 ms"},
    {units_text_duration, 2060, "2.06 ms"},
    {units_text_duration, 9994, "9.99 ms"},
    {units_text_duration, 9995, "10.0 ms"},
    {units_text_duration, 9996, "10.0 ms"},
    {units_text_duration, 99949, "99.9 ms"},
    {units_text_duration, 99950, "100 ms"},
    {units_text_duration, 999499, "999 ms"},
    {units_text_duration, 999500, "1.00 s"},
    {units_text_duration, 5 * SECOND, "5.00 s"},
    {units_text_duration, 9995 * MS, "10.0 s"},
    {units_text_duration, 59949999, "59.9 s"},
    {units_text_duration, 59950000, "1.00 m"},
    {units_text_duration, 90 * SECOND, "1.50 m"},
    {units_text_duration, 59 * MINUTE + 56 * SECOND, "59.9 m"},
    {units_text_duration, 59 * MINUTE + 57 * SECOND, "1.00 h"},
    {units_text_duration, 90 * MINUTE, "1.50 h"},
    {units_text_duration, 8760 * HOUR, "8,760 h"},
    {units_text_duration, UINT64_MAX, "5,124,095,576 h"},
    {units_text_ns, 0, "0 ns"},
    {units_text_ns, 850, "850 ns"},
    {units_text_ns, 999, "999 ns"},
    {units_text_ns, 1000, "1.00 us"},
    {units_text_ns, 12345, "12.3 us"},
    {units_text_ns, 99950, "100 us"},
    {units_text_ns, 999499, "999 us"},
    {units_text_ns, 999500, "1.00 ms"},
    {units_text_ns, 108 * SECOND, "108 ms"},
    {units_text_ns, 999500000, "1.00 s"},
    {units_text_ns, 1311 * SECOND, "1.31 s"},
    {units_text_ns, 90 * MINUTE * 1000, "1.50 h"},
    {units_text_byte_rate, 0, "0 B/s"},
    {units_text_byte_rate, 999, "999 B/s"},
    {units_text_byte_rate, 1000, "1.00 kB/s"},
    {units_text_byte_rate, 3400000, "3.40 MB/s"},
    {units_text_byte_rate, 999499999, "999 MB/s"},
    {units_text_byte_rate, 11311000000, "11.3 GB/s"},
    {units_text_byte_rate, UINT64_MAX, "18,446,744 TB/s"},
    {units_text_bytes, 0, "0 B"},
    {units_text_bytes, 64, "64 B"},
    {units_text_bytes, 999, "999 B"},
    {units_text_bytes, 1023, "1,023 B"},
    {units_text_bytes, 1024, "1.00 KiB"},
    {units_text_bytes, 62874, "61.4 KiB"},
    {units_text_bytes, 87040, "85.0 KiB"},
    {units_text_bytes, 10234, "9.99 KiB"},
    {units_text_bytes, 10235, "10.0 KiB"},
    {units_text_bytes, 1023 * 1024 + 511, "1,023 KiB"},
    {units_text_bytes, 1023 * 1024 + 512, "1.00 MiB"},
    {units_text_bytes, 16 << 20, "16.0 MiB"},
    {units_text_bytes, 5ULL << 40, "5.00 TiB"},
    {units_text_bytes, UINT64_MAX, "16.0 EiB"},
    {units_text_count, 0, "0"},
    {units_text_count, 999, "999"},
    {units_text_count, 1000, "1,000"},
    {units_text_count, 83886080, "83,886,080"},
    {units_text_count, UINT64_MAX, "18,446,744,073,709,551,615"},
    {units_text_exact_bytes, 1448, "1,448 B"},
    {units_text_exact_bytes, 83886080, "83,886,080 B"},
    {units_text_exact_bytes, UINT64_MAX, "18,446,744,073,709,551,615 B"},
};

START_TEST(formats)
{
    const struct formatted *row = &formatted[_i];
    char buf[UNITS_TEXT];
    ck_assert_ptr_eq(row->format(buf, row->value), buf);
    ck_assert_str_eq(buf, row->text);
}
END_TEST

START_TEST(micro_sign_follows_the_locale)
{
    char buf[UNITS_TEXT];
    ck_assert(setlocale(LC_ALL, "C"));
    ck_assert(!units_utf8());
    ck_assert_str_eq(units_text_duration(buf, 214), "214 us");
    ck_assert(setlocale(LC_ALL, "C.UTF-8"));
    ck_assert(units_utf8());
    ck_assert_str_eq(units_text_duration(buf, 214), "214 µs");
    setlocale(LC_ALL, "C");
}
END_TEST

START_TEST(plurals)
{
    char buf[UNITS_TEXT];
    ck_assert_str_eq(units_plural(buf, sizeof buf, 1, "frame"), "1 frame");
    ck_assert_str_eq(units_plural(buf, sizeof buf, 0, "frame"), "0 frames");
    ck_assert_str_eq(units_plural(buf, sizeof buf, 12003, "frame"), "12,003 frames");
}
END_TEST

/* Properties */

/* A random value of a random number of bits. */
static uint64_t random_value(void)
{
    uint64_t value = 0;
    for (int i = 0; i < 5; i++)
        value = value << 15 ^ (uint64_t)(random() & 0x7fff);
    return value >> (random() % 64);
}

/* What is printed, without its space and commas, is accepted again. */
static uint64_t read_back(parser *parse, const char *text)
{
    char bare[UNITS_TEXT], *to = bare;
    struct error e = {"", ""};
    uint64_t value = 0;
    for (; *text; text++) {
        if (*text != ' ' && *text != ',')
            *to++ = *text;
    }
    *to = '\0';
    ck_assert_msg(parse(bare, &value, &e) == 0, "%s", e.what);
    return value;
}

static void near(uint64_t printed, uint64_t value)
{
    uint64_t apart = printed > value ? printed - value : value - printed;
    ck_assert_msg(apart <= value / 200 + 1, "%llu for %llu", (unsigned long long)printed,
                  (unsigned long long)value);
}

START_TEST(printed_is_within_half_a_percent)
{
    char buf[UNITS_TEXT];
    srandom(7);
    for (int i = 0; i < 100000; i++) {
        uint64_t value = random_value();
        ck_assert(read_back(units_count, units_text_count(buf, value)) == value);
        ck_assert(read_back(units_size, units_text_exact_bytes(buf, value)) == value);
        if (value < 5124095576ULL * HOUR)
            near(read_back(units_duration, units_text_duration(buf, value)), value);
        if (value < 1000ULL << 30)
            near(read_back(units_size, units_text_bytes(buf, value)), value);
    }
}
END_TEST

START_TEST(larger_never_prints_smaller)
{
    char buf[UNITS_TEXT];
    uint64_t last_us = 0, last_bytes = 0;
    for (uint64_t value = 0; value < 1ULL << 39; value += 1 + value / 900) {
        uint64_t us = read_back(units_duration, units_text_duration(buf, value));
        uint64_t bytes = read_back(units_size, units_text_bytes(buf, value));
        ck_assert(us >= last_us && bytes >= last_bytes);
        last_us = us;
        last_bytes = bytes;
    }
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof *(table)))

int main(void)
{
    Suite *suite = suite_create("units");
    TCase *parsing = tcase_create("parsing"), *formatting = tcase_create("formatting"),
          *properties = tcase_create("properties");
    tcase_add_loop_test(parsing, accepts, 0, ROWS(accepted));
    tcase_add_loop_test(parsing, refuses, 0, ROWS(refused));
    tcase_add_loop_test(formatting, formats, 0, ROWS(formatted));
    tcase_add_test(formatting, micro_sign_follows_the_locale);
    tcase_add_test(formatting, plurals);
    tcase_set_timeout(properties, 60);
    tcase_add_test(properties, printed_is_within_half_a_percent);
    tcase_add_test(properties, larger_never_prints_smaller);
    suite_add_tcase(suite, parsing);
    suite_add_tcase(suite, formatting);
    suite_add_tcase(suite, properties);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
