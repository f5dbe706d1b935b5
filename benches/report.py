"""The page of one run: every row, also those that we lose."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from contenders import Suite
from measure import Window

# Processor time of others, as a share of one core, above which a page says that the machine was not quiet.
QUIET = 0.10


@dataclass
class Figures:
    """The windows of one suite: for each server, one for each round."""

    suite: Suite
    windows: dict[str, list[Window]] = field(default_factory=dict)
    # Set where requests came at a constant rate.
    rate: int | None = None

    def ours(self) -> str:
        return self.suite.contenders[0].name

    def ratios(self, peer: str) -> list[float]:
        """Ours over theirs, round by round: what disturbs a round disturbs both."""
        pairs = zip(self.windows[self.ours()], self.windows[peer], strict=True)
        return [ours.requests_per_second / theirs.requests_per_second for ours, theirs in pairs]


def page(title: str, facts: dict[str, str], all_figures: list[Figures]) -> str:
    lines = [f"# {title}", ""]
    lines += [f"* **{name}**: {value}" for name, value in facts.items()]
    foreign = [one.foreign for figures in all_figures for windows in figures.windows.values() for one in windows]
    loudest, usual = max(foreign), statistics.median(foreign)
    quiet = "quiet" if statistics.quantiles(foreign, n=10)[-1] < QUIET else "not quiet"
    used = f"{usual:.0%} of a core in half of the windows, {loudest:.0%} at most"
    lines.append(f"* **The machine was {quiet}**: others used {used}")
    for figures in all_figures:
        lines += ["", *(steady(figures) if figures.rate else throughput(figures))]
    return "\n".join(lines) + "\n"


def throughput(figures: Figures) -> list[str]:
    lines = [
        f"## {figures.suite.name}: {figures.suite.about}",
        "",
        "| server | requests/s, median (min – max) | ours / theirs, median (quartiles) "
        "| p50 ms | p99 ms | CPU µs a request | Pss MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, windows in figures.windows.items():
        rates = [one.requests_per_second for one in windows]
        ratio = "–" if name == figures.ours() else spread(figures.ratios(name))
        lines.append(
            f"| {name} | {statistics.median(rates):,.0f} ({min(rates):,.0f} – {max(rates):,.0f}) | {ratio} "
            f"| {middle(windows, 'p50_ms'):.2f} | {middle(windows, 'p99_ms'):.2f} "
            f"| {middle(windows, 'cpu_us_per_request'):.1f} | {middle(windows, 'memory_mib'):.0f} |{failed(windows)}"
        )
    return lines


def steady(figures: Figures) -> list[str]:
    lines = [
        f"## {figures.suite.name} at {figures.rate} requests/s, open loop: {figures.suite.about}",
        "",
        "| server | p50 ms, median (min – max) | p99 ms, median (min – max) | CPU µs a request |",
        "|---|---|---|---|",
    ]
    for name, windows in figures.windows.items():
        half, most = [one.p50_ms for one in windows], [one.p99_ms for one in windows]
        lines.append(
            f"| {name} | {statistics.median(half):.2f} ({min(half):.2f} – {max(half):.2f}) "
            f"| {statistics.median(most):.2f} ({min(most):.2f} – {max(most):.2f}) "
            f"| {middle(windows, 'cpu_us_per_request'):.1f} |{failed(windows)}"
        )
    return lines


def spread(ratios: list[float]) -> str:
    if len(ratios) < 3:
        return f"{statistics.median(ratios):.2f}"
    low, half, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"**{half:.2f}** ({low:.2f} – {high:.2f})"


def middle(windows: list[Window], name: str) -> float:
    values: list[float] = [getattr(one, name) for one in windows]
    return statistics.median(values)


def failed(windows: list[Window]) -> str:
    count = sum(one.failed for one in windows)
    return f" **{count} failed**" if count else ""
