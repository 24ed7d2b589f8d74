"""A contest: entrants that do the same in alternating rounds, and the ratios between them.

The machine's speed drifts by tens of per cent over seconds, so figures are compared within a round
only, and the order is reversed every other round; what is told is the median of the rounds' ratios
and how far its middle half spreads."""

import statistics


class Ratio:
    """A quotient, or a difference, over rounds."""

    def __init__(self, values):
        self.values = values
        self.median = statistics.median(values)
        self.low, self.high = spread(values)

    def __str__(self):
        return f"{self.median:.3g} ({self.low:.3g} to {self.high:.3g})"


def spread(values):
    """The middle half: from the first quartile to the third."""
    if len(values) < 2:
        return values[0], values[0]
    quarters = statistics.quantiles(values, n=4, method="inclusive")
    return quarters[0], quarters[2]


class Contest:
    """`entrants`: name to a function of seconds that returns figures by name."""

    def __init__(self, name, title, least_seconds=0.0, bulk=False):
        """`least_seconds`: what a measurement must last to mean anything."""
        self.name, self.title = name, title
        self.least_seconds, self.bulk = least_seconds, bulk
        self.entrants = {}
        self.servers = []
        self.absent = {}  # entrants that could not take part, and why
        self.rounds = {}
        self.seconds = 0
        self.others = 0.0  # the share of the machine that others had before it began
        self.profile = ""  # where the time goes, where a goal was missed

    def serve(self, server):
        self.servers.append(server)
        return server

    def enter(self, name, run):
        self.entrants[name] = run

    def run(self, rounds, seconds, tell):
        """The servers go on running until `stop`."""
        self.rounds = {name: [] for name in self.entrants}
        self.seconds = max(seconds, self.least_seconds)
        for turn in range(rounds):
            order = list(self.entrants)
            if turn % 2:
                order.reverse()
            for name in order:
                self.rounds[name].append(self.entrants[name](self.seconds))
        for name in self.entrants:
            tell(f"  {name}: {self.describe(name)}")

    def stop(self):
        for server in self.servers:
            if server.alive():
                server.kill()
        self.servers.clear()

    def has(self, *names):
        return all(self.rounds.get(name) for name in names)

    def figures(self, entrant, figure):
        return [told[figure] for told in self.rounds[entrant]]

    def median(self, entrant, figure):
        return statistics.median(self.figures(entrant, figure))

    def ratio(self, entrant, other, figure):
        """`other` may be several, as a tuple: then each round counts its best."""
        others = other if isinstance(other, tuple) else (other,)
        best = [max(values) for values in zip(*(self.figures(name, figure) for name in others))]
        return Ratio([a / b for a, b in zip(self.figures(entrant, figure), best)])

    def difference(self, entrant, other, figure):
        pairs = zip(self.figures(entrant, figure), self.figures(other, figure))
        return Ratio([a - b for a, b in pairs])

    def describe(self, entrant):
        """Its medians, for the log and the table."""
        shown = []
        told = self.rounds[entrant][0]
        for figure, unit, scale in (("rate", "/s", 1), ("bytes_per_s", " GB/s", 1e-9),
                                    ("server_us_each", " µs of the server each", 1),
                                    ("client_us_each", " µs of the client each", 1),
                                    ("p50_us", " µs p50", 1), ("bytes_each", " B each", 1),
                                    ("bytes_each_after", " B each after 16 KiB", 1)):
            if told.get(figure) is not None and (figure != "bytes_per_s" or self.bulk):
                value = self.median(entrant, figure) * scale
                text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
                shown.append(text + unit)
        return ", ".join(shown)
