"""The clients' half of the goals: each drives the same reference server, or the same redis."""

import functools
import os
import signal
import threading

import programs
from contest import Contest
from servers import CUBIC, SMALL, enter_iperf3

BUSY_POLL_US = 50
OPEN_CONNECTIONS = 100
OPEN_RATES = 1000, 10000


def enter_raw(places, contest, server, name, options):
    contest.enter(name, lambda seconds: programs.raw_client(places, server.port, seconds, *options))


def enter_synfin(places, contest, server, name, options):
    contest.enter(name, lambda seconds: programs.synfin(places, server.port, seconds, *options))


def small(name, places):
    connections, pipeline, _ = SMALL[name]
    contest = Contest(f"{name} client", f"{connections} × {pipeline} × 64 B, clients")
    server = contest.serve(programs.raw_server(places))
    enter_synfin(places, contest, server, "synfin",
                 ("-c", str(connections), "-P", str(pipeline), "-s", "64"))
    enter_raw(places, contest, server, "raw",
              ("--connections", str(connections), "--pipeline", str(pipeline)))
    return contest


def echo(places):
    contest = Contest("e echo client", "echo 1 × 8 × 64 KiB, cubic, clients",
                      least_seconds=0.5, bulk=True)
    server = contest.serve(programs.raw_server(places, *CUBIC))
    enter_synfin(places, contest, server, "synfin",
                 ("-c", "1", "-P", "8", "-s", "64K", "--set", "congestion=cubic"))
    enter_raw(places, contest, server, "raw", ("--pipeline", "8", "--size", "65536", *CUBIC))
    return contest


def one_way(places):
    contest = Contest("e one way client", "one way, 64 KiB frames, cubic, clients",
                      least_seconds=1, bulk=True)
    server = contest.serve(programs.raw_server(places, "--discard", *CUBIC))
    enter_synfin(places, contest, server, "synfin",
                 ("-c", "1", "-s", "64K", "--expect", "none", "--set", "congestion=cubic"))
    enter_raw(places, contest, server, "raw", ("--send", "--size", "65536", *CUBIC))
    enter_iperf3(places, contest)
    return contest


def churn(places):
    contest = Contest("f client", "churn: connect, one frame, close, clients")
    server = contest.serve(programs.raw_server(places))

    def synfin(seconds):
        figures = programs.synfin(places, server.port, seconds, "-c", "16", "--frames-per-conn",
                                  "1")
        figures["rate"] = figures["connections_opened"] / figures["seconds"]
        return figures

    contest.enter("synfin", synfin)
    enter_raw(places, contest, server, "raw", ("--churn", "--connections", "16"))
    return contest


def redis(pipeline, places):
    """PING in one line, as redis-benchmark's ping_inline: 6 bytes out, 7 back."""
    contest = Contest(f"redis -P{pipeline}", f"64 × {pipeline} PING, clients of the same redis")
    if programs.find("redis-server") is None or programs.find("redis-benchmark") is None:
        contest.absent["redis"] = "redis is not installed (bench/peers)"
        return contest
    server = contest.serve(programs.redis(places))
    ping = places.fresh("ping")
    with open(ping, "w", encoding="ascii") as file:
        file.write("PING\n")
    enter_synfin(places, contest, server, "synfin",
                 ("-c", "64", "-P", str(pipeline), "-F", "crlf", "--payload", ping, "--expect",
                  "any"))
    enter_raw(places, contest, server, "raw",
              ("--connections", "64", "--pipeline", str(pipeline), "--ask", "PING\\r\\n",
               "--answer", "+PONG\\r\\n"))
    per_second = 80000 if pipeline == 1 else 1800000
    contest.enter("redis-benchmark", lambda seconds: programs.redis_benchmark(
        server.port, int(per_second * seconds), 64, pipeline))
    return contest


def busy_poll(places):
    """Both ends spin: the product's pair against the references'."""
    contest = Contest("a busy", f"1 × 1 × 64 B, both ends spin for {BUSY_POLL_US} µs")
    spin = f"{BUSY_POLL_US}us"
    server = contest.serve(programs.synfind(places, "--busy-poll", spin))
    raw = contest.serve(programs.raw_server(places, "--spin", str(BUSY_POLL_US)))
    enter_synfin(places, contest, server, "pair", ("-c", "1", "--busy-poll", spin))
    enter_raw(places, contest, raw, "raw pair", ("--spin", str(BUSY_POLL_US)))
    return contest


def open_loop(rate, places):
    """The same schedule from both; `rate` may be a share of the closed loop's most."""
    contest = Contest(f"open {rate}", f"open loop, {OPEN_CONNECTIONS} connections, clients")
    server = contest.serve(programs.raw_server(places))
    if rate < 1:
        most = programs.synfin(places, server.port, 0.5, "-c", str(OPEN_CONNECTIONS))
        rate = int(most["rate"] * rate)
        contest.title = f"open loop, {OPEN_CONNECTIONS} connections, 60 % of the closed loop's most"
    contest.title += f", {rate:,}/s"

    def synfin(seconds):
        figures = programs.synfin(places, server.port, seconds, "-c", str(OPEN_CONNECTIONS), "-r",
                                  str(rate))
        figures["of_asked"] = figures["frames_sent"] / (rate * seconds)
        return figures

    contest.enter("synfin", synfin)
    enter_raw(places, contest, server, "raw",
              ("--connections", str(OPEN_CONNECTIONS), "--rate", str(rate)))
    return contest


def stopped(places):
    """The server stands still for 100 ms in the middle: that has to show in p99.9."""
    contest = Contest("open stopped", "open loop, 10,000/s, the server stopped for 100 ms")
    server = contest.serve(programs.raw_server(places))

    def synfin(seconds):
        seconds = max(seconds, 1)
        stop = threading.Timer(seconds / 2, os.kill, (server.pid, signal.SIGSTOP))
        go_on = threading.Timer(seconds / 2 + 0.1, os.kill, (server.pid, signal.SIGCONT))
        stop.start()
        go_on.start()
        try:
            return programs.synfin(places, server.port, seconds, "-c", str(OPEN_CONNECTIONS), "-r",
                                   "10000")
        finally:
            stop.join()
            go_on.join()

    contest.enter("synfin", synfin)
    return contest


def contests():
    made = {f"{name} client": functools.partial(small, name) for name in SMALL}
    made["e echo client"] = echo
    made["e one way client"] = one_way
    made["f client"] = churn
    made["a busy"] = busy_poll
    for pipeline in (1, 32):
        made[f"redis -P{pipeline}"] = functools.partial(redis, pipeline)
    for rate in OPEN_RATES + (0.6,):
        made[f"open {rate}"] = functools.partial(open_loop, rate)
    made["open stopped"] = stopped
    return made
