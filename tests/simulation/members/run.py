"""One run among members: they come and go, their logs fail, clients ask; then everything heals, and members come to
rest by themselves, are moved by an operator, and hand over one after the other until one is left."""

from __future__ import annotations

import gc
from collections.abc import Container
from typing import cast

from tests.simulation.members import settling
from tests.simulation.members.faults import Rates
from tests.simulation.members.member import Member
from tests.simulation.members.stage import MEMBERS, MembersStage
from tests.simulation.path.process import Process
from tests.simulation.path.run import LIVE_SECONDS_MAX, Run, bury
from tests.simulation.path.stage import MOMENT
from tests.simulation.path.world import World
from tests.simulation.playing import Played, Violation

THINK = (0.2, 1.6)
WISHES = 10


def play(seed: int, suppressed: Container[int] = frozenset()) -> Played:
    """Plays one seed to its end and judges it. `suppressed`: numbers of faults to leave out."""
    world = World(seed, Rates(), suppressed)
    violation = ""
    collecting = gc.isenabled()
    gc.disable()
    try:
        _Run(MembersStage(world)).play()
    except Violation as found:
        violation = str(found)
    except Exception as broken:
        violation = f"{type(broken).__name__}: {broken}"
    finally:
        bury(world)
        if collecting:
            gc.enable()
    return Played(seed, world.trace_hash, world.faults.fired, violation, world.steps, world.faults.numbered)


class _Run(Run):
    """A run on its stage."""

    def __init__(self, stage: MembersStage) -> None:
        super().__init__(stage)
        self._gathered = stage
        for client in self._clients:
            client.think = THINK

    def _live(self) -> None:
        stage, world = self._gathered, self._world
        for service in stage.services:
            for _ in range(stage.random.choice(MEMBERS)):
                stage.join(service)
        self._disturb()
        self._look()
        for watcher in self._watchers:
            world.soon(0.0, 0.5, watcher.begin, stage.random)
        self._have_asked([(stage.money, command) for command in stage.funds()])
        for client in self._clients:
            world.soon(0.0, 0.3, client.next, stage.random)
        world.run(lambda: all(client.done for client in self._clients), limit=LIVE_SECONDS_MAX)

    def _look(self) -> None:
        for service in self._gathered.services:
            self._gathered.law.check_confirmed(self._gathered.members(service))
        self._world.after(MOMENT, self._look)

    def _settle(self) -> dict[str, Process]:
        """Members come to rest by themselves; of each service one is left at last."""
        settling.heal(self._gathered)
        settling.come_to_rest(self._gathered, lambda: self._have_asked(self._stage.something_more()))
        settling.hand_over(self._gathered)
        owners = {service.name: cast(Process, self._gathered.owners(service)[0]) for service in self._stage.services}
        assert all(isinstance(owner, Member) for owner in owners.values()), "they were handed over"
        self._rest(owners)
        world = self._world
        world.run(lambda: False, limit=4.0)  # watchers attach again and are shown what they lack
        return owners
