"""Programs that the benchmark starts: pinned to a processor, watched, and ended by their own id."""

import ctypes
import os
import signal
import socket
import subprocess
import tempfile
import time

SERVER_CPU, CLIENT_CPU = 0, 1
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_running = []
last_pid = {}  # by a program's name: of the one that was started last


class Failed(Exception):
    """A program did not do what the benchmark asked of it."""


def processors():
    return sorted(os.sched_getaffinity(0))


def _become(cpu):
    def prepare():
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if cpu is not None:
            allowed = processors()
            os.sched_setaffinity(0, {allowed[cpu % len(allowed)]})
    return prepare


class Program:
    """A program that runs; its output goes to files that are read when it is done."""

    def __init__(self, command, cpu=None, stdin=subprocess.DEVNULL, env=None):
        self.command = [str(word) for word in command]
        self.out = tempfile.TemporaryFile()
        self.err = tempfile.TemporaryFile()
        try:
            self.process = subprocess.Popen(
                self.command, stdin=stdin, stdout=self.out, stderr=self.err,
                preexec_fn=_become(cpu), env=dict(os.environ, **(env or {})))
        except OSError as error:
            raise Failed(f"{self.command[0]} cannot be started: {error}") from error
        self.pid = self.process.pid
        last_pid[os.path.basename(self.command[0])] = self.pid
        _running.append(self)

    def _read(self, file):
        file.seek(0)
        return file.read().decode(errors="replace")

    def output(self):
        return self._read(self.out)

    def errors(self):
        return self._read(self.err)

    def says(self):
        """The last lines of what it wrote to stderr, for messages."""
        return " / ".join(self.errors().strip().splitlines()[-3:])

    def wait(self, seconds, expected=(0,)):
        """Its output, once it has ended; Failed if it does not in time or not as expected."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"{' '.join(self.command)}: not done after {seconds} s") from None
        if self in _running:
            _running.remove(self)
        if status not in expected:
            raise Failed(f"{' '.join(self.command)}: status {status}: {self.says()}")
        return self.output()

    def alive(self):
        return self.process.poll() is None

    def signal(self, number):
        if self.alive():
            self.process.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()
        if self in _running:
            _running.remove(self)

    def stop(self, seconds=60):
        """SIGTERM, and its output once it has ended."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds, expected=(0, 1, -signal.SIGTERM))

    def cpu_us(self):
        """Processor time of all its threads so far."""
        total = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        return total / 1000

    def pss_bytes(self):
        """Its share of resident memory, children included."""
        return sum(_pss(pid) for pid in [self.pid] + _children(self.pid))


def _children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def _pss(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    raise Failed(f"/proc/{pid}/smaps_rollup has no Pss")


def busy_share(seconds=0.2):
    """How much of the machine is at work, while nothing of ours is."""
    def read():
        with open("/proc/stat", encoding="ascii") as file:
            times = [int(word) for word in file.readline().split()[1:9]]
        return sum(times), times[3] + times[4]

    total, idle = read()
    time.sleep(seconds)
    total_after, idle_after = read()
    return 1 - (idle_after - idle) / max(total_after - total, 1)


def end_on_signals():
    """SIGTERM and SIGHUP end this program as ^C does: what it started ends with it."""
    def end(_number, _frame):
        raise KeyboardInterrupt
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)


def kill_all():
    for program in list(_running):
        program.kill()


def until(condition, seconds, what):
    """Looks every few milliseconds whether the condition holds; Failed if it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.005)


class Server(Program):
    """A server that listens. `port_file`: where it writes its port; else `port` is known."""

    def __init__(self, command, port=None, port_file=None, cpu=SERVER_CPU, env=None):
        super().__init__(command, cpu=cpu, env=env)
        self.port = port
        self._port_file = port_file
        until(self._listens, 20, f"{' '.join(self.command)} listens")

    def _listens(self):
        if not self.alive():
            raise Failed(f"{' '.join(self.command)}: ended: {self.says()}")
        if self._port_file is not None:
            return self._told()
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def _told(self):
        """Whether its port is in its file by now."""
        try:
            with open(self._port_file, encoding="ascii") as file:
                text = file.read()
        except OSError:
            return False
        digits = [word for word in text.replace(":", " ").split() if word.isdigit()]
        if not text.endswith("\n") or not digits:
            return False
        self.port = int(digits[0])
        return True


def free_port():
    """A port that nobody listens on now: for programs that cannot be asked to choose."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
