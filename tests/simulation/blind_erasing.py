"""Bugs of erasing, written from the design and the engine's source alone, without a look at the checker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from chapar_sourcing.eraser import Eraser
from chapar_sourcing.erasures import ERASURE_KIND, mark_of
from chapar_sourcing.keyring import CACHE_SECONDS_MAX, Keyring
from chapar_sourcing.ports import DocumentWrite
from tests.simulation.mutants import Bug, Patch


class _Erasing(Patch):
    lane = "erasing"


class SealsWithAKeyOfAMinuteAgo(_Erasing):
    """One age for all cached keys: what is sealed with one of a minute ago is sealed with a key that was destroyed."""

    target = "chapar_sourcing.keyring:Keyring._key_of"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def key_of(self: Keyring, subject: str, seconds_max: float) -> Any:
            return await sound(self, subject, CACHE_SECONDS_MAX)

        return key_of


class LeavesEarlierErasuresAlone(_Erasing):
    """Destroys what is erased from now on, as the owner before has done the rest: what its end cut short is never
    done."""

    target = "chapar_sourcing.eraser:Eraser._go_through_all"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def go_through_all(self: Eraser) -> None:
            await asyncio.sleep(0)

        return go_through_all


class NotesTheFirstOfTwoErasures(_Erasing):
    """Notes a subject once while an erasure of it waits: the keys between the first and the second stay."""

    target = "chapar_sourcing.eraser:Eraser.written"

    @staticmethod
    def planted(sound: Any) -> Any:
        def written(self: Eraser, documents: Sequence[DocumentWrite]) -> None:
            for write in documents:
                if write.key.kind == ERASURE_KIND and write.data is not None:
                    self._noted.setdefault(write.key.id, mark_of(write.data))
                    self._wake.set()

        return written


class DestroysWithoutWaiting(_Erasing):
    """Destroys the old keys as soon as the new one is there: others still seal with them for a while."""

    target = "chapar_sourcing.eraser:WAIT_SECONDS"

    @staticmethod
    def planted(sound: Any) -> Any:
        return 0.0


BUGS: tuple[Bug, ...] = (
    SealsWithAKeyOfAMinuteAgo,
    LeavesEarlierErasuresAlone,
    NotesTheFirstOfTwoErasures,
    DestroysWithoutWaiting,
)
