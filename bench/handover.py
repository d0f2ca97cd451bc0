"""How long clients wait when processes die, end or are replaced: `make bench-handover`, or

    python -m bench.handover [--kills 30] [--drains 12] [--rolls 2] [--replicas 3] [--json]

On a real broker and database, with so many processes of messaging and of payments. Probes (`bench.probes`) want
something of each partition all the time. *Kill*: whoever owns most gets SIGKILL, the services in turn. *Drain*: the
same with SIGTERM. *Roll*: every process of all services, one after the other, is asked to end and waited for. The gap
of a partition is the longest time between two acknowledgements there, from the signal until its probe was answered
again; in it is the probe's own pause, whatever else is slow, and what the SDK waits between its tries. Writes
`bench/out/handover.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path

from bench.figures import Figure, percentile
from bench.probes import SERVICES, Probes, probes
from bench.progress import Advance, Bars
from bench.report import tell
from bench.site import Site, site
from chapar_client.demo import eventually

PAUSE_S = 3.0
"""Of probes that are not looked at."""
LOOKED_AT_PAUSE_S = {signal.SIGKILL: 0.25, signal.SIGTERM: 0.1}
"""Short beside what is looked for; shorter ones alone would fill the machine, and be what is measured."""
ROLLING_PAUSE_S = 0.5
BEFORE_S = 0.5
ANSWERED_S_MAX = 180.0
CALM_S = 10.0


class Handovers:
    """Takes processes away from an installation, and keeps what clients saw."""

    def __init__(self, site: Site, probes: Probes, note: Callable[[str], None]) -> None:
        self._site = site
        self._probes = probes
        self._note = note

    async def calm(self) -> Sequence[float]:
        """The longest time between two acknowledgements of each partition in ten seconds of peace."""
        began = time.monotonic()
        for probe in self._probes.all:
            probe.pause_s = LOOKED_AT_PAUSE_S[signal.SIGKILL]
        await asyncio.sleep(CALM_S)
        for probe in self._probes.all:
            probe.pause_s = PAUSE_S
        return [gap for probe in self._probes.all if (gap := probe.gap_s(began)) is not None]

    async def killed(self, service: str) -> Sequence[float]:
        """Whoever owns most of a service is killed; the gaps of what it owned."""
        return await self._taken_away(service, signal.SIGKILL)

    async def drained(self, service: str) -> Sequence[float]:
        """Whoever owns most of a service is asked to end; the gaps of what it owned."""
        return await self._taken_away(service, signal.SIGTERM)

    async def rolled(self, advance: Advance) -> float:
        """Asks every process to end, one after the other, and waits until it is back and all is owned; seconds."""
        began = time.monotonic()
        for process in self._site.stage.up.installation.processes:
            process_began = time.monotonic()
            before = self._site.stage.up.starts(process)
            self._site.stage.up.send_signal(process, signal.SIGTERM)
            await self._back(process, before)
            for service in SERVICES:
                await self._all_owned(service)
            self._note(f"{process} is back after {time.monotonic() - process_began:.1f} s")
            advance()
        return time.monotonic() - began

    async def _taken_away(self, service: str, how: signal.Signals) -> Sequence[float]:
        await self._all_owned(service)
        held = await self._site.held(service)
        process = max(held, key=lambda name: len(held[name]))
        looked_at = self._probes.at(service, held[process])
        for probe in looked_at:
            probe.pause_s = LOOKED_AT_PAUSE_S[how]
        await asyncio.sleep(PAUSE_S + BEFORE_S)
        before, began = self._site.stage.up.starts(process), time.monotonic()
        self._site.stage.up.send_signal(process, how)
        if how is signal.SIGTERM:
            await self._back(process, before)
            began_to_look = time.monotonic()
        else:
            began_to_look = began
        await self._probes.all_heard_since(looked_at, began_to_look, ANSWERED_S_MAX)
        gaps = [gap for probe in looked_at if (gap := probe.gap_s(began)) is not None]
        for probe in looked_at:
            probe.pause_s = PAUSE_S
        await self._back(process, before)
        told = f"{how.name} of {process}, {len(gaps)} partitions"
        self._note(f"{told}: {1_000 * min(gaps):.0f} to {1_000 * max(gaps):.0f} ms")
        return gaps

    async def _back(self, process: str, before: int) -> None:
        async def so() -> bool:
            return self._site.stage.up.starts(process) > before

        await eventually(so, f"{process} is back", timeout_s=ANSWERED_S_MAX)

    async def _all_owned(self, service: str) -> None:
        count = self._site.stage.up.installation.partitions

        async def so() -> bool:
            return sum(map(len, (await self._site.held(service)).values())) == count

        await eventually(so, f"all of {service} is owned", timeout_s=ANSWERED_S_MAX)


async def measure(given: argparse.Namespace, bars: Bars, figures: list[Figure]) -> None:
    """All of it on one installation; each figure is added once it is known."""
    replicas = dict.fromkeys(SERVICES, given.replicas)
    with tempfile.TemporaryDirectory(prefix="chapar-bench-") as scratch:
        async with site(Path(scratch), replicas) as running:
            with bars.step("people sign in", running.stage.up.installation.partitions) as advance:
                wanting = await probes(running.stage, advance)
            handovers = Handovers(running, wanting, bars.note)
            async with wanting.running(PAUSE_S):
                with bars.step("peace"):
                    figures += gaps_of("in peace", await handovers.calm(), "10 s, each partition")
                for name, count, act in (("kill -9", given.kills, handovers.killed),
                                         ("drain", given.drains, handovers.drained)):  # fmt: skip
                    with bars.step(name, count) as advance:
                        figures += await _series(name, count, act, running, advance)
                for number in range(1, given.rolls + 1):
                    with bars.step(f"rolling restart {number}", len(running.pids) - 2) as advance:
                        figures += await _rolled(number, running, handovers, wanting, advance)


async def _series(
    name: str, count: int, act: Callable[[str], Awaitable[Sequence[float]]], running: Site, advance: Advance
) -> list[Figure]:
    gaps: list[float] = []
    before = running.ended("deposed")
    for number in range(count):
        gaps += await act(SERVICES[number % len(SERVICES)])
        advance()
    if not gaps:
        return []
    how = f"{count} processes, whoever owned most, {' and '.join(SERVICES)} in turn"
    lost = running.ended("deposed") - before
    expiries = Figure("hand-over", f"{name}: false expiries", lost, "partitions", "lost by owners that were alive")
    return [*gaps_of(name, gaps, how), expiries]


def gaps_of(name: str, gaps: Collection[float], how: str) -> list[Figure]:
    """The distribution of gaps in seconds."""
    ordered = sorted(gaps)
    how = f"{how}; {len(ordered)} partitions"
    shares = (("p50", percentile(ordered, 0.5)), ("p90", percentile(ordered, 0.9)), ("p99", percentile(ordered, 0.99)))
    return [
        Figure("hand-over", f"{name}: gap {share}", 1_000 * gap, "ms", how)
        for share, gap in (*shares, ("at most", ordered[-1]))
    ]


async def _rolled(number: int, running: Site, handovers: Handovers, wanting: Probes, advance: Advance) -> list[Figure]:
    failed, acknowledged = len(wanting.failures), wanting.acknowledged
    for probe in wanting.all:
        probe.pause_s, probe.longest_s = ROLLING_PAUSE_S, 0.0
    seconds = await handovers.rolled(advance)
    for probe in wanting.all:
        probe.pause_s = PAUSE_S
    longest = max(probe.longest_s for probe in wanting.all)
    done, lost = wanting.acknowledged - acknowledged, wanting.failures[failed:]
    how = f"{len(running.pids) - 2} processes one after the other; {done} commands acknowledged meanwhile"
    name = f"rolling restart {number}"
    return [
        Figure("hand-over", f"{name}: in all", seconds, "s", how),
        Figure("hand-over", f"{name}: failed after retry", len(lost), "commands", "; ".join(lost[:3]) or how),
        Figure("hand-over", f"{name}: longest command", 1_000 * longest, "ms", "its tries and their pauses included"),
    ]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--drains", type=int, default=12)
    parser.add_argument("--rolls", type=int, default=2)
    parser.add_argument("--replicas", type=int, default=3, help="processes of messaging and of payments, each")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    figures: list[Figure] = []
    try:
        with Bars() as bars:
            asyncio.run(measure(given, bars, figures))
    finally:  # Hours of it may be worth something, whatever went wrong in the end.
        tell("handover", figures, as_json=given.json)


if __name__ == "__main__":
    main()
