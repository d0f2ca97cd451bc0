"""What follows once nothing goes wrong any more: how soon everything is owned, moved and handed over."""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation.members.member import Member
from tests.simulation.members.probing import Prober
from tests.simulation.members.stage import MembersStage
from tests.simulation.path.process import Service
from tests.simulation.playing import Violation

OWNED_SECONDS_MAX = 12.5
MOVED_SECONDS_MAX = 5.0
LATE_SECONDS = 7.5
"""Whatever was under way has landed by then, and who slept is awake."""
DRAINED_SECONDS_MAX = 11.5
UNANSWERED_SECONDS_MAX = 2.0
LOOK_SECONDS = 0.02


def heal(stage: MembersStage) -> None:
    """Clocks are right again, logs and links hold; whose clock is lost is started anew. Who sleeps goes on to, and who
    drains."""
    for service in stage.services:
        stage.gathering.logs[service.name].heal(stage.world.now)
        for member in list(stage.members(service)):
            member.clock.jumped_ms = 0
            if member.clock_is_lost:
                stage.world.faults.fired["clock_lost"] += 1
                member.crash()
                stage.join(service, member.name)


def come_to_rest(stage: MembersStage, ask: Callable[[], None]) -> None:
    """Every partition comes to have one owner, whom everybody knows; `ask` has something asked of each, as nobody
    notices otherwise that a claim was made by one who has died since."""
    world = stage.world
    world.run(lambda: False, limit=LATE_SECONDS)
    began = world.now
    ask()
    _wait(stage, lambda: stage.gathered and not stage.unowned(stage.services), OWNED_SECONDS_MAX, "owned by one")
    world.faults.fired["rest_ms"] += int(1000 * (world.now - began))


def hand_over(stage: MembersStage) -> None:
    """An operator moves a partition of each service, then all members but one end in order: everything is answered all
    the time but for moments, and nothing that anybody writes is void."""
    voids = [stage.voids(service) for service in stage.services]
    prober = Prober(stage)
    for service in stage.services:
        _move(stage, service, stage.random.randrange(service.partitions))
    for service in stage.services:
        last = stage.random.choice(_able(stage, service))
        for member in list(stage.members(service)):
            if member is not last:
                _drain(stage, member)
    _wait(stage, lambda: not stage.unowned(stage.services), OWNED_SECONDS_MAX, "owned by the last")
    prober.stop(UNANSWERED_SECONDS_MAX)
    stage.world.faults.fired["gap_ms"] = int(1000 * prober.longest)
    if voids != [stage.voids(service) for service in stage.services]:
        raise Violation("partitions were handed over, and what somebody wrote meanwhile is void")


def _move(stage: MembersStage, service: Service, partition: int) -> None:
    owner = stage.owners(service)[partition]
    assert owner is not None, "all came to rest"
    others = [member for member in _able(stage, service) if member is not owner]
    if not others:
        return
    target = stage.random.choice(others)
    answers: list[str] = []
    owner.serve(lambda: owner.place(partition, target.name), answers.append)
    moved = lambda: stage.owners(service)[partition] is target  # noqa: E731
    _wait(stage, moved, MOVED_SECONDS_MAX, f"{service.name}/{partition} moved to {target.name}")
    if answers != [""]:
        raise Violation(f"{owner.name} says of a placement that holds: {answers}")
    stage.world.faults.fired["moved"] += 1


def _drain(stage: MembersStage, member: Member) -> None:
    member.drain()
    _wait(stage, lambda: member.gone, DRAINED_SECONDS_MAX, f"{member.name} ended")
    stage.world.faults.fired["drained"] += 1


def _able(stage: MembersStage, service: Service) -> list[Member]:
    """Members of which all others think that they can own something."""
    members = stage.members(service)
    views = [{s.address for s in m.host.members if s.alive and not (s.draining or s.unfit)} for m in members]
    return [member for member in members if all(member.name in view for view in views)]


def _wait(stage: MembersStage, holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Looks now and then, as looking costs."""
    world, looked = stage.world, [float("-inf")]

    def look() -> bool:
        if world.now < looked[0] + LOOK_SECONDS:
            return False
        looked[0] = world.now
        return holds()

    if not world.run(look, limit=seconds):
        raise Violation(f"after {seconds} s not {what}; not owned by one: {stage.unowned(stage.services)}")
