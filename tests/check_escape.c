/* What may be shown on a terminal as it is, and what stands for the rest. */
#include "config.h"

#include "escape.h"

#include <check.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

static const struct row {
    const char *bytes, *utf8, *plain; /* shown in a UTF-8 locale; in another (NULL: the same) */
} rows[] = {
    {"", "", NULL},
    {"plain text\t~", "plain text\t~", NULL},
    {"\x1b[31mred\r\nend", "\\x1b[31mred\\r\\nend", NULL},
    {"\x01\x1f\x7f", "\\x01\\x1f\\x7f", NULL},
    {"214 \xc2\xb5s", "214 \xc2\xb5s", "214 \\xc2\\xb5s"},
    {"\xe2\x96\x88\xf0\x9f\x98\x80", "\xe2\x96\x88\xf0\x9f\x98\x80",
     "\\xe2\\x96\\x88\\xf0\\x9f\\x98\\x80"},
    {"\xc2\x9b", "\\xc2\\x9b", NULL},                   /* CSI, a C1 control */
    {"\xc0\xaf", "\\xc0\\xaf", NULL},                   /* too long a form */
    {"\xe0\x80\xaf", "\\xe0\\x80\\xaf", NULL},          /* the same */
    {"\xed\xa0\x80", "\\xed\\xa0\\x80", NULL},          /* half a surrogate pair */
    {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", NULL}, /* over U+10FFFF */
    {"\xc3", "\\xc3", NULL},                            /* cut off */
    {"\xe2\x96 x", "\\xe2\\x96 x", NULL},               /* the same, and more */
};

static void expect(const struct row *row, const char *shown)
{
    char to[256];
    size_t n = strlen(row->bytes);
    ck_assert_uint_le(ESCAPE_MAX * n, sizeof to - 1);
    size_t length = escape_copy(to, (const uint8_t *)row->bytes, n);
    to[length] = '\0';
    ck_assert_str_eq(to, shown);
}

START_TEST(in_utf8)
{
    ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C.UTF-8"));
    expect(&rows[_i], rows[_i].utf8);
}
END_TEST

START_TEST(elsewhere)
{
    ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C"));
    expect(&rows[_i], rows[_i].plain != NULL ? rows[_i].plain : rows[_i].utf8);
}
END_TEST

START_TEST(a_nul_is_a_byte_like_others)
{
    char to[3 * ESCAPE_MAX];
    ck_assert_uint_eq(escape_copy(to, (const uint8_t *)"a\0b", 3), 6);
    ck_assert_mem_eq(to, "a\\x00b", 6);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("escape");
    TCase *tcase = tcase_create("shown");
    tcase_add_loop_test(tcase, in_utf8, 0, sizeof rows / sizeof *rows);
    tcase_add_loop_test(tcase, elsewhere, 0, sizeof rows / sizeof *rows);
    tcase_add_test(tcase, a_nul_is_a_byte_like_others);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
