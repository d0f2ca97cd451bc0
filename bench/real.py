"""What a message costs on a real broker and database: `make bench-real`, or

    python -m bench.real [--layouts 1x1 1x3 8x8] [--rates 50 100 200 500] [--seconds 20] [--profile] [--json]

A layout is gateways x processes of messaging, each on a fresh installation. People look at their inboxes and write to
each other in pairs, from a process of their own; the CPU time of every other process is counted from the first message
until all were heard and the store has everything. What the same processes use while nobody writes is subtracted.
Rates are tried upwards until one is not carried; then as fast as answers come. Writes `bench/out/real.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.costs import Bytes, Cost, Layout, show
from bench.cpu import Clock, Used
from bench.loading import Loader, loader, signed_in
from bench.progress import Bars
from bench.report import kept
from bench.sampled import Profile, profile
from bench.site import Site, site
from bench.weight import grown, store_bytes, topic_bytes
from chapar_client.up import service_of

PEOPLE = 32
AT_ONCE = 64
WARM_UP_S = 15
CARRIED = 0.97
"""Share of a rate that must be acknowledged, none too late, for the rate to count as carried."""
LATE_MS = 2_000
PROFILED_S = 20
CLIENTS = "clients"
BENCH = "bench"


async def measure(layout: str, given: argparse.Namespace, bars: Bars) -> Layout:
    """Measures one layout on an installation of its own."""
    gateways, owners = map(int, layout.split("x"))
    replicas = {service: count for service, count in (("gateway", gateways), ("messaging", owners)) if count > 1}
    with tempfile.TemporaryDirectory(prefix="chapar-bench-") as scratch:
        async with site(Path(scratch), replicas) as running, loader() as clients:
            with bars.step(f"{layout}: people sign in", PEOPLE) as advance:
                people = await signed_in(running, PEOPLE, advance)
            await clients.connect(running, people, looking=not given.nobody_looks)
            with bars.step(f"{layout}: warming up"):
                await clients.load(at_once=AT_ONCE, seconds=WARM_UP_S)
                await running.stored("messaging")
            return await _measured(layout, running, clients, given, bars)


async def _measured(
    layout: str, running: Site, clients: Loader, given: argparse.Namespace, bars: Bars
) -> Layout:  # fmt: skip
    with bars.step(f"{layout}: nobody writes"):
        idle, idle_bytes = await _idle(running, clients, given.seconds)
    costs = []
    for rate in sorted(given.rates):
        with bars.step(f"{layout}: {rate:g} messages a second"):
            costs.append(await _cost(running, clients, idle, rate, given.seconds))
        if not costs[-1].carried:
            break
    before = topic_bytes(running.folder / "kafka"), store_bytes(running.database.uri)
    with bars.step(f"{layout}: as fast as answers come"):
        costs.append(await _cost(running, clients, idle, 0, given.seconds))
    weight = _weighed(running, before, costs[-1], idle_bytes)
    profiles = {}
    for process in ("messaging", "gateway") if given.profile else ():
        with bars.step(f"{layout}: profile of {process}"):
            profiles[process] = await _profiled(running, clients, process)
    return Layout(layout, idle, costs, weight, running.ended("deposed"), running.ended("doubtful"), profiles)


async def _idle(running: Site, clients: Loader, seconds: float) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """(CPU milliseconds by process, bytes by topic) a second while nobody writes."""
    before, clock = topic_bytes(running.folder / "kafka"), _clock(running, clients)
    await asyncio.sleep(seconds)
    used, after = clock.used(), topic_bytes(running.folder / "kafka")
    grew = {name: size / used.seconds for name, size in grown(before, after).items()}
    return {name: ms / used.seconds for name, ms in _ours(used).items()}, grew


async def _cost(running: Site, clients: Loader, idle: Mapping[str, float], rate: float, seconds: float) -> Cost:
    clock = _clock(running, clients)
    loaded = await clients.load(rate=rate or None, at_once=AT_ONCE, seconds=seconds)
    await running.stored("messaging")
    used = clock.used()
    messages, ours = max(1, loaded.acknowledged), _ours(used)
    return Cost(
        load=f"{rate:g} a second" if rate else f"{AT_ONCE} at once",
        carried=not rate or (loaded.rate >= CARRIED * rate and loaded.p99_ms <= LATE_MS),
        loaded=loaded,
        window_s=used.seconds,
        cpu_ms={process: (ms - idle[process] * used.seconds) / messages for process, ms in ours.items()},
        gross_cpu_ms=sum(ours.values()) / messages,
        clients_cpu_ms=used.cpu_ms[CLIENTS] / messages,
        cores_busy=sum(ours.values()) / 1_000 / used.seconds,
        others_cores=used.others_cores,
    )


def _clock(running: Site, clients: Loader) -> Clock:
    return Clock({**running.pids, CLIENTS: clients.pid, BENCH: os.getpid()})


def _ours(used: Used) -> Mapping[str, float]:
    return {process: ms for process, ms in used.cpu_ms.items() if process not in (CLIENTS, BENCH)}


def _weighed(
    running: Site, before: tuple[Mapping[str, int], Mapping[str, tuple[int, int]]], cost: Cost,
    idle_bytes: Mapping[str, float],
) -> Bytes:  # fmt: skip
    topics_before, collections_before = before
    messages = max(1, cost.loaded.acknowledged)
    topics = {
        name: (size - idle_bytes.get(name, 0.0) * cost.window_s) / messages
        for name, size in grown(topics_before, topic_bytes(running.folder / "kafka")).items()
    }
    collections = {}
    for name, (count, size) in store_bytes(running.database.uri).items():
        count_before, size_before = collections_before.get(name, (0, 0))
        if size != size_before:
            collections[name] = ((count - count_before) / messages, (size - size_before) / messages)
    return Bytes(messages, topics, collections)


async def _profiled(running: Site, clients: Loader, process: str) -> Profile:
    """Of the busiest process of a service, under load."""
    clock = Clock({name: running.pids[name] for name in running.processes(service_of(process))})
    await clients.load(at_once=AT_ONCE, seconds=5)
    used = clock.used().cpu_ms
    busiest = max(used, key=lambda name: used[name])
    loading = asyncio.create_task(clients.load(at_once=AT_ONCE, seconds=PROFILED_S + 5))
    await asyncio.sleep(2)
    found = await profile(running.pids[busiest], PROFILED_S)
    await loading
    await running.stored("messaging")
    return found


async def measure_all(given: argparse.Namespace) -> Sequence[Layout]:
    """Measures one layout after the other."""
    with Bars() as bars:
        return [await measure(layout, given, bars) for layout in given.layouts]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layouts", nargs="+", default=["1x1", "1x3"], help="gateways x processes of messaging")
    parser.add_argument("--rates", nargs="*", type=float, default=[25, 50, 100, 200, 500], help="messages a second")
    parser.add_argument("--seconds", type=float, default=20, help="of each load")
    parser.add_argument("--profile", action="store_true", help="also sample the stacks of an owner and a gateway")
    parser.add_argument("--nobody-looks", action="store_true", help="no open inboxes")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    given = parser.parse_args()
    layouts = asyncio.run(measure_all(given))
    result = kept("real", {"layouts": [asdict(layout) for layout in layouts]})
    if given.json:
        print(json.dumps(result, ensure_ascii=False))
    else:
        show(result["conditions"], layouts)


if __name__ == "__main__":
    main()
