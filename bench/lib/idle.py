"""What a server holds of an idle connection: thousands are opened from here, something is exchanged
on each, and the server's resident memory (PSS) is compared with before. What the kernel holds is
not in it; neither is what the server touched beforehand for connections to come (nginx does)."""

import resource
import socket
import struct
import time

import many
import programs
from contest import Contest
from program import Failed

CONNECTIONS = 10000
LONG = 16384
FEW = 100  # with so many a client has what it needs once and not for each


def receive(connection, n):
    told = b""
    while len(told) < n:
        piece = connection.recv(n - len(told))
        if not piece:
            raise Failed(f"the server closed an idle connection after {len(told)} of {n} bytes")
        told += piece
    return told


def say_frame(connection, size):
    frame = struct.pack(">I", size) + bytes([size % 251]) * size
    connection.sendall(frame)
    if receive(connection, len(frame)) != frame:
        raise Failed("the server's echo differs")


def say_memcached(connection, size):
    connection.sendall(b"set k 0 0 %d\r\n%s\r\n" % (size, b"v" * size))
    if receive(connection, 8) != b"STORED\r\n":
        raise Failed("memcached did not store the value")


def say_redis(connection, size):
    bulk = b"$%d\r\n%s\r\n" % (size, b"v" * size)
    connection.sendall(b"*2\r\n$4\r\nECHO\r\n" + bulk)
    if receive(connection, len(bulk)) != bulk:
        raise Failed("redis's echo differs")


def say_http(connection, size):
    connection.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s"
                       % (size, b"v" * size))
    value = programs.VALUE.encode()
    told = b""
    while not told.endswith(b"\r\n\r\n" + value):
        told += receive(connection, 1)


def hold(port, count, say):
    """Opens so many connections with a short exchange on each."""
    held = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port), 10)
        connection.settimeout(20)
        held.append(connection)
        say(connection, 64)
    return held


def close(held):
    for connection in held:
        connection.close()


def settled(server):
    """Its memory, once it has done what it had to do."""
    before = server.pss_bytes()
    while True:
        time.sleep(0.2)
        now = server.pss_bytes()
        if now == before:
            return now
        before = now


def measure(server, say):
    """Figures of one server, once two connections have come and gone."""
    close(hold(server.port, 2, say))
    base = settled(server)
    held = hold(server.port, CONNECTIONS, say)
    try:
        idle = settled(server)
        for connection in held:
            say(connection, LONG)
        after = settled(server)
    finally:
        close(held)
    return {"bytes_each": (idle - base) / CONNECTIONS,
            "bytes_each_after": (after - base) / CONNECTIONS}


def raise_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < CONNECTIONS + 100:
        raise Failed(f"{CONNECTIONS} connections need more than {hard} descriptors (ulimit -Hn)")


def servers(places):
    """Each entrant is a server of its own; seconds mean nothing here."""
    made = Contest("g server", f"memory of {CONNECTIONS:,} idle connections, servers")

    def enter(name, start, say):
        def run(_seconds):
            server = start()
            try:
                return measure(server, say)
            finally:
                server.kill()
        made.enter(name, run)

    raise_limit()
    enter("synfind", lambda: programs.synfind(places), say_frame)
    enter("raw", lambda: programs.raw_server(places), say_frame)
    enter("plain bufferevents", lambda: programs.bev_server(places), say_frame)
    room = CONNECTIONS + 200
    peers = (("memcached", lambda: programs.memcached(places, room), say_memcached),
             ("redis", lambda: programs.redis(places, room), say_redis),
             # nginx closes idle connections when but a sixteenth of its room is left.
             ("nginx", lambda: programs.nginx(places, room * 11 // 10), say_http))
    for name, start, say in peers:
        program = {"redis": "redis-server"}.get(name, name)
        if programs.find(program) is None:
            made.absent[name] = f"{program} is not installed (bench/peers)"
        else:
            enter(name, start, say)
    return made


def held_by(places, kind, port, count):
    """A client's memory with so many idle connections."""
    client = many.CLIENTS[kind](places, "127.0.0.1", port, count)
    many.await_held([client], count)
    bytes_held = settled(client.program)
    many.end(client)
    return bytes_held


def clients(places):
    """What a client holds of an idle connection, on which a frame went and came back."""
    made = Contest("g client", f"memory of {CONNECTIONS:,} idle connections, clients")
    server = made.serve(programs.raw_server(places))

    def enter(kind):
        def run(_seconds):
            few, all_of_them = (held_by(places, kind, server.port, count)
                                for count in (FEW, FEW + CONNECTIONS))
            return {"bytes_each": (all_of_them - few) / CONNECTIONS}
        made.enter(kind, run)

    for kind in many.CLIENTS:
        enter(kind)
    return made


def contests():
    return {"g server": servers, "g client": clients}
