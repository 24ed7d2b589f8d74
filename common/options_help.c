#include "config.h"

#include "options.h"

#include <stdio.h>
#include <string.h>

#define HELP_COLUMN 30

static const char server_head[] =
    "synfind: serve framed TCP, and keep a record of each connection's life\n"
    "usage: synfind [OPTION]... [HOST] PORT | HOST:PORT | [V6]:PORT | :PORT | unix:PATH\n"
    "\n"
    "    synfind 9000                            echo, on loopback, frames with a 4-byte length\n"
    "    synfind :9000                           the same, on every interface\n"
    "    synfind -F line -H upper 9000           lines in, lines in upper case out\n"
    "    synfind --port-file port 0              a port from the system, written to a file\n"
    "    synfind unix:/run/echo.sock\n";

static const char client_head[] =
    "synfin: talk to a service in frames over TCP, from SYN to FIN\n"
    "usage: synfin [OPTION]... HOST PORT | HOST:PORT | [V6]:PORT | unix:PATH\n"
    "\n"
    "    echo hello | synfin localhost 9000      prints hello: each line is a frame\n"
    "    synfin -x localhost 9000                by hand, every frame shown in hex\n"
    "    synfin -F crlf -v mail.example.org 25   lines; each stage of the connection told\n"
    "    synfin unix:/run/echo.sock < requests > replies\n"
    "    synfin --load -c 1000 -r 50k -d 10s localhost 9000\n"
    "    synfin --compare before.json after.json\n";

static const char units_note[] = "\nTIME: us ms s m h (bare: seconds), or off. SIZE: K M G are "
                                 "1024s. N, RATE: k m g are 1000s.\n";

/* "  -F, --frame CODEC", padded to where the help begins. */
static void print_names(const struct options_row *row)
{
    int used = row->letter ? printf("  -%c, ", row->letter) : printf("      ");
    used +=
        printf("--%s%s%s", row->name, row->argument ? " " : "", row->argument ? row->argument : "");
    printf("%*s", used < HELP_COLUMN ? HELP_COLUMN - used : 1, "");
}

static void print_row(const struct options_row *row)
{
    const char *preset = row->initial ? row->initial : row->otherwise;
    print_names(row);
    if (row->words)
        printf("%s: ", row->words);
    printf("%s%s%s%s\n", row->help, preset ? " (" : "", preset ? preset : "", preset ? ")" : "");
}

void options_help(enum options_use program)
{
    const char *group = "";
    fputs(program == USE_SERVER ? server_head : client_head, stdout);
    for (unsigned i = 0; options_row(i); i++) {
        const struct options_row *row = options_row(i);
        if (!(row->use & program))
            continue;
        if (strcmp(group, row->group) != 0)
            printf("\n%s\n", row->group);
        group = row->group;
        print_row(row);
    }
    fputs(units_note, stdout);
    printf("%s says more, synfin-frame(7) about CODEC.\n",
           program == USE_SERVER ? "synfind(8)" : "synfin(1)");
}

void options_version(enum options_use program)
{
    printf("%s %s\n", options_program(program), PACKAGE_VERSION);
}
