#include "config.h"

#include "nearest.h"

#include <ctype.h>
#include <string.h>

#define LENGTH_MAX 40 /* longer texts are no misspelt names */

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static int same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* How many letters must be added, dropped, changed or swapped with a neighbour. Both texts are at
 * most LENGTH_MAX long. */
static unsigned distance(const char *a, const char *b)
{
    unsigned rows[LENGTH_MAX + 1][LENGTH_MAX + 1];
    size_t a_length = strlen(a), b_length = strlen(b);

    for (size_t j = 0; j <= b_length; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_length; i++) {
        rows[i][0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            unsigned change = rows[i - 1][j - 1] + !same(a[i - 1], b[j - 1]);
            rows[i][j] = least(change, least(rows[i - 1][j], rows[i][j - 1]) + 1);
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                rows[i][j] = least(rows[i][j], rows[i - 2][j - 2] + 1);
        }
    }
    return rows[a_length][b_length];
}

void nearest_try(struct nearest *nearest, const char *text, const char *candidate)
{
    size_t length = strlen(text);
    if (length < 3 || length > LENGTH_MAX || strlen(candidate) > LENGTH_MAX)
        return;
    unsigned found = distance(text, candidate);
    if (found > length / 3 || (nearest->name && found >= nearest->distance))
        return;
    nearest->name = candidate;
    nearest->distance = found;
}
