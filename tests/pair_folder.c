#include "config.h"

#include "pair_folder.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pair.h"

static char dir[200];
static unsigned name_count;
static char **names; /* what pair_file gave out */

/* Environment. */

unsigned pair_scaled(unsigned n)
{
    const char *text = getenv("SYNFIN_SCALE");
    unsigned scale = text != NULL ? (unsigned)strtoul(text, NULL, 10) : 1;
    unsigned scaled = n / (scale > 0 ? scale : 1);
    return scaled > 0 ? scaled : 1;
}

bool pair_wrapped(void)
{
    const char *wrap = getenv("SYNFIN_WRAP");
    return wrap != NULL && *wrap != '\0';
}

int pair_patience(int ms)
{
    const char *limit = getenv("SYNFIN_DEADLINE");
    ms = pair_wrapped() ? ms * 10 : ms;
    return limit != NULL && atoi(limit) < ms ? atoi(limit) : ms;
}

/* The folder. */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void pair_folder_make(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(dir, sizeof(dir), "%.150s/synfin-test-XXXXXX", base != NULL ? base : "/tmp");
    ck_assert_msg(mkdtemp(dir) != NULL, "mkdtemp %s: %s", dir, strerror(errno));
}

void pair_folder_remove(void)
{
    if (dir[0] != '\0')
        nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    dir[0] = '\0';
    while (name_count > 0)
        free(names[--name_count]);
    free(names);
    names = NULL;
}

const char *pair_dir(void)
{
    return dir;
}

const char *pair_file(const char *name)
{
    if (name_count % 64 == 0)
        names = realloc(names, (name_count + 64) * sizeof(*names));
    ck_assert_ptr_nonnull(names);
    ck_assert_int_ge(asprintf(&names[name_count], "%s/%s", dir, name), 0);
    return names[name_count++];
}

/* Pipes and files. */

int pair_pipe(int *in)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    *in = ends[0];
    return ends[1];
}

int pair_pipe_with(const char *bytes, size_t n)
{
    int in, out = pair_pipe(&in);
    if (n > 65536)
        ck_assert_int_ge(fcntl(out, F_SETPIPE_SZ, 1 << 20), (int)n);
    ck_assert_int_eq(write(out, bytes, n), (ssize_t)n);
    close(out);
    return in;
}

char *pair_read_file(const char *path, size_t *n)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t have = 0, room = 0, got;
    if (file == NULL)
        return NULL;
    do {
        if (room - have < 65536)
            text = realloc(text, room = room * 2 + 131072);
        ck_assert_ptr_nonnull(text);
        got = fread(text + have, 1, room - have - 1, file);
        have += got;
    } while (got > 0);
    fclose(file);
    text[have] = '\0';
    if (n != NULL)
        *n = have;
    return text;
}
