"""Erasing with bugs planted on purpose. A lane that does not catch every one of them proves nothing."""

from __future__ import annotations

from typing import Any

from tests.simulation.mutants import Patch

_NEVER_S = 1e9


class DestroysWithoutWaiting(Patch):
    """The eraser destroys the old keys as soon as there is a new one."""

    target = "chapar_sourcing.eraser:WAIT_SECONDS"

    @staticmethod
    def planted(sound: Any) -> Any:
        return 0.0


class NothingIsSealedTooEarly(Patch):
    """Owners decide commands however long ago they were sealed."""

    target = "chapar_sourcing.owner.intake:_sealed_too_early"

    @staticmethod
    def planted(sound: Any) -> Any:
        return lambda command, here_ms: False


class SealsFromAnOldCache(Patch):
    """Keys seal as long as they open."""

    target = "chapar_sourcing.keyring:SEALING_SECONDS_MAX"

    @staticmethod
    def planted(sound: Any) -> Any:
        return 60.0


class OpensForEver(Patch):
    """A key that is known opens until the process ends."""

    target = "chapar_sourcing.keyring:CACHE_SECONDS_MAX"

    @staticmethod
    def planted(sound: Any) -> Any:
        return _NEVER_S


class AnOlderKeyMayComeLater(Patch):
    """The key store looks for the key of exactly one period."""

    target = "chapar_sourcing.adapters.memory._keys:MemoryKeyStore._newest"

    @staticmethod
    def planted(sound: Any) -> Any:
        return lambda store, subject, period: store.keys.rows.get((subject, period))


class EachProcessHasAKeyOfItsOwn(Patch):
    """A key is stored over the one that another process made meanwhile."""

    target = "chapar_sourcing.adapters.memory._keys:MemoryKeyStore.insert"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def insert(store: Any, row: Any) -> Any:
            await store._step("insert")
            store.keys.rows[row.subject, row.period] = row
            await store._step("insert.done")
            return row

        return insert


class ForgetsOldMarks(Patch):
    """Whoever takes a partition over erases only what is entered from then on."""

    target = "chapar_sourcing.eraser:Eraser._go_through_all"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def nothing(eraser: Any) -> None:
            return None

        return nothing


class ForcesNoKey(Patch):
    """The old keys are destroyed, and no new one is made before."""

    target = "chapar_sourcing.keyring:Keyring.force"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def nothing(keyring: Any, subject: str, period: int) -> bool:
            return True

        return nothing


class WhoeverHasEndedIsSealedAsBefore(Patch):
    """What is sealed for a subject that has ended can be read."""

    target = "chapar_sourcing.keyring:LAST_PERIOD_MS"

    @staticmethod
    def planted(sound: Any) -> Any:
        return sound * 2


class ForcesThePresent(Patch):
    """A forced period begins now: the key of a month that a fast clock has begun survives."""

    target = "chapar_sourcing.erasures:FORCED_AHEAD_MS"

    @staticmethod
    def planted(sound: Any) -> Any:
        return 0


class DestroysOnlyTheLastKey(Patch):
    """Of several old keys of a subject only one is destroyed."""

    target = "chapar_sourcing.adapters.memory._keys:MemoryKeyStore.destroy"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def destroy(store: Any, subject: str, period_below: int) -> int:
            await store._step("destroy")
            doomed = [place for place in store.keys.rows if place[0] == subject and place[1] < period_below]
            for place in doomed[-1:]:
                del store.keys.rows[place]
            await store._step("destroy.done")
            return len(doomed[-1:])

        return destroy


class AFailureEndsAnErasure(Patch):
    """When the key store is away while keys are destroyed, the eraser takes them for destroyed."""

    target = "chapar_sourcing.eraser:Eraser._destroyed"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def once(eraser: Any, subject: str, mark: Any) -> int:
            try:
                return int(await eraser._keys.destroy(subject, mark.period_ms))
            except Exception:
                return 0

        return once


BUGS: list[type[Patch]] = [
    DestroysWithoutWaiting,
    NothingIsSealedTooEarly,
    SealsFromAnOldCache,
    OpensForEver,
    AnOlderKeyMayComeLater,
    EachProcessHasAKeyOfItsOwn,
    ForgetsOldMarks,
    ForcesNoKey,
    WhoeverHasEndedIsSealedAsBefore,
    ForcesThePresent,
    DestroysOnlyTheLastKey,
    AFailureEndsAnErasure,
]
