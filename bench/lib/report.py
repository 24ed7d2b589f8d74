"""What the benchmark found: a table for the terminal, and RESULTS.md."""

import os
import platform
import re
import statistics
import subprocess
import time

import programs
from contest import Contest
from goals import MET, MISSED, NOT_RUN, REFERENCES, goals


def output_of(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout or done.stderr).strip()


def read(path):
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def commit_of(tree):
    commit = output_of("git", "-C", tree, "rev-parse", "--short=12", "HEAD") or "unknown"
    changed = output_of("git", "-C", tree, "status", "--porcelain", "--untracked-files=no")
    return commit + (", with changes not committed" if changed else "")


def peer_versions():
    asked = {"memcached": ("memcached", "-V"), "redis": ("redis-server", "--version"),
             "iperf3": ("iperf3", "--version"), "nginx": ("nginx", "-v")}
    for name, (program, option) in asked.items():
        path = programs.find(program)
        number = path and re.search(r"\d+\.\d+[.\d]*", output_of(path, option))
        yield name, number.group(0) if number else "not installed"


def machine(tree):
    """(what, value) of all that a figure depends on."""
    model = re.search(r"model name\s*: (.*)", read("/proc/cpuinfo"))
    memory = re.search(r"MemTotal:\s*(\d+)", read("/proc/meminfo"))
    yield "commit", commit_of(tree)
    yield "when", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    yield "machine", (f"{model.group(1) if model else platform.machine()}, "
                      f"{os.cpu_count()} processors, "
                      f"{int(memory.group(1)) / 2**20:.0f} GiB" if memory else "unknown")
    yield "kernel", platform.release()
    yield "libevent", output_of("pkg-config", "--modversion", "libevent_core")
    yield "compiler", output_of("cc", "--version").splitlines()[0]
    yield from peer_versions()
    path = "/proc/sys/net/ipv4/tcp_congestion_control"
    yield "congestion control", (f"{read(path).strip()} by default; cubic at both ends where a "
                                 "shape says so")


def others(results):
    """What else the machine did: sampled before each shape."""
    shares = [contest.others for contest in results.values() if isinstance(contest, Contest)]
    if not shares:
        return "not sampled"
    return (f"{100 * statistics.median(shares):.0f} % of the machine before a shape (median), "
            f"{100 * max(shares):.0f} % at most")


def judged(results, rates):
    for goal in goals(rates):
        yield goal, *goal.judge(results)


def print_table(results, rates, out):
    """The goals, one a line."""
    counts = {MET: 0, MISSED: 0, NOT_RUN: 0}
    for goal, status, measured in judged(results, rates):
        counts[status] += 1
        print(f"{status:8} {goal.shape:10} {goal.who:7} {goal.text}: {measured}", file=out)
    print(", ".join(f"{count} {status}" for status, count in counts.items()), file=out)
    print(f"other programs: {others(results)}", file=out)


def cell(text):
    return str(text).replace("|", "\\|")


def goal_lines(results, rates):
    yield "| | shape | of | goal | measured: median (middle half of the rounds) |"
    yield "|--|--|--|--|--|"
    for goal, status, measured in judged(results, rates):
        shown = f"**{status}**" if status == MISSED else status
        yield f"| {shown} | {goal.shape} | {goal.who} | {cell(goal.text)} | {cell(measured)} |"


def reference_lines(results):
    yield "| | shape | ratio | prototype | here |"
    yield "|--|--|--|--|--|"
    words = {MET: "reached", MISSED: "**not reached**", NOT_RUN: "not run"}
    for goal in REFERENCES:
        status, measured = goal.judge(results)
        yield f"| {words[status]} | {goal.shape} | {goal.text} | {goal.who} | {cell(measured)} |"


def figure_lines(results):
    yield "| shape | who | median |"
    yield "|--|--|--|"
    for contest in results.values():
        if not isinstance(contest, Contest):
            continue
        for who in contest.entrants:
            if contest.has(who):
                yield f"| {contest.title} | {who} | {contest.describe(who)} |"
        for who, why in contest.absent.items():
            yield f"| {contest.title} | {who} | not run: {why} |"


def profile_lines(results):
    for contest in results.values():
        if isinstance(contest, Contest) and contest.profile:
            yield from ("", f"{contest.title}:", "", "```", contest.profile, "```")


def million_lines(told):
    yield "| | held | up in | servers' PSS | clients' PSS | lost |"
    yield "|--|--|--|--|--|--|"
    for who, figures in told.items():
        yield (f"| {who} | {figures['held']:,} | {figures['up_s']:.1f} s | "
               f"{figures['server_pss_bytes'] / 1e6:,.0f} MB | "
               f"{figures['client_pss_bytes'] / 1e6:,.0f} MB | {figures['lost']:,} |")


def write(path, tree, results, rates, how):
    """RESULTS.md. `how`: a sentence on rounds and lengths."""
    lines = ["# Results", "",
             "Made by `make bench`; what is compared and how is told in [README.md](README.md).",
             how, "", "## The goals", "", *goal_lines(results, rates), "",
             "## The references", "",
             "The product is measured against these, so they must be as fast as the prototypes",
             "that the goals come from (to within 3 %).", "", *reference_lines(results), "",
             "## Where and with what", "", "| | |", "|--|--|",
             *(f"| {what} | {cell(value)} |" for what, value in machine(tree)),
             f"| other programs | {others(results)} |", "",
             "## Figures", "", *figure_lines(results)]
    profiles = list(profile_lines(results))
    if profiles:
        lines += ["", "## Where the time goes in what was missed", "",
                  "On the processor of the program of ours, with the kernel's part.", *profiles]
    if isinstance(results.get("million"), dict):
        lines += ["", "## A million connections", "", *million_lines(results["million"])]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
