"""A peer that shares no code with the two programs: frames by Python's standard library.

  frames.py make CODEC AS FILE         the bodies fit for CODEC, framed as AS, into FILE
  frames.py client CODEC ADDRESS WHO   sends them cut in odd pieces, reads the echo, compares
  frames.py server CODEC WHEN WHO      on a port of the system's, told on stdout; one connection

ADDRESS: a port of 127.0.0.1, or the path of a unix socket. WHEN: `each` answers at once, `end` after
the peer's FIN. WHO sends the first FIN: `we` or `peer`. The bodies are the same for one CODEC in
every run. Exit status 0: every byte was right and the peer's FIN came (and no RST)."""

import queue
import random
import socket
import struct
import sys
import threading

SMALL = 2500
PATIENCE_S = 300
LENGTH = {
    "u8": ">B", "u16be": ">H", "u16le": "<H", "u32be": ">I", "u32le": "<I", "u64be": ">Q",
    "u64le": "<Q",
}
DELIMITER = {"line": b"\n", "crlf": b"\r\n", "nul": b"\0"}


def longest(codec):
    return {"u8": 255, "u16be": 65535, "u16le": 65535}.get(codec, 5_000_000)


def bodies(codec):
    rng = random.Random(1)
    sizes = [0, 1, 2, 127, 128, 255, 256, 257, 65534, 65535, 65536, 65537, 1_000_003, 5_000_000]
    sizes += [0] * 20 + [rng.randrange(300) for _ in range(SMALL)]
    rng.shuffle(sizes)
    made = [rng.randbytes(size) for size in sizes if size <= longest(codec)]
    if codec == "octet":  # RFC 6587: the count does not begin with a zero
        made = [body for body in made if body]
    delimiter = DELIMITER.get(codec)
    if delimiter:
        # Of a longer delimiter its first byte may end a body, and the others may begin one.
        made = [body.replace(delimiter, b"x" * len(delimiter)) for body in made]
        made += [delimiter[:-1], delimiter[1:], b"a" + delimiter[:-1], delimiter[1:] + b"a"]
    return made


def frame(codec, body):
    if codec == "netstring":
        return b"%d:%b," % (len(body), body)
    if codec == "octet":
        return b"%d %b" % (len(body), body)
    if codec in DELIMITER:
        return body + DELIMITER[codec]
    return struct.pack(LENGTH[codec], len(body)) + body


class Input:
    """What a connection brings, by delimiter or by length."""

    def __init__(self, connection):
        self.connection = connection
        self.data = bytearray()

    def more(self):
        part = self.connection.recv(1 << 16)
        self.data += part
        return len(part)

    def take(self, n):
        taken = bytes(self.data[:n])
        del self.data[:n]
        return taken

    def exactly(self, n):
        while len(self.data) < n:
            if not self.more():
                raise EOFError(f"the peer's FIN came {n - len(self.data)} bytes too early")
        return self.take(n)

    def until(self, delimiter):
        """Without the delimiter; None at the end of input."""
        looked = 0
        while (at := self.data.find(delimiter, looked)) < 0:
            looked = max(0, len(self.data) - len(delimiter) + 1)
            if not self.more():
                if self.data:
                    raise EOFError("the peer's FIN came within a frame")
                return None
        taken = self.take(at)
        self.take(len(delimiter))
        return taken


def read_frame(codec, source):
    """The next body; None at the end of input."""
    if codec in DELIMITER:
        return source.until(DELIMITER[codec])
    if codec in ("netstring", "octet"):
        digits = source.until(b":" if codec == "netstring" else b" ")
        if digits is None:
            return None
        if not digits.isdigit() or (digits[:1] == b"0" and digits != b"0"):
            raise ValueError(f"{digits[:20]!r} is no length")
        body = source.exactly(int(digits))
        if codec == "netstring" and source.exactly(1) != b",":
            raise ValueError("no comma at the end")
        return body
    if not source.data and not source.more():
        return None
    head = source.exactly(struct.calcsize(LENGTH[codec]))
    return source.exactly(struct.unpack(LENGTH[codec], head)[0])


def send_in_pieces(connection, data):
    rng = random.Random(2)
    at = 0
    while at < len(data):
        piece = rng.choice((1, 2, 3, 5, 7, 64, 1000, 4096, 20_000, 300_000))
        connection.sendall(data[at : at + piece])
        at += piece


def expect(codec, source, wanted, taken=lambda body: None):
    for n, body in enumerate(wanted, 1):
        got = read_frame(codec, source)
        if got != body:
            length = "no frame" if got is None else f"{len(got)} bytes"
            sys.exit(f"frame {n} of {len(wanted)}: {length}, not the {len(body)} bytes that it is")
        taken(body)


def expect_end(source):
    n = 0
    while source.data or source.more():
        n += len(source.take(len(source.data)))
    if n:
        sys.exit(f"{n} bytes more than there should be")


def client(codec, address, who):
    if address.isdigit():
        connection = socket.create_connection(("127.0.0.1", int(address)))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    else:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address)
    connection.settimeout(PATIENCE_S)
    wanted = bodies(codec)

    def send():
        send_in_pieces(connection, b"".join(frame(codec, body) for body in wanted))
        if who == "we":
            connection.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    source = Input(connection)
    expect(codec, source, wanted)
    sender.join()
    print("all came back", flush=True)
    expect_end(source)
    connection.close()


def answer_all(codec, connection, answers):
    """What has come in the meantime is cut anew, across frames."""
    at_end = False
    while not at_end:
        batch = [answers.get()]
        while not answers.empty():
            batch.append(answers.get())
        at_end = batch[-1] is None
        send_in_pieces(connection, b"".join(frame(codec, b) for b in batch if b is not None))


def server(codec, when, who):
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(PATIENCE_S)
    sys.stdout.write(f"listens on {listener.getsockname()[1]}\n")
    sys.stdout.flush()
    connection, _ = listener.accept()
    connection.settimeout(PATIENCE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    source = Input(connection)
    answers = queue.SimpleQueue()
    sender = threading.Thread(target=answer_all, args=(codec, connection, answers), daemon=True)
    if when == "each":
        sender.start()
    expect(codec, source, bodies(codec), answers.put)
    if when == "end":
        expect_end(source)
        sender.start()
    answers.put(None)
    sender.join()
    if who == "we":
        connection.shutdown(socket.SHUT_WR)
    expect_end(source)
    connection.close()


def make(codec, framed_as, path):
    with open(path, "wb") as file:
        file.write(b"".join(frame(framed_as, body) for body in bodies(codec)))


if __name__ == "__main__":
    try:
        {"make": make, "client": client, "server": server}[sys.argv[1]](*sys.argv[2:])
    except (OSError, EOFError, ValueError) as error:
        sys.exit(f"{' '.join(sys.argv[1:])}: {type(error).__name__}: {error}")
