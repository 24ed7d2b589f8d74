"""The programs that are compared: how each is started for a shape, and what it tells."""

import json
import os
import shutil
import tempfile

from program import CLIENT_CPU, Failed, Program, Server, free_port

VALUE = "v" * 64
SLACK_S = 20  # beyond the measured time: connecting, draining


class Places:
    """The build folder, and a folder of our own for port files and the like."""

    def __init__(self, build):
        self.build = os.path.abspath(build)
        self.made = tempfile.mkdtemp(prefix="synfin-bench-")
        self._count = 0

    def program(self, name):
        folder = {"synfind": "server", "synfin": "client"}.get(name, "bench")
        return os.path.join(self.build, folder, name)

    def fresh(self, name):
        self._count += 1
        return os.path.join(self.made, f"{self._count}-{name}")

    def remove(self):
        shutil.rmtree(self.made, ignore_errors=True)


def find(name):
    """A peer's path, or None where it is not installed."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/sbin"
    return shutil.which(name, path=path)


# Servers. Each function starts one and returns it.

def synfind(places, *options):
    port_file = places.fresh("port")
    return Server([places.program("synfind"), "-t", "1", "--port-file", port_file, *options, "0"],
                  port_file=port_file)


def raw_server(places, *options):
    port_file = places.fresh("port")
    return Server([places.program("raw_server"), "--port-file", port_file, *options],
                  port_file=port_file)


def bev_server(places, *options):
    port_file = places.fresh("port")
    return Server([places.program("bev_server"), "--port-file", port_file, *options],
                  port_file=port_file)


def memcached(places, connections=4096):
    port_file = places.fresh("port")
    command = [find("memcached"), "-l", "127.0.0.1", "-p", "-1", "-U", "0", "-t", "1", "-b", "4096",
               "-c", str(connections)]
    if os.getuid() == 0:
        command += ["-u", "nobody"]
    os.chmod(places.made, 0o777)
    return Server(command, port_file=port_file, env={"MEMCACHED_PORT_FILENAME": port_file})


def redis(places, connections=4096):
    port = free_port()
    return Server([find("redis-server"), "--port", port, "--bind", "127.0.0.1", "--save", "",
                   "--appendonly", "no", "--tcp-backlog", "4096", "--maxclients", connections,
                   "--dir", places.made, "--daemonize", "no"], port=port)


def nginx(places, connections):
    port = free_port()
    config = places.fresh("nginx.conf")
    with open(config, "w", encoding="ascii") as file:
        file.write(f"""
master_process off;
pid {places.fresh("pid")};
error_log stderr crit;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    client_body_temp_path {places.fresh("body")};
    proxy_temp_path {places.fresh("proxy")};
    keepalive_timeout 600s;
    keepalive_requests 1000000;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ return 200 "{VALUE}"; }}
    }}
}}
""")
    return Server([find("nginx"), "-p", places.made, "-c", config, "-g", "daemon off;"], port=port)


def iperf3_server(places):
    del places
    port = free_port()
    return Server([find("iperf3"), "-s", "-p", port, "-B", "127.0.0.1"], port=port)


# What is said to a peer that does not speak frames, and what it answers; 64 bytes each time.

MEMCACHED_ASK = "get k\\r\\n"
MEMCACHED_ANSWER = f"VALUE k 0 64\\r\\n{VALUE}\\r\\nEND\\r\\n"
REDIS_ASK = f"*2\\r\\n$4\\r\\nECHO\\r\\n$64\\r\\n{VALUE}\\r\\n"
REDIS_ANSWER = f"$64\\r\\n{VALUE}\\r\\n"
MEMCACHED_SAYS = ("--ask", MEMCACHED_ASK, "--answer", MEMCACHED_ANSWER)
REDIS_SAYS = ("--ask", REDIS_ASK, "--answer", REDIS_ANSWER)


# Clients. Each function runs one to its end and returns its figures: `rate` (frames/s, in a churn
# connections/s), `bytes_per_s`, `client_us_each` (processor time a frame), and what else it tells.

def raw_client(places, port, seconds, *options):
    command = [places.program("raw_client"), "--milliseconds", str(int(seconds * 1000)), *options,
               str(port)]
    line = Program(command, cpu=CLIENT_CPU).wait(seconds + SLACK_S).strip().splitlines()[-1]
    figures = {key: float(value) for key, value in (pair.split("=") for pair in line.split())}
    if figures["messages"] == 0:
        raise Failed(f"{' '.join(command)}: no message within {seconds} s")
    figures["client_us_each"] = figures["cpu_us"] / figures["messages"]
    return figures


def iperf3_client(port, seconds, length):
    command = [find("iperf3"), "-c", "127.0.0.1", "-p", str(port), "-l", length, "-C", "cubic",
               "-J", "-t", str(max(1, round(seconds)))]
    told = json.loads(Program(command, cpu=CLIENT_CPU).wait(seconds + SLACK_S))
    return {"bytes_per_s": told["end"]["sum_received"]["bits_per_second"] / 8}


def redis_benchmark(port, count, connections, pipeline):
    command = [find("redis-benchmark"), "-h", "127.0.0.1", "-p", str(port), "-t", "ping_inline",
               "-c", str(connections), "-P", str(pipeline), "-n", str(count), "--csv"]
    lines = Program(command, cpu=CLIENT_CPU).wait(60).strip().splitlines()
    return {"rate": float(lines[-1].split(",")[1].strip('"'))}


def synfin(places, port, seconds, *options, expected=(0,)):
    command = [places.program("synfin"), "--load", "-t", "1", "-J",
               "-d", f"{int(seconds * 1000)}ms", *options, "127.0.0.1", str(port)]
    told = json.loads(Program(command, cpu=CLIENT_CPU).wait(seconds + SLACK_S, expected))
    measured = told["measured_us"] / 1e6
    if told["frames_sent"] == 0:
        raise Failed(f"{' '.join(command)}: no frame within {seconds} s")
    return dict(told, rate=told["frames_per_s"], bytes_per_s=told["bytes_out_per_s"],
                p50_us=told["round_trip_p50_us"], seconds=measured,
                client_us_each=told["client_cpu_us"] / told["frames_sent"])


def has_option(places, program, option):
    """Whether this build of a program of ours knows an option."""
    return option in Program([places.program(program), "--help"]).wait(10)
