"""A rebuild as its caller sees it: progress and results, and in words why it went no further.

The words are for an operator: whoever shows the peer token has the files of the installation, too.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Final

from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_chassis.refusals import REQUEST_MALFORMED, CallRefused
from chapar_sourcing.editions import EditionRefused
from chapar_sourcing.fold import LogDamaged
from chapar_sourcing.host import OwnerHost
from chapar_sourcing.ports import StoreBehind, Unavailable
from chapar_sourcing.rebuild import Phase, RebuildRefused, Rebuilt, Step, TooBusy
from chapar_sourcing.refusing import EngineRefused

_STEPS: Final[Mapping[int, Step]] = {
    peer.REBUILD_STEP_REBUILD: Step.REBUILD,
    peer.REBUILD_STEP_SWITCH_BACK: Step.SWITCH_BACK,
    peer.REBUILD_STEP_DROP: Step.DROP,
}
_PHASES: Final[Mapping[Phase, peer.RebuildPhase.ValueType]] = {
    Phase.DOCUMENTS: peer.REBUILD_PHASE_DOCUMENTS,
    Phase.ROWS: peer.REBUILD_PHASE_ROWS,
    Phase.COMPARING: peer.REBUILD_PHASE_COMPARING,
    Phase.SWITCHED: peer.REBUILD_PHASE_SWITCHED,
    Phase.DIFFERENT: peer.REBUILD_PHASE_DIFFERENT,
    Phase.SKIPPED: peer.REBUILD_PHASE_SKIPPED,
    Phase.DROPPED: peer.REBUILD_PHASE_DROPPED,
    Phase.MOVED: peer.REBUILD_PHASE_MOVED,
}
_EXPECTED: Final = (RebuildRefused, EditionRefused, TooBusy, LogDamaged, Unavailable, StoreBehind, EngineRefused)


async def rebuild_responses(host: OwnerHost, request: peer.RebuildRequest) -> AsyncGenerator[peer.RebuildResponse]:
    """Does what the request asks for and says how it goes."""
    step = _STEPS.get(request.step)
    if step is None:
        raise CallRefused(REQUEST_MALFORMED)
    rebuilding = host.rebuild(step, request.partitions)
    try:
        async for rebuilt in rebuilding:
            yield _response(rebuilt)
    except _EXPECTED as problem:
        yield peer.RebuildResponse(phase=peer.REBUILD_PHASE_FAILED, problem=str(problem))
    finally:
        await rebuilding.aclose()


def _response(rebuilt: Rebuilt) -> peer.RebuildResponse:
    return peer.RebuildResponse(
        partition=rebuilt.partition,
        edition=rebuilt.edition,
        phase=_PHASES[rebuilt.phase],
        done=rebuilt.done,
        total=rebuilt.total,
        differences=rebuilt.differences,
        different_keys=rebuilt.different_keys,
    )
