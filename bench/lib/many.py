"""Very many connections at once on one machine, a verified frame on each, within the descriptors
and ports that a process has: several servers on one port, several clients to different loopback
addresses. Nothing of the system is changed."""

import json
import math
import os
import re
import resource
import select
import signal
import subprocess
import time

from program import Failed, Program, Server, until

SPARE = 150  # descriptors for all else that a process opens
HOLD_S = 1800  # clients end sooner: when they are told to
CLOSE_S = 300
CLOSING = 4  # clients that close their connections at the same time


def descriptors():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def ports():
    """How many local ports a client has for one destination."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        low, high = map(int, file.read().split())
    return high - low + 1


def plan(count):
    """(servers, connections of each client). The kernel deals connections out to the servers by a
    hash, and not evenly: of a million over 53, servers got from 15,800 to over 20,000."""
    room = descriptors() - SPARE
    servers = math.ceil(count / (room * 0.8))
    # The kernel gives each second port first; when those have gone, it searches long for the rest.
    clients = math.ceil(count / min(room, int(ports() * 0.49)))
    return servers, [count // clients + (i < count % clients) for i in range(clients)]


def address(number):
    return f"127.{1 + number // 200}.{1 + number % 200}.1"


def start_servers(places, count):
    """So many synfinds on one port of every address."""
    port_file = places.fresh("port")
    command = [places.program("synfind"), "-t", "1", "-4", "--reuseport"]
    started = [Server(command + ["--port-file", port_file, ":0"], port_file=port_file, cpu=None)]
    port = started[0].port
    for _ in range(1, count):
        port_file = places.fresh("port")
        started.append(Program(command + ["--port-file", port_file, f":{port}"]))
        until(lambda file=port_file: os.path.exists(file), 20, "another server listens")
    return port, started


class RawClient:
    """Says on stdout that all its connections hold; ends when its stdin does."""

    def __init__(self, places, where, port, count):
        self.count = count
        self.program = Program([places.program("raw_client"), "--hold", "--connections", count,
                                "--address", where, port], stdin=subprocess.PIPE)

    def holds(self):
        return "held" in self.program.output()

    def release(self):
        if not self.program.process.stdin.closed:
            self.program.process.stdin.close()

    def account(self):
        """(frames that came back equal, connections that ended clean)"""
        told = dict(pair.split("=") for pair in
                    self.program.wait(CLOSE_S).strip().splitlines()[-1].split())
        return self.count, int(told["connections"])


class Synfin:
    """Says on stderr that all its connections hold; ends at SIGINT."""

    def __init__(self, places, where, port, count):
        self.program = Program([places.program("synfin"), "--load", "-t", "1", "-c", count, "-n",
                                count, "--hold", f"{HOLD_S}s", "-J", where, port])
        self.released = False

    def holds(self):
        return "holding" in self.program.errors()

    def release(self):
        if not self.released:
            self.program.signal(signal.SIGINT)
        self.released = True

    def account(self):
        told = json.loads(self.program.wait(CLOSE_S, expected=range(128)))
        return told["frames_equal"], told["fates"].get("clean", 0)


CLIENTS = {"synfin": Synfin, "raw": RawClient}


def end(client):
    """Its connections are closed; its account is not asked for."""
    client.release()
    client.account()


def close_all(clients):
    """A few at a time: a peer whose FIN is late for want of a processor would be a failure. The
    clients' accounts, in their order."""
    told = []
    for i, client in enumerate(clients):
        for following in clients[i:i + CLOSING]:
            following.release()
        told.append(client.account())
    return told


def await_held(clients, count):
    """Until each says that a frame came back on every connection."""
    waiting = list(clients)
    end = time.monotonic() + max(60, count / 2000)
    while waiting:
        for client in waiting:
            if not client.program.alive():
                raise Failed(f"a client ended: {client.program.says()}")
        waiting = [client for client in waiting if not client.holds()]
        if time.monotonic() > end:
            raise Failed(f"{len(waiting)} of {len(clients)} clients are not up in time")
        if waiting:
            select.select([], [], [], 0.02)


def server_account(server):
    """(accepted, answered, connections, those that ended clean) by its drain's log."""
    server.signal(signal.SIGTERM)
    server.wait(CLOSE_S, expected=(0, 1))
    log = server.errors()
    frames = re.search(r"([\d,]+) frames? accepted, ([\d,]+) answered", log)
    ends = re.search(r"([\d,]+) connections?: (?:all|([\d,]+)) clean", log)
    if frames is None or ends is None:
        raise Failed(f"a server gave no account: {server.says()}")
    told = frames.groups() + (ends.group(1), ends.group(2) or ends.group(1))
    return tuple(int(text.replace(",", "")) for text in told)


def hold(places, kind, count, tell):
    """One run with clients of a kind; its figures."""
    server_count, shares = plan(count)
    tell(f"{kind}: {server_count} servers on one port, {len(shares)} clients of {shares[0]:,}")
    port, servers = start_servers(places, server_count)
    began = time.monotonic()
    clients = [CLIENTS[kind](places, address(i), port, share) for i, share in enumerate(shares)]
    await_held(clients, count)
    up_s = time.monotonic() - began
    tell(f"  up in {up_s:.1f} s")
    figures = {"held": count, "up_s": up_s, "servers": server_count, "clients": len(shares),
               "server_pss_bytes": sum(server.pss_bytes() for server in servers),
               "client_pss_bytes": sum(client.program.pss_bytes() for client in clients)}
    began = time.monotonic()
    told = close_all(clients)
    figures["close_s"] = time.monotonic() - began
    accounts = [server_account(server) for server in servers]
    add(figures, told, accounts, count)
    return figures


def add(figures, clients, servers, count):
    """Both ends' accounts: what went on one side and is not found on the other is lost."""
    equal, client_clean = (sum(column) for column in zip(*clients))
    accepted, answered, connections, clean = (sum(column) for column in zip(*servers))
    figures.update(equal=equal, client_clean=client_clean, accepted=accepted, answered=answered,
                   server_connections=connections, server_clean=clean)
    figures["lost"] = ((count - equal) + (accepted - answered) + abs(count - accepted) +
                       (count - client_clean) + (count - clean))
