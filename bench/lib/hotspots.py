"""Where the time goes on the processor of a program that missed a goal: one more run under perf."""

import os
import subprocess

import programs
from program import CLIENT_CPU, SERVER_CPU, Program, Failed, processors

ROWS = 15


def of(places, contest, entrant):
    """The symbols with the most time on the entrant's processor, as text."""
    perf = programs.find("perf")
    if perf is None:
        return "perf is not installed (bench/peers)"
    cpu = CLIENT_CPU if entrant == "synfin" else SERVER_CPU
    number = processors()[cpu % len(processors())]
    data = places.fresh("perf.data")
    seconds = max(contest.seconds, 1)
    recorder = Program([perf, "record", "-q", "-a", "-C", number, "-F", "2000", "-o", data, "--",
                        "sleep", str(seconds + 0.5)])
    try:
        contest.entrants[entrant](seconds)
        recorder.wait(seconds + 20)
        told = subprocess.run([perf, "report", "-i", data, "--stdio", "--no-children", "-q",
                               "--sort", "comm,dso,symbol"], capture_output=True, text=True,
                              timeout=60, check=False)
    except (Failed, subprocess.TimeoutExpired) as failure:
        return str(failure)
    finally:
        if os.path.exists(data):
            os.remove(data)
    return "\n".join(rows(told.stdout, entrant)[:ROWS])


def rows(report, program):
    """Shares of one program's time, and the symbols."""
    found = []
    for line in report.splitlines():
        words = line.split()
        if len(words) >= 5 and words[0].endswith("%") and words[1] == program:
            found.append((float(words[0][:-1]), f"{words[4]}  ({words[2]})"))
    total = sum(share for share, _ in found)
    return [f"{100 * share / total:5.1f} %  {symbol}" for share, symbol in found]
