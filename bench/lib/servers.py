"""The servers' half of the goals: the reference client drives each server of a shape alike."""

import functools
import socket

import programs
from contest import Contest
from program import Failed

CUBIC = "--congestion", "cubic"
SMALL = {  # connections, pipeline, and which peers take part; 64 bytes each
    "a": (1, 1, ()),
    "b": (64, 1, ("memcached", "redis")),
    "c": (64, 32, ("memcached", "redis")),
    "d": (1000, 1, ("memcached", "redis")),
}
IPERF3_LENGTHS = "128K", "512K", "1M"


def prime_memcached(server):
    """The value that each get brings."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(f"set k 0 0 64\r\n{programs.VALUE}\r\n".encode())
        if connection.recv(64) != b"STORED\r\n":
            raise Failed("memcached did not store the value")


def start_peer(places, contest, name):
    """A peer's server and how to speak to it; None where it is not installed."""
    program = {"redis": "redis-server"}.get(name, name)
    if programs.find(program) is None:
        contest.absent[name] = f"{program} is not installed (bench/peers)"
        return None
    if name == "memcached":
        server = contest.serve(programs.memcached(places))
        prime_memcached(server)
        return server, programs.MEMCACHED_SAYS
    return contest.serve(programs.redis(places)), programs.REDIS_SAYS


def entrant(places, server, options, each="messages"):
    """Drives this server, and says what each message (or connection) cost it."""
    def run(seconds):
        before = server.cpu_us()
        figures = programs.raw_client(places, server.port, seconds, *options)
        figures["server_us_each"] = (server.cpu_us() - before) / figures[each]
        return figures
    return run


def servers_of(places, contest, options=(), raw_options=()):
    """Those of ours: the product, the reference, plain bufferevents."""
    return {
        "synfind": contest.serve(programs.synfind(places, *options)),
        "raw": contest.serve(programs.raw_server(places, *raw_options)),
        "plain bufferevents": contest.serve(programs.bev_server(places, *raw_options)),
    }


def small(name, places):
    connections, pipeline, peers = SMALL[name]
    contest = Contest(f"{name} server", f"{connections} × {pipeline} × 64 B, servers")
    shape = "--connections", str(connections), "--pipeline", str(pipeline)
    for who, server in servers_of(places, contest).items():
        contest.enter(who, entrant(places, server, shape))
    for who in peers:
        started = start_peer(places, contest, who)
        if started is not None:
            contest.enter(who, entrant(places, started[0], shape + started[1]))
    return contest


def echo(places):
    contest = Contest("e echo server", "echo 1 × 8 × 64 KiB, cubic, servers",
                      least_seconds=0.5, bulk=True)
    shape = "--pipeline", "8", "--size", "65536", *CUBIC
    for who, server in servers_of(places, contest, ("--set", "congestion=cubic"), CUBIC).items():
        contest.enter(who, entrant(places, server, shape))
    return contest


def one_way(places):
    contest = Contest("e one way server", "one way, 64 KiB frames, cubic, servers",
                      least_seconds=1, bulk=True)
    shape = "--send", "--size", "65536", *CUBIC
    ours = servers_of(places, contest, ("-H", "discard", "--set", "congestion=cubic"),
                      ("--discard", *CUBIC))
    for who, server in ours.items():
        contest.enter(who, entrant(places, server, shape))
    enter_iperf3(places, contest)
    return contest


def enter_iperf3(places, contest):
    if programs.find("iperf3") is None:
        contest.absent["iperf3"] = "iperf3 is not installed (bench/peers)"
        return
    server = contest.serve(programs.iperf3_server(places))
    for length in IPERF3_LENGTHS:
        contest.enter(f"iperf3 -l {length}",
                      lambda seconds, length=length: programs.iperf3_client(server.port, seconds,
                                                                            length))


def churn(places):
    contest = Contest("f server", "churn: connect, one frame, close, servers")
    shape = "--churn", "--connections", "16"
    for who, server in servers_of(places, contest).items():
        contest.enter(who, entrant(places, server, shape, each="connections"))
    for who in ("memcached", "redis"):
        started = start_peer(places, contest, who)
        if started is not None:
            contest.enter(who, entrant(places, started[0], shape + started[1], each="connections"))
    return contest


def contests():
    """Name to a function of places that makes the contest."""
    made = {f"{name} server": functools.partial(small, name) for name in SMALL}
    made["e echo server"] = echo
    made["e one way server"] = one_way
    made["f server"] = churn
    return made
