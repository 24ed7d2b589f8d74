"""result_schema.py SCHEMA FILE...: each file holds what synfin --load -J wrote, or --json-stream (a
line for each event). Holds them against the schema; what does not fit is told, and the exit status
is 1. 77: python3-jsonschema is not there."""

import json
import sys

try:
    import jsonschema
except ImportError:
    print("result_schema.py: python3-jsonschema is not there")
    sys.exit(77)


def no_duplicates(pairs):
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"the member {key!r} stands there twice")
    return dict(pairs)


def no_constant(word):
    raise ValueError(f"{word} is no JSON")


def complaints(schema, path):
    of_events = {"$ref": "#/definitions/event", "definitions": schema["definitions"]}
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if not text.endswith("\n"):
        yield "its last line has no end"
    for number, line in enumerate(text.splitlines(), 1):
        try:
            value = json.loads(line, object_pairs_hook=no_duplicates, parse_constant=no_constant)
        except ValueError as error:
            yield f"line {number}: {error}"
            continue
        validator = jsonschema.Draft7Validator(of_events if "event" in value else schema)
        error = jsonschema.exceptions.best_match(validator.iter_errors(value))
        if error is not None:
            where = "/".join(str(step) for step in error.absolute_path)
            yield f"line {number}: {where}: {error.message[:300]}"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft7Validator.check_schema(schema)
    failed = False
    for path in sys.argv[2:]:
        for complaint in complaints(schema, path):
            print(f"{path}: {complaint}")
            failed = True
    sys.exit(failed)


main()
