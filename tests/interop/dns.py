"""DNS messages by Python's standard library, for synfin -F dns --stdio hex and a real server.

  dns.py zone FILE      a zone of many addresses and one name with far more than 512 bytes of text
  dns.py queries FILE   a query for each, and for names that are not there, a line of hex each
  dns.py answers FILE   their answers, in any order, each once and right
  dns.py axfr FILE      one query: the whole zone, please
  dns.py transfer FILE  its answer: the whole zone in several messages"""

import random
import struct
import sys

HOSTS, ABSENT, TEXTS = 1600, 300, 20
A, SOA, TXT, AXFR = 1, 6, 16, 252
RECORDS, STRINGS, LENGTH = 60, 3, 250  # 45 KB


def address(n):
    return f"10.0.{n // 256}.{n % 256}"


def wanted():
    """Name, type and how many records answer it, by id."""
    queries = [(f"h{n}.test", A, 1) for n in range(HOSTS)]
    queries += [(f"absent{n}.test", A, 0) for n in range(ABSENT)]
    queries += [("big.test", TXT, RECORDS)] * TEXTS
    random.Random(1).shuffle(queries)
    return queries


def zone(file):
    print("$TTL 60\n@ SOA ns hostmaster 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1", file=file)
    for n in range(HOSTS):
        print(f"h{n} A {address(n)}", file=file)
    for n in range(RECORDS):
        strings = " ".join(f'"{f"{n}.{k}.":x<{LENGTH}}"' for k in range(STRINGS))
        print(f"big TXT {strings}", file=file)


def query(number, name, kind):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", number, 0, 1, 0, 0, 0) + labels + struct.pack(">B2H", 0, kind, 1)


def queries(file):
    for number, (name, kind, _) in enumerate(wanted()):
        print(query(number, name, kind).hex(), file=file)


def axfr(file):
    print(query(4711, "test", AXFR).hex(), file=file)


def name_at(message, at):
    """A name and where what follows it begins."""
    labels, after = [], None
    while length := message[at]:
        if length >= 0xC0:
            after = after or at + 2
            at = struct.unpack_from(">H", message, at)[0] & 0x3FFF
        else:
            labels.append(message[at + 1 : at + 1 + length].decode())
            at += 1 + length
    return ".".join(labels), after or at + 1


def parse(message):
    """Id, code, the question (None if there is none) and the answers as (name, type, data)."""
    number, flags, asked, answered, _, _ = struct.unpack_from(">6H", message)
    if not flags & 0x8000:
        sys.exit(f"{message[:12].hex()}: no answer")
    at, question, records = 12, None, []
    for _ in range(asked):
        name, at = name_at(message, at)
        question = (name, *struct.unpack_from(">H", message, at))
        at += 4
    for _ in range(answered):
        name, at = name_at(message, at)
        kind, _, _, length = struct.unpack_from(">HHIH", message, at)
        records.append((name, kind, message[at + 10 : at + 10 + length]))
        at += 10 + length
    return number, flags & 15, question, records


def messages(file):
    return [parse(bytes.fromhex(line)) for line in file]


def right(name, kind, data):
    if kind == A:
        return name == "ns.test" or address(int(name[1:].split(".")[0])) == ".".join(map(str, data))
    return kind != TXT or len(data) == STRINGS * (LENGTH + 1)


def answers(file):
    left = dict(enumerate(wanted()))
    for number, code, question, records in messages(file):
        name, kind, count = left.pop(number)
        if question != (name, kind) or len(records) != count or code != (0 if count else 3):
            sys.exit(f"{number}: code {code}, {len(records)} records for {question}, not {name}")
        if not all(right(*record) for record in records):
            sys.exit(f"{number}: {records}")
    if left:
        sys.exit(f"{len(left)} without an answer, the first: {next(iter(left.items()))}")


def transfer(file):
    parts = messages(file)
    records = [record for _, _, _, records in parts for record in records]
    kinds = [kind for _, kind, _ in records]
    if len(parts) < 5 or {number for number, *_ in parts} != {4711}:
        sys.exit(f"{len(parts)} messages: {[(i, code, len(r)) for i, code, _, r in parts]}")
    if kinds[0] != SOA or kinds[-1] != SOA or kinds.count(SOA) != 2:
        sys.exit(f"the zone does not begin and end with its SOA: {kinds[:3]} to {kinds[-3:]}")
    if kinds.count(A) != HOSTS + 1 or kinds.count(TXT) != RECORDS:
        sys.exit(f"{kinds.count(A)} addresses, {kinds.count(TXT)} texts")
    if not all(right(*record) for record in records):
        sys.exit("a record is wrong")


if __name__ == "__main__":
    job = {"zone": zone, "queries": queries, "answers": answers, "axfr": axfr, "transfer": transfer}
    with open(sys.argv[2], "r" if sys.argv[1] in ("answers", "transfer") else "w") as stream:
        job[sys.argv[1]](stream)
