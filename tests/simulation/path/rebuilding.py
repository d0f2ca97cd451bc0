"""An operator who has stores built anew from their logs: what comes out is the same, and is served from then on."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from chapar_sourcing.host import OwnerHost
from chapar_sourcing.rebuild import Phase, Step
from tests.simulation.path.process import Process
from tests.simulation.path.stage import Stage
from tests.simulation.playing import Violation

REBUILT_SECONDS_MAX = 60.0

logging.getLogger("chapar_sourcing.rebuild").addHandler(logging.NullHandler())


async def _rebuilt(host: OwnerHost) -> list[str]:
    """Rebuilds every partition; what differs, in words."""
    results = [rebuilt async for rebuilt in host.rebuild(Step.REBUILD)]
    switched = {one.partition for one in results if one.phase is Phase.SWITCHED}
    differ = [f"{one.partition}: {', '.join(one.different_keys)}" for one in results if one.phase is Phase.DIFFERENT]
    missing = [f"{number}: not switched" for number in range(host.partitions) if number not in switched]
    return differ or missing


def rebuild(stage: Stage, owners: Mapping[str, Process]) -> None:
    """Has every owner build another edition of its store and switch to it. Raises `Violation` where one differs."""
    for service in stage.services:
        answers: list[object] = []
        owner = owners[service.name]
        owner.serve(lambda o=owner: _rebuilt(o.host), answers.append)  # type: ignore[misc]
        stage.world.run(lambda: bool(answers), limit=REBUILT_SECONDS_MAX)  # noqa: B023
        if answers != [[]]:
            raise Violation(f"{service.name}: the store built anew from the log: {answers}")
        stage.world.faults.fired["editions_switched"] += service.partitions
        stage.world.note(f"{service.name} is served from another edition")
