"""The goals, as the project states them, each with what is measured for it."""

from servers import IPERF3_LENGTHS

MET, MISSED, NOT_RUN = "met", "missed", "not run"
RATE, BYTES, COST = "rate", "bytes_per_s", "server_us_each"
SMALL_FRAMES = 8, 64  # bodies, for the codecs


class Missing(Exception):
    """What a goal needs was not measured; the reason is for people."""


class Goal:
    def __init__(self, shape, who, text, judge):
        self.shape, self.who, self.text, self._judge = shape, who, text, judge
        self.contest, self.entrant = getattr(judge, "about", (None, None))

    def judge(self, results):
        """(status, what was measured, in words)"""
        try:
            met, measured = self._judge(results)
        except Missing as reason:
            return NOT_RUN, str(reason)
        return (MET if met else MISSED), measured


def contest_of(results, name, *entrants):
    """The contest, if these took part in it."""
    contest = results.get(name)
    if contest is None:
        raise Missing("not among the shapes of this run")
    if isinstance(contest, str):
        raise Missing(contest)
    for entrant in entrants:
        if not contest.has(entrant):
            reasons = [why for who, why in contest.absent.items() if entrant.startswith(who)]
            raise Missing(reasons[0] if reasons else f"{entrant} did not take part")
    return contest


def ratio(name, entrant, other, figure, least=None, most=None):
    """A judge: the ratio of a figure is at least, or at most, so much."""
    def judge(results):
        others = other if isinstance(other, tuple) else (other,)
        value = contest_of(results, name, entrant, *others).ratio(entrant, other, figure)
        met = value.median >= least if least is not None else value.median <= most
        return met, str(value)
    judge.about = name, entrant
    return judge


def small_goals():
    made = []
    for name, least in (("a", 0.97), ("b", 0.95), ("c", 0.97), ("d", 0.92)):
        made.append(Goal(name, "server", f"≥ {least} raw",
                         ratio(f"{name} server", "synfind", "raw", RATE, least)))
    for name, least in (("a", 0.97), ("b", 0.95), ("c", 0.95), ("d", 0.92)):
        made.append(Goal(name, "client", f"≥ {least} raw",
                         ratio(f"{name} client", "synfin", "raw", RATE, least)))
    for name, peer, least in (("b", "memcached", 1.03), ("b", "plain bufferevents", 1.4),
                              ("c", "redis", 2.2), ("d", "memcached", 1.03)):
        made.append(Goal(name, "server", f"≥ {least} {peer}",
                         ratio(f"{name} server", "synfind", peer, RATE, least)))
    for name, pipeline, least in (("b", 1, 1.5), ("c", 32, 1.1)):
        made.append(Goal(name, "client", f"≥ {least} redis-benchmark -P{pipeline}, same redis",
                         ratio(f"redis -P{pipeline}", "synfin", "redis-benchmark", RATE, least)))
    made.append(Goal("a", "both", "busy-poll on both ends ≥ 0.93 raw spinning",
                     ratio("a busy", "pair", "raw pair", RATE, 0.93)))
    made.append(Goal("a", "both", "busy-poll on both ends ≥ 6 netperf TCP_RR", netperf))
    return made


def netperf(results):
    del results
    raise Missing("netperf is not in Debian's main section")


def bulk_goals():
    lengths = tuple(f"iperf3 -l {length}" for length in IPERF3_LENGTHS)
    made = [Goal("e echo", "server", "≥ 0.95 raw",
                 ratio("e echo server", "synfind", "raw", BYTES, 0.95)),
            Goal("e echo", "server", "≥ 6 plain bufferevents",
                 ratio("e echo server", "synfind", "plain bufferevents", BYTES, 6)),
            Goal("e echo", "client", "≥ 0.95 raw",
                 ratio("e echo client", "synfin", "raw", RATE, 0.95))]
    for who, program in (("server", "synfind"), ("client", "synfin")):
        name = f"e one way {who}"
        made += [Goal("e one way", who, "≥ 0.95 raw", ratio(name, program, "raw", BYTES, 0.95)),
                 Goal("e one way", who, "≥ 1.0 iperf3 -l 128K",
                      ratio(name, program, lengths[0], BYTES, 1.0)),
                 Goal("e one way", who, "≥ 0.95 iperf3's best length",
                      ratio(name, program, lengths, BYTES, 0.95))]
    return made


def churn_goals():
    return [Goal("f", "server", "processor time per connection ≤ 1.10 raw",
                 ratio("f server", "synfind", "raw", COST, most=1.10)),
            Goal("f", "server", "processor time per connection ≤ 0.8 memcached",
                 ratio("f server", "synfind", "memcached", COST, most=0.8)),
            Goal("f", "client", "connections/s ≥ 0.95 raw",
                 ratio("f client", "synfin", "raw", RATE, 0.95))]


def server_memory(results):
    contest = contest_of(results, "g server", "synfind")
    before = contest.median("synfind", "bytes_each")
    after = contest.median("synfind", "bytes_each_after")
    met = before <= 512 and after <= 512 and after - before <= 25
    return met, f"{before:,.0f} B; after 16 KiB frames {after:,.0f} B"


def client_memory(results):
    each = contest_of(results, "g client", "synfin").median("synfin", "bytes_each")
    return each <= 512, f"{each:,.0f} B"


def less_memory(results):
    contest = contest_of(results, "g server", "synfind", "memcached", "nginx")
    values = {who: contest.median(who, "bytes_each") for who in ("synfind", "memcached", "nginx")}
    met = values["synfind"] < min(values["memcached"], values["nginx"])
    return met, ", ".join(f"{who} {value:,.0f} B" for who, value in values.items())


def memory_goals():
    return [Goal("g", "server", "≤ 512 B per idle connection, unchanged after 16 KiB frames",
                 server_memory),
            Goal("g", "server", "below memcached and nginx", less_memory),
            Goal("g", "client", "≤ 512 B per idle connection", client_memory)]


def million_figure(results, test):
    told = results.get("million")
    if not isinstance(told, dict):
        raise Missing(told or "not among the shapes of this run")
    return test(told)


def million_goals():
    def time(told):
        quotient = told["synfin"]["up_s"] / told["raw"]["up_s"]
        return quotient <= 1.15, (f"{quotient:.3g}: {told['synfin']['up_s']:.1f} s against "
                                  f"{told['raw']['up_s']:.1f} s")

    def pss(told):
        server, client = (told["synfin"][f"{side}_pss_bytes"] / 1e6 for side in
                          ("server", "client"))
        return max(server, client) <= 800, f"servers {server:,.0f} MB, clients {client:,.0f} MB"

    def lost(told):
        own = told["synfin"]
        return own["lost"] == 0 and own["held"] >= 1000000, (
            f"{own['held']:,} held, {own['lost']:,} lost")

    return [Goal("i", "both", text, lambda results, test=test: million_figure(results, test))
            for text, test in (
                ("a million: time to connect with a frame on each ≤ 1.15 raw", time),
                ("a million: ≤ 800 MB summed PSS a side", pss),
                ("a million: none lost", lost))]


def open_goals(rates):
    def reached(name):
        def judge(results):
            shares = contest_of(results, name, "synfin").figures("synfin", "of_asked")
            worst = max(abs(share - 1) for share in shares)
            return worst <= 0.001, f"{100 * worst:.3g} % off at worst"
        return judge

    def near(name):
        def judge(results):
            value = contest_of(results, name, "synfin", "raw").difference("synfin", "raw", "p50_us")
            return value.median <= 5, f"{value} µs more"
        return judge

    def shown(results):
        contest = contest_of(results, "open stopped", "synfin")
        values = contest.figures("synfin", "round_trip_p99_9_us")
        if None in values:
            return False, "p99.9 is not told"
        return min(values) >= 80000, f"p99.9 {min(values) / 1000:.3g} ms at least"

    made = []
    for rate in rates:
        name = f"open {rate}"
        text = f"{rate:,}/s" if rate >= 1 else "60 % of the closed loop's most"
        made += [Goal("open loop", "client", f"{text}: rate within 0.1 % of asked", reached(name)),
                 Goal("open loop", "client", f"{text}: p50 within 5 µs of raw", near(name))]
    return made + [Goal("open loop", "client", "a server stopped for 100 ms shows in p99.9", shown)]


def codec_goals():
    def rows(results, name=None):
        table = results.get("codecs")
        if not isinstance(table, list):
            raise Missing(table or "not among the shapes of this run")
        return [row for row in table if name in (None, row["codec"])]

    def u32be(results):
        most = max(row["frames"] for row in rows(results, "u32be") if row["body"] in SMALL_FRAMES)
        return most >= 50, f"{most:,.0f}M/s"

    def line(results):
        most = max(row["bytes"] for row in rows(results, "line") if row["body"] == 64)
        return most >= 1, f"{most:.3g} GB/s in lines of 64 B"

    def least(results):
        small = [row for row in rows(results) if row["body"] in SMALL_FRAMES and row["whole"]]
        worst = min(small, key=lambda row: row["frames"])
        return worst["frames"] >= 5, f"{worst['codec']}: {worst['frames']:.3g}M/s"

    return [Goal("codecs", "both", "u32be ≥ 50M small frames/s per core", u32be),
            Goal("codecs", "both", "line ≥ 1 GB/s", line),
            Goal("codecs", "both", "none under 5M small frames/s", least)]


def goals(rates):
    return (small_goals() + bulk_goals() + churn_goals() + memory_goals() + million_goals() +
            open_goals(rates) + codec_goals())


# The references must themselves be as fast as the prototypes that the goals were set by: the ratio
# that those had, less 3 % of noise.

NOISE = 1.03


def reference(text, wanted, name, entrant, other, figure):
    if figure == COST:
        judge = ratio(name, entrant, other, figure, most=wanted * NOISE)
    else:
        judge = ratio(name, entrant, other, figure, least=wanted / NOISE)
    return Goal(text, wanted, f"{entrant} to {other}", judge)


REFERENCES = [
    reference("b, server", 1.09, "b server", "raw", "memcached", RATE),
    reference("b, server", 1.14, "b server", "raw", "redis", RATE),
    reference("c, server", 2.44, "c server", "raw", "redis", RATE),
    reference("d, server", 1.15, "d server", "raw", "memcached", RATE),
    reference("d, server", 1.30, "d server", "raw", "redis", RATE),
    reference("e one way, pair", 1.31, "e one way server", "raw", "iperf3 -l 128K", BYTES),
    reference("e one way, pair", 1.03, "e one way server", "raw", "iperf3 -l 512K", BYTES),
    reference("f, server's cost", 0.71, "f server", "raw", "memcached", COST),
    reference("f, server's cost", 0.89, "f server", "raw", "redis", COST),
    reference("b, client, -P1", 1.82, "redis -P1", "raw", "redis-benchmark", RATE),
    reference("c, client, -P32", 1.16, "redis -P32", "raw", "redis-benchmark", RATE),
]
