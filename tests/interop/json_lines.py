"""json_lines.py FILE [MEMBER]: FILE is a journal: strict JSON, one object a line, whole lines only,
no member twice in an object, no id (run and number) twice. Prints how many lines, then, with MEMBER,
its value of each line, UTF-8 in hex."""

import json
import sys


def fail(what):
    sys.exit(f"{sys.argv[1]}: {what}")


def once(members):
    names = [name for name, _ in members]
    if len(set(names)) != len(names):
        fail(f"a member twice: {names}")
    return dict(members)


def number(word):
    fail(f"{word} is no JSON")


with open(sys.argv[1], encoding="utf-8", errors="strict", newline="\n") as file:
    text = file.read()
if text and not text.endswith("\n"):
    fail("the last line is cut off")
objects = []
for n, line in enumerate(text.split("\n")[:-1], 1):
    try:
        objects.append(json.loads(line, object_pairs_hook=once, parse_constant=number))
    except ValueError as error:
        fail(f"line {n}: {error}: {line!r}")
    if not isinstance(objects[-1], dict):
        fail(f"line {n} is no object")
ids = {(o["run"], o["number"]) for o in objects}
if len(ids) != len(objects):
    fail(f"{len(objects)} lines have {len(ids)} ids")
print(len(objects))
for o in objects if len(sys.argv) > 2 else []:
    print(o[sys.argv[2]].encode().hex())
