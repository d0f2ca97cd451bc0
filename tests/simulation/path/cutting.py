"""A run in which a log loses records that were acknowledged: the owner has to notice, and to decide nothing more.

Whether the process lives on or is started anew: what it remembers, or the store's checkpoint, is ahead of the log.
"""

from __future__ import annotations

from typing import Any

from tests.simulation.path.clients import Client
from tests.simulation.path.faults import CALM
from tests.simulation.path.messages import Command
from tests.simulation.path.process import Service
from tests.simulation.path.stage import Stage
from tests.simulation.path.world import World
from tests.simulation.playing import Violation

WISHES = 14
NOTICED_SECONDS_MAX = 60.0
RECORDS_MAX = 4


def play_cut(seed: int) -> str:
    """Plays one such seed; says who noticed, and how. Raises `Violation` when nobody did, or decided after it."""
    world = World(seed, CALM)
    stage = Stage(world)
    try:
        return _played(stage)
    finally:
        for loop in world.loops:
            loop.bury()


def _played(stage: Stage) -> str:
    world, draw = stage.world, stage.random
    service = draw.choice(stage.services)
    number = draw.randrange(service.partitions)
    for each in stage.services:
        stage.start(each, range(each.partitions))
    clients = [Client(stage, f"c{n}", WISHES, 0) for n in range(3)]
    bank = Client(stage, "bank", 0, 0)
    bank.then = lambda: bank.ask(service, _something(stage, service, number))
    bank.then()
    for client in clients:
        world.soon(0.0, 0.3, client.next, draw)
    began = draw.uniform(0.5, 1.2)
    world.run(lambda: world.now > began and len(service.log.partitions[number].records) > RECORDS_MAX, limit=30.0)
    _cut(stage, service, number)
    if not world.run(lambda: bool(_alarms(service)), limit=NOTICED_SECONDS_MAX):
        raise Violation(f"{service.name}/{number} was cut and nobody noticed")
    world.run(lambda: False, limit=2.0)
    return _alarms(service)[0]


def _something(stage: Stage, service: Service, number: int) -> Any:
    """A command that is always accepted, for the partition."""
    if service is stage.money:
        return Command(kind="fund", key=stage.accounts[number], amount=1)
    return Command(kind="say", key=stage.rooms[number], text="something")


def _cut(stage: Stage, service: Service, number: int) -> None:
    """Takes records away that the owner has folded, and perhaps starts another where the store would notice."""
    draw, log = stage.random, service.log.partitions[number]
    records = draw.randint(1, RECORDS_MAX)
    stage.books[service.name].cut.add(number)
    end = service.log.cut(number, records)
    stage.world.note(f"{service.name}/{number} is cut and ends before {end}, with {len(log.records)} records")
    checkpoint = service.servers.checkpoint(number)
    if checkpoint is not None and checkpoint.fold.valid_offset >= end and draw.random() < 0.7:
        for process in list(service.processes):
            process.crash()
        stage.start(service, range(service.partitions))


def _alarms(service: Service) -> list[str]:
    return [alarm for process in service.processes for alarm in process.alarms]
