"""Where the time goes on the processor of a program that missed a goal: one more run under perf."""

import os
import subprocess

import programs
from program import CLIENT_CPU, SERVER_CPU, Failed, Program, last_pid, processors

ROWS = 15


def of(places, contest, entrant):
    """The symbols with the most time on the entrant's processor, as text."""
    perf = programs.find("perf")
    if perf is None:
        return "perf is not installed (bench/peers)"
    name = "synfind" if entrant == "synfind" else "synfin"
    cpu = SERVER_CPU if name == "synfind" else CLIENT_CPU
    number = processors()[cpu % len(processors())]
    data = places.fresh("perf.data")
    seconds = max(contest.seconds, 1)
    recorder = Program([perf, "record", "-q", "-a", "-C", number, "-F", "2000", "-o", data, "--",
                        "sleep", str(seconds + 0.5)])
    try:
        contest.entrants[entrant](seconds)
        recorder.wait(seconds + 20)
        told = subprocess.run([perf, "report", "-i", data, "--stdio", "--no-children", "-q",
                               "--sort", "pid,dso,symbol"], capture_output=True, text=True,
                              timeout=60, check=False)
    except (Failed, subprocess.TimeoutExpired) as failure:
        return str(failure)
    finally:
        if os.path.exists(data):
            os.remove(data)
    return "\n".join(rows(told.stdout, last_pid[name])[:ROWS])


def rows(report, pid):
    """Shares of one process's time, and the symbols. A line: 1.23%  PID:NAME  OBJECT  [k] SYMBOL"""
    found = []
    for line in report.splitlines():
        words = line.replace(":", " ", 1).split()
        if len(words) >= 6 and words[0].endswith("%") and words[1] == str(pid):
            found.append((float(words[0][:-1]), f"{words[5]}  ({words[3]})"))
    total = sum(share for share, _ in found)
    kernel = sum(share for share, symbol in found if "[kernel" in symbol)
    head = [f"{100 * kernel / total:5.1f} %  the kernel in all"] if found else []
    return head + [f"{100 * share / total:5.1f} %  {symbol}" for share, symbol in found]
