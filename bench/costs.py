"""What messages cost: the figures of `bench.real`, and how people are shown them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from bench.loading import Loaded
from bench.report import console_of, tell_conditions
from bench.sampled import Profile
from bench.site import BROKER, DATABASE
from chapar_client.up import service_of

GROUPS = ("gateway", "messaging", "others", BROKER, DATABASE)
WIDTH = 150
"""Of tables that go to a file."""
SHOWN_MAX = 15
"""Lines of a profile."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one load cost."""

    load: str
    carried: bool
    """Whether the rate asked for was kept up, none too late; as fast as answers come always is."""
    loaded: Loaded
    window_s: float
    """From the first message until all were heard and stored."""
    cpu_ms: Mapping[str, float]
    """By process, a message; what is used without messages is subtracted."""
    gross_cpu_ms: float
    """Of all, a message; nothing is subtracted."""
    clients_cpu_ms: float
    """A message; in no other figure."""
    cores_busy: float
    """By the services, the broker and the database."""
    others_cores: float
    """By whoever else was on the machine: the noise."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """What a message left behind."""

    messages: int
    """So many were counted."""
    topics: Mapping[str, float]
    """Bytes a message by topic; beats and the like, which come without messages, are subtracted."""
    collections: Mapping[str, tuple[float, float]]
    """(documents, bytes of BSON) a message by collection."""


@dataclass(frozen=True, slots=True)
class Layout:
    """All figures of so many gateways and owners."""

    name: str
    idle_cpu_ms: Mapping[str, float]
    """By process, a second, while nobody writes."""
    costs: Sequence[Cost]
    weight: Bytes
    deposed: int
    """Partitions that a living owner lost to another one meanwhile."""
    claimed_anew: int
    """Partitions that their owner claimed again as it did not hear in time what became of a block."""
    profiles: Mapping[str, Profile]


def groups(cpu: Mapping[str, float]) -> Mapping[str, float]:
    """By service and server; what is neither gateway nor messaging is one."""
    found = dict.fromkeys(GROUPS, 0.0)
    for process, ms in cpu.items():
        service = service_of(process)
        found[service if service in GROUPS else "others"] += ms
    return found


def show(conditions: dict[str, str], layouts: Sequence[Layout]) -> None:
    """Prints all tables."""
    console = console_of(WIDTH)
    tell_conditions(console, conditions)
    console.print(_costs(layouts))
    console.print(_idle(layouts))
    for layout in layouts:
        console.print(_bytes(layout))
        for process, profile in layout.profiles.items():
            console.print(_profile(f"{layout.name}: {process}, {profile.samples} samples", profile))


def _costs(layouts: Sequence[Layout]) -> Table:
    shown = Table(
        "layout", "load", "a second", "p50, p99 ms", "stored after s",
        *GROUPS, "all", "with idle", "clients", "cores", "others' cores",
        title="CPU milliseconds a message",
    )  # fmt: skip
    for layout in layouts:
        for cost in layout.costs:
            by_group, loaded = groups(cost.cpu_ms), cost.loaded
            rate = f"{loaded.rate:.0f}" + ("" if cost.carried else " (not carried)")
            shown.add_row(
                layout.name, cost.load, rate, f"{loaded.p50_ms:.0f}, {loaded.p99_ms:.0f}",
                f"{cost.window_s - loaded.seconds:.0f}",
                *(f"{by_group[name]:.2f}" for name in GROUPS), f"{sum(by_group.values()):.2f}",
                f"{cost.gross_cpu_ms:.2f}", f"{cost.clients_cpu_ms:.2f}", f"{cost.cores_busy:.2f}",
                f"{cost.others_cores:.2f}",
            )  # fmt: skip
    return shown


def _idle(layouts: Sequence[Layout]) -> Table:
    shown = Table("layout", *GROUPS, "all", "deposed", "claimed anew", title="CPU ms a second while nobody writes")
    for layout in layouts:
        by_group = groups(layout.idle_cpu_ms)
        cells = [f"{by_group[name]:.0f}" for name in GROUPS]
        shown.add_row(
            layout.name, *cells, f"{sum(by_group.values()):.0f}", f"{layout.deposed}", f"{layout.claimed_anew}"
        )
    return shown


def _bytes(layout: Layout) -> Table:
    weight = layout.weight
    shown = Table("where", "documents", "bytes", title=f"{layout.name}: a message, of {weight.messages}")
    for name, size in sorted(weight.topics.items(), key=lambda item: -item[1]):
        shown.add_row(f"topic {name}", "", f"{size:.0f}")
    for name, (count, size) in sorted(weight.collections.items(), key=lambda item: -item[1][1]):
        shown.add_row(f"collection {name}", f"{count:.2f}", f"{size:.0f}")
    return shown


def _profile(title: str, profile: Profile) -> Table:
    threads = ", ".join(f"{name} {share:.0%}" for name, share in sorted(profile.threads.items(), key=lambda t: -t[1]))
    title += f"; CPU by thread: {threads}"
    shown = Table("where it ran", "share", "our function, with what it calls", "share", title=title)
    for (module, own), (function, whole) in list(zip(profile.modules, profile.beneath, strict=False))[:SHOWN_MAX]:
        shown.add_row(module, f"{own:.1%}", function, f"{whole:.1%}")
    return shown
