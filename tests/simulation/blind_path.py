"""Bugs of the way from the owner to others, written from the design and the engine's source alone, without a look at
the checker."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_sourcing.creations import Judgement
from chapar_sourcing.domain import Document
from chapar_sourcing.lanes import Parcel
from chapar_sourcing.partition import OwnedPartition
from chapar_sourcing.ports import Cursor, Row
from chapar_sourcing.positions import NOWHERE, Position
from chapar_sourcing.projector import Projector
from chapar_sourcing.reactions import Source, Submit
from chapar_sourcing.reactor import Reactor
from chapar_sourcing.refusing import NOT_OWNER, EngineRefused
from chapar_sourcing.relay import Relay
from chapar_sourcing.tail import BlockReader
from tests.simulation.mutants import Bug, Patch


class _OnThePath(Patch):
    lane = "path"


class ConfirmsBeforeItMerges(_OnThePath):
    """Asks whether it still owns before it merges an advance, to spare the store the rows of a deposed owner: one that
    is paused in between acknowledges rows that its successor has read past."""

    target = "chapar_sourcing.partition:OwnedPartition.advance"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def advance(self: OwnedPartition, advances: Sequence[peer.Advance]) -> None:
            for one in advances:
                self._check_key(one.key)
            deadline_ms = self._deadline_ms()
            await self.shell.wait_owning(deadline_ms)
            if not await self.shell.confirm(deadline_ms):
                raise EngineRefused(NOT_OWNER)
            await self.rows.advance([Row(a.key, a.row, dict(a.fields)) for a in advances])
            for one in advances:
                if one.hint:
                    self.watches.show(one.key, one.hint)

        return advance


class MovesPastWhatIsUnderWay(_OnThePath):
    """Moves the reactor's cursor with whatever has arrived, so that one slow target does not hold it: what is still
    under way to that target is not sent again after a crash."""

    target = "chapar_sourcing.reactor:Reactor._write_cursors"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def write_cursors(self: Reactor) -> None:
            while True:
                await self._moved.until(lambda: any(not one.items for one in self._order))
                arrived = [one.arrival for one in self._order if not one.items]
                self._order = deque(one for one in self._order if one.items)
                self._moved.beat()
                chains, self._arrived = self._arrived, {}
                for target, cursor in chains.items():
                    await self._write_cursor(f"{self.name}/{target}", cursor)
                for done in [arrival.done for arrival in arrived if arrival.done is not None][-1:]:
                    await self._write_cursor(self.name, done)

        return write_cursors


class KeepsWhatItSent(_OnThePath):
    """A reactor that begins anew goes on after the last creation it handed to a lane, which is newer than the cursors:
    what the lane had not brought there is never sent."""

    target = "chapar_sourcing.reactor:Reactor._begin"

    @staticmethod
    def planted(sound: Any) -> Any:
        def begin(self: Reactor, cursors: dict[str, Cursor]) -> None:
            before = getattr(self, "_sent", {})
            sound(self, cursors)
            self._sent.update(before)

        return begin


class WritesItsCursorBeforePublishing(_OnThePath):
    """A relay moves its cursor, then publishes, so that nothing is published twice: a crash in between loses it."""

    target = "chapar_sourcing.relay:Relay.run"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def run(self: Relay) -> None:
            self._publishing = True
            cursor = (await self._store.read_cursors(self.partition)).get(self.name) or Cursor(NOWHERE, b"", NOWHERE)
            reader = BlockReader(self.partition, self._journal, self._tail, cursor.position, cursor.hash)
            self._reader = reader
            await reader.open()
            last = cursor.last
            while True:
                self._publishing = False
                blocks = await reader.next()
                self._publishing = True
                records = []
                for record in self._records(blocks, last):
                    records.append(record.SerializeToString())
                    last = Position(record.position.offset, record.position.index)
                await self._moved(blocks[-1], last)
                await self._publish(records)

        return run


class LetsTheLastRowWin(_OnThePath):
    """Memory takes the fields of the row that came last, as the store merges anyway: an advance sent again takes a head
    back."""

    target = "chapar_sourcing.rows:merge"

    @staticmethod
    def planted(sound: Any) -> Any:
        def merge(rows: dict[str, dict[str, bytes]], row: Row) -> None:
            rows.setdefault(row.row, {}).update(row.fields)

        return merge


class TakesTheSecondOfABlockForARepetition(_OnThePath):
    """Judges creations by their block's offset alone: of two events of one block that make something at the same
    target, the second is taken for one that was applied."""

    target = "chapar_sourcing.creations:judge"
    also = ("tests.simulation.path.chat:judge",)

    @staticmethod
    def planted(sound: Any) -> Any:
        def judge(mark: Document | None, creation: journal.Creation) -> Judgement:
            if creation.position.offset <= getattr(mark, "offset", -1):
                return Judgement.REPEATED
            judged: Judgement = sound(mark, creation)
            return judged

        return judge


class NamesCommandsByTheirEventAlone(_OnThePath):
    """Makes a reactor's request ids of the event alone: of two commands that one event causes at a target, the second
    is answered as a repetition of the first."""

    target = "chapar_sourcing.reactor:Reactor._command"

    @staticmethod
    def planted(sound: Any) -> Any:
        def command(self: Reactor, one: Submit, ordinal: int, source: Source, trace_parent: str) -> Parcel:
            parcel: Parcel = sound(self, one, 0, source, trace_parent)
            return parcel

        return command


class ProjectsToTheFormerEdition(_OnThePath):
    """Remembers the live edition for good, as it hardly ever changes: after a switch documents go to the old one."""

    target = "chapar_sourcing.projector:Projector.paused"

    @staticmethod
    def planted(sound: Any) -> Any:
        @asynccontextmanager
        async def paused(self: Projector) -> AsyncIterator[None]:
            async with self._writing:
                yield

        return paused


BUGS: tuple[Bug, ...] = (
    ConfirmsBeforeItMerges,
    MovesPastWhatIsUnderWay,
    KeepsWhatItSent,
    WritesItsCursorBeforePublishing,
    TakesTheSecondOfABlockForARepetition,
    NamesCommandsByTheirEventAlone,
    LetsTheLastRowWin,
    ProjectsToTheFormerEdition,
)
