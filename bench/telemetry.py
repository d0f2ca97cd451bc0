"""What traces cost: `make bench-telemetry`, or

    python -m bench.telemetry [--pairs 10] [--per-mille 10] [--seconds 8] [--report docs/telemetry.md] [--json]

Two installations of five processes on SQLite stand side by side: one traces nothing, the other a share of all calls and
sends them to a receiver. Both get the same load in turn, pair by pair, the first of a pair changing each time; the CPU
time of an installation's processes is counted while it has the load, what they use without one included. A pair gives
one ratio; what is told is their geometric mean with Student's interval. The receiver's and the clients' time is in no
figure. What a call's tracing costs by itself (`bench.tracing`) is told beside it. Writes `bench/out/telemetry.json`,
anew after each pair. Access tokens last 15 minutes: a machine that takes longer for all pairs has no time for this.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import statistics
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.cpu import Clock
from bench.loading import Loader, loader, signed_in
from bench.progress import Bars
from bench.report import console_of, kept, tell_conditions
from bench.tracing import costs_us
from chapar_client.demo import Stage
from tests.e2e.otlp_sink import OtlpSink

PEOPLE = 8
AT_ONCE = 16
WARM_UP_S = 5.0
SETTLE_S = 2.0
"""After a load: what follows from its last messages is stored by then."""
AIM = 0.08
NAME = "telemetry"
OFF, ON = "off", "on"
STUDENT_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 19: 2.093}
"""Two-sided, by degrees of freedom; between them the one below is taken, which is wider."""
BEGIN, END = "<!-- figures of make bench-telemetry -->", "<!-- end of figures -->"


@dataclass(frozen=True, slots=True)
class Running:
    """One of the two installations, with its people."""

    stage: Stage
    clients: Loader

    @property
    def gateways(self) -> Sequence[str]:
        """See `bench.loading.Open`."""
        return self.stage.up.gateway_addresses

    def clock(self) -> Clock:
        """Counts its processes' CPU time, and nobody else's."""
        up = self.stage.up
        return Clock({process: up.pid(process) for process in up.installation.processes})


@dataclass(frozen=True, slots=True)
class Measured:
    """One load on one installation."""

    messages: int
    seconds: float
    cpu_ms: float
    """Of its five processes."""
    others_cores: float
    """By whoever else was on the machine: the noise."""

    @property
    def cpu_ms_a_message(self) -> float:
        """All of it, divided by the messages."""
        return self.cpu_ms / self.messages


@dataclass(frozen=True, slots=True)
class Change:
    """How much more CPU time a message takes with traces: shares of what it takes without."""

    mean: float
    low: float
    high: float
    """95 % interval."""


def change(ratios: Sequence[float]) -> Change:
    """The geometric mean of ratios, less one, with its interval. Raises `ValueError` for fewer than two."""
    if len(ratios) < 2:
        raise ValueError("an interval needs two pairs")
    logs = [math.log(ratio) for ratio in ratios]
    degrees = max(known for known in STUDENT_95 if known < len(logs))
    half = STUDENT_95[degrees] * statistics.stdev(logs) / math.sqrt(len(logs))
    mean = statistics.fmean(logs)
    return Change(math.expm1(mean), math.expm1(mean - half), math.expm1(mean + half))


@asynccontextmanager
async def installed(folder: Path, environment: Mapping[str, str], bars: Bars, name: str) -> AsyncIterator[Running]:
    """An installation with people at their inboxes, warm."""
    async with Stage(folder, environment=environment) as stage, loader() as clients:
        running = Running(stage, clients)
        with bars.step(f"{name}: people sign in", PEOPLE) as advance:
            people = await signed_in(running, PEOPLE, advance)
        await clients.connect(running, people, looking=True)
        with bars.step(f"{name}: warming up"):
            await clients.load(at_once=AT_ONCE, seconds=WARM_UP_S)
        yield running


async def measured(running: Running, seconds: float) -> Measured:
    """One load, until what follows from it is done."""
    clock = running.clock()
    loaded = await running.clients.load(at_once=AT_ONCE, seconds=seconds)
    await asyncio.sleep(SETTLE_S)
    used = clock.used()
    if not loaded.acknowledged:
        raise RuntimeError("nothing was sent: the machine has no time for this now")
    return Measured(loaded.acknowledged, used.seconds, sum(used.cpu_ms.values()), used.others_cores)


async def measure(given: argparse.Namespace, bars: Bars) -> dict[str, object]:
    """All pairs, and what follows from them."""
    costs = costs_us()
    with tempfile.TemporaryDirectory(prefix="chapar-bench-") as scratch, OtlpSink() as sink:
        told = {"CHAPAR_OTLP": sink.address, "CHAPAR_TRACE_PER_MILLE": str(given.per_mille)}
        async with AsyncExitStack() as closing:
            both = {
                name: await closing.enter_async_context(installed(Path(scratch) / name, environment, bars, name))
                for name, environment in ((OFF, {}), (ON, told))
            }
            spans = len(sink.received)
            pairs: list[Mapping[str, Measured]] = []
            for number in range(given.pairs):
                order = (OFF, ON) if number % 2 == 0 else (ON, OFF)
                with bars.step(f"pair {number + 1} of {given.pairs}"):
                    pairs.append({name: await measured(both[name], given.seconds) for name in order})
                if len(pairs) > 1:
                    kept(NAME, _result(given, costs, pairs, len(sink.received) - spans))
        return _result(given, costs, pairs, len(sink.received) - spans)


def _result(
    given: argparse.Namespace, costs: Mapping[str, float], pairs: Sequence[Mapping[str, Measured]], spans: int
) -> dict[str, object]:
    return {
        "per_mille": given.per_mille,
        "seconds": given.seconds,
        "aim": AIM,
        "change": asdict(change([pair[ON].cpu_ms_a_message / pair[OFF].cpu_ms_a_message for pair in pairs])),
        "cpu_ms_a_message": {n: statistics.fmean(pair[n].cpu_ms_a_message for pair in pairs) for n in (OFF, ON)},
        "spans_received": spans,
        "costs_us_a_call": dict(costs),
        "messages": {name: sum(pair[name].messages for pair in pairs) for name in (OFF, ON)},
        "pairs": [{name: asdict(one) for name, one in pair.items()} for pair in pairs],
    }


def section(told: Mapping[str, object]) -> str:
    """The figures as Markdown."""
    found = json.loads(json.dumps(told))
    cpu, more = found["cpu_ms_a_message"], {name: _percent(share) for name, share in found["change"].items()}
    conditions = ", ".join(f"{name} {value}" for name, value in found["conditions"].items())
    others = statistics.fmean(one["others_cores"] for pair in found["pairs"] for one in pair.values())
    return "\n".join(
        [
            f"{len(found['pairs'])} interleaved pairs of {found['seconds']:g} s; {found['per_mille'] / 10:g} % of all"
            f" calls traced; {found['messages'][OFF]} messages without and {found['messages'][ON]} with traces, of"
            f" which {found['spans_received']} spans arrived at the receiver.",
            "",
            "| CPU ms a message, five processes, off | on | more | 95 % interval |",
            "|---|---|---|---|",
            f"| {cpu[OFF]:.2f} | {cpu[ON]:.2f} | {more['mean']} | {more['low']} to {more['high']} |",
            "",
            "CPU microseconds that a call's tracing takes by itself, with the encoding of its span: "
            + ", ".join(f"{what} {microseconds:.1f}" for what, microseconds in found["costs_us_a_call"].items())
            + ".",
            "",
            f"Conditions: {conditions}; others kept {others:.1f} cores busy meanwhile.",
        ]
    )


def write_report(page: Path, told: Mapping[str, object]) -> None:
    """Puts the figures between their marks. Raises `ValueError` for a page without them."""
    text = page.read_text("utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} must have the lines {BEGIN} and {END}")
    page.write_text(f"{head}{BEGIN}\n{section(told)}\n{END}{tail}", "utf-8")


def _percent(share: float) -> str:
    return f"{share * 100:+.1f} %"


def main() -> None:
    """Runs it."""
    parser = argparse.ArgumentParser(description="What traces cost.")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--per-mille", type=int, default=10, help="of 1,000 calls so many are traced")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each load")
    parser.add_argument("--report", type=Path, help="a page of Markdown whose section of figures is written anew")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with Bars() as bars:
        told = kept(NAME, asyncio.run(measure(given, bars)))
    if given.report is not None:
        write_report(given.report, told)
    if given.json:
        print(json.dumps(told, ensure_ascii=False))
        return
    console = console_of(120)
    tell_conditions(console, told["conditions"])
    console.print(section(told), markup=False, highlight=False)


if __name__ == "__main__":
    main()
