"""Plays one seed on the whole path: processes live and die, everything heals, the books are compared."""

from __future__ import annotations

import gc
from collections.abc import Container
from typing import Any

from chapar_sourcing.recent import BLOCKS_MAX
from tests.simulation.path import chat, checks
from tests.simulation.path.clients import SKEWS_MS, Client
from tests.simulation.path.faults import Rates
from tests.simulation.path.process import Process, Service
from tests.simulation.path.rebuilding import rebuild
from tests.simulation.path.stage import MOMENT, Stage
from tests.simulation.path.watchers import Watcher
from tests.simulation.path.world import World
from tests.simulation.playing import Played, Violation

CLIENTS = 4
WISHES = 12
LIVE_SECONDS_MAX = 60.0
REST_SECONDS_MAX = 90.0
SLEEPS = 0.5
"""How often the last owners sleep until their heartbeats have lapsed, with nobody who asks them anything."""
SLEEP_SECONDS = 2.5
SILENCE_SECONDS_MAX = 3.0
"""For how long a stream that beats may be silent at rest."""
REBUILDS = 0.25
"""How often the stores are built anew at the end, and go on from there."""


def play(seed: int, suppressed: Container[int] = frozenset(), rates: Rates | None = None) -> Played:
    """Plays one seed to its end and judges it. `suppressed`: numbers of faults to leave out."""
    world = World(seed, rates or Rates(), suppressed)
    violation = ""
    collecting = gc.isenabled()
    gc.disable()
    try:
        Run(Stage(world)).play()
    except Violation as found:
        violation = str(found)
    except Exception as broken:
        violation = f"{type(broken).__name__}: {broken}"
    finally:
        bury(world)
        if collecting:
            gc.enable()
    return Played(seed, world.trace_hash, world.faults.fired, violation, world.steps, world.faults.numbered)


def bury(world: World) -> None:
    """Lets go of everything that was under way."""
    for loop in world.loops:
        loop.bury()


class Run:
    """A run on its stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._world = stage.world
        draw = stage.random
        self._clients = [Client(stage, f"c{n}", WISHES, draw.choice(SKEWS_MS)) for n in range(CLIENTS)]
        self._clients.append(Client(stage, "reader", 2 * WISHES, 0, reads=1.0))
        self._watchers = [
            Watcher(stage, key, number)
            for number, key in enumerate((*stage.rooms[:1] * 2, *stage.users[:1] * 2, *stage.users[1:2]))
        ]
        self._bank = Client(stage, "bank", 0, 0)
        self._living = True

    @property
    def _everybody(self) -> list[Client]:
        return [*self._clients, self._bank]

    def play(self) -> None:
        """All of it."""
        self._live()
        self._world.heal()
        self._living = False
        owners = self._settle()
        self._judge(owners)

    def _live(self) -> None:
        stage, world = self._stage, self._world
        for service in stage.services:
            for taken in stage.shares(range(service.partitions)):
                stage.start(service, taken)
        self._disturb()
        for watcher in self._watchers:
            world.soon(0.0, 0.5, watcher.begin, stage.random)
        self._have_asked([(stage.money, command) for command in stage.funds()])
        for client in self._clients:
            world.soon(0.0, 0.3, client.next, stage.random)
        world.run(lambda: all(client.done for client in self._clients), limit=LIVE_SECONDS_MAX)

    def _have_asked(self, commands: list[tuple[Service, Any]]) -> None:
        """The bank asks one thing after the other, the last one first."""
        bank = self._bank
        bank.done = False

        def following() -> None:
            if not commands:
                bank.done = True
                return
            bank.ask(*commands.pop())

        bank.then = following
        following()
        self._world.run(lambda: bank.done, limit=LIVE_SECONDS_MAX)

    def _disturb(self) -> None:
        if not self._living:
            return
        for service in self._stage.services:
            self._stage.disturb(service)
        self._world.after(MOMENT, self._disturb)

    def _settle(self) -> dict[str, Process]:
        """One process a service stays, and everything comes to rest."""
        stage, world = self._stage, self._world
        for service in stage.services:
            for process in list(service.processes):
                if process.loop.paused or stage.random.random() < 0.3:
                    process.crash()
                else:
                    process.drain()
        if not world.run(lambda: not any(s.processes for s in stage.services), limit=REST_SECONDS_MAX):
            raise Violation(f"no end: {[p.name for s in stage.services for p in s.processes]} still drain")
        # A digest needs a ring that reaches back to the checkpoint, which follows empty blocks from afar.
        owners = {s.name: stage.start(s, range(s.partitions), rings=(BLOCKS_MAX,)) for s in stage.services}
        self._rest(owners)
        if stage.random.random() < SLEEPS:
            world.faults.fired["last_owner_sleeps"] += 1
            owners["chat"].pause(SLEEP_SECONDS)
            world.run(lambda: False, limit=SLEEP_SECONDS + SILENCE_SECONDS_MAX)
            self._rest(owners)
        if stage.random.random() < REBUILDS:
            rebuild(stage, owners)
            self._have_asked(stage.something_more())
            self._rest(owners)
        world.run(lambda: False, limit=4.0)  # watchers attach again and are shown what they lack
        return owners

    def _rest(self, owners: dict[str, Process]) -> None:
        """Waits until nothing is left to do."""
        world = self._world
        next_look = 0.0

        def rest() -> bool:
            nonlocal next_look
            if world.now < next_look:
                return False
            next_look = world.now + 0.1
            return self._at_rest(owners)

        if not world.run(rest, limit=REST_SECONDS_MAX):
            raise Violation(f"no rest: {self._unfinished(owners)}")

    def _at_rest(self, owners: dict[str, Process]) -> bool:
        return all(client.done for client in self._everybody) and not self._unfinished(owners)

    def _unfinished(self, owners: dict[str, Process]) -> list[str]:
        stage, world = self._stage, self._world
        found = [f"{c.name} waits for {c.wishes[-1].body}" for c in self._everybody if not c.done and c.wishes]
        for owner in owners.values():
            found += [f"{owner.name}/{h.partition}: {h.problem}" for h in owner.host.health() if h.problem]
            found += [f"{owner.name} takes" for number in owner.owned if not owner.host.owns(number)]
            found += [f"{owner.name} projects" for shell in owner.shells if shell.owner.backlog]
        found += [
            f"{topic}/{partition} does not beat"
            for (topic, partition), heard in stage.topics.heard.items()
            if topic == chat.TOPIC and world.now > heard + SILENCE_SECONDS_MAX
        ]
        return found + [what for book in stage.books.values() for what in book.undone()]

    def _judge(self, owners: dict[str, Process]) -> None:
        stage = self._stage
        checks.check_answers(stage, self._everybody)
        checks.check_streams(stage)
        checks.check_inboxes(stage)
        checks.check_names(stage)
        checks.check_money(stage)
        checks.check_watchers(stage, self._watchers)
        checks.check_digests(stage, owners)
