"""Bugs planted on purpose on the way behind the owner: projector, relay, reactor, lanes, rows, views, heartbeat,
stream reader, watch, looking ahead. Each docstring says what is done wrong; the lane `path` has to notice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.fold import chained
from chapar_sourcing.lanes import Item
from chapar_sourcing.owner import Append, Applied, Load
from chapar_sourcing.positions import NOWHERE
from tests.simulation.mutants import Patch
from tests.simulation.path.chat import Name


class _OnThePath(Patch):
    lane = "path"


class PublishesBeforeDurable(_OnThePath):
    """The relay is told of a block when it is sent, not when it is durable."""

    target = "chapar_sourcing.shell:OwnerShell._perform"

    @staticmethod
    def planted(sound: Any) -> Any:
        def perform(self: Any, effects: Sequence[Any]) -> None:
            for effect in effects:
                if isinstance(effect, Append) and self.owning:
                    block = journal.Record.FromString(effect.data).block
                    digest = chained(self.owner.fold.hash, effect.data)
                    self._on_applied(Applied(self.owner.fold.offset + 1, block, live=False, hash=digest))
            sound(self, effects)

        return perform


class RepeatsWithoutPrevious(_OnThePath):
    """The relay does not know after a restart what it published last."""

    target = "chapar_sourcing.relay:Relay._records"

    @staticmethod
    def planted(sound: Any) -> Any:
        def records(self: Any, blocks: Sequence[Any], last: Any) -> Iterator[Any]:
            known = getattr(self, "_planted_last", NOWHERE)
            for record in sound(self, blocks, known):
                yield record
                self._planted_last = (record.position.offset, record.position.index)
                self._planted_last = type(NOWHERE)(*self._planted_last)

        return records


class MovesItsCursorWhenSent(_OnThePath):
    """A reactor counts as done what is on its way."""

    target = "chapar_sourcing.lanes:Lane.put"

    @staticmethod
    def planted(sound: Any) -> Any:
        def put(self: Any, item: Item) -> None:
            item.on_done()
            sound(self, Item(item.parcel, lambda: None))

        return put


class AcknowledgesAdvancesEarly(_OnThePath):
    """An advance is acknowledged before its rows are durable."""

    target = "chapar_sourcing.rows:Rows.advance"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def advance(self: Any, rows: Sequence[Any]) -> None:
            done = asyncio.get_running_loop().create_future()
            done.add_done_callback(lambda told: told.exception())
            self._waiting.append((rows, done))
            self._waiting_rows += len(rows)
            self._wake.set()

        return advance


class CreatesOverHoles(_OnThePath):
    """A creation is made although one before it is missing, and reactors forget what they sent."""

    target = "chapar_sourcing.reactor:Reactor._chain"

    @staticmethod
    def planted(sound: Any) -> Any:
        def chain(self: Any, one: Any, target: int, source: Any, digest: bytes) -> Any:
            self._sent.pop(target, None)
            return sound(self, one, target, source, digest)

        return chain


class StoresTheCheckpointFirst(_OnThePath):
    """The projector writes the checkpoint before the documents."""

    target = "chapar_sourcing.projector:Projector._written"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def written(self: Any, batch: Any) -> bool:
            try:
                await self._store.write_checkpoint(self._shell.partition, batch.checkpoint)
            except Exception:
                return False
            return bool(await sound(self, batch))

        return written


class SkipsAFailedBatch(_OnThePath):
    """The projector takes a batch that could not be written for written."""

    target = "chapar_sourcing.projector:Projector._written"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def written(self: Any, batch: Any) -> bool:
            await sound(self, batch)
            return True

        return written


class ConfirmsWithoutABeat(_OnThePath):
    """A read is confirmed by a heartbeat that nobody has acknowledged."""

    target = "chapar_sourcing.heartbeat:Heartbeat.is_fresh"

    @staticmethod
    def planted(sound: Any) -> Any:
        return property(lambda self: True)


class TrustsABeatAfterSilence(_OnThePath):
    """A heartbeat that is fresh again is believed although others may have claimed meanwhile."""

    target = "chapar_sourcing.shell:OwnerShell._claimed_since_lapse"

    @staticmethod
    def planted(sound: Any) -> Any:
        return property(lambda self: self.owning)


class ConfirmsNothing(_OnThePath):
    """Reads leave without a look at who owns."""

    target = "chapar_sourcing.shell:OwnerShell.confirm"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def confirm(self: Any, deadline_ms: int) -> bool:
            return True

        return confirm


class TellsErrorsUnconfirmed(_OnThePath):
    """What a reader raises leaves at once, as if nothing had been looked at: it may rest on what is being undone."""

    target = "chapar_sourcing.partition:OwnedPartition._read"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def read(self: Any, reader: Any, deadline_ms: int, confirm: Any) -> Any:
            async def unconfirmed(view: Any) -> Any:
                try:
                    return await reader(view)
                except Exception:
                    view.used = False
                    raise

            return await sound(self, unconfirmed, deadline_ms, confirm)

        return read


class ReservesTwice(_OnThePath):
    """A name that is reserved and not confirmed yet is reserved for another."""

    target = "tests.simulation.path.chat:Chat._keep"

    @staticmethod
    def planted(sound: Any) -> Any:
        def keep(self: Any, documents: Any, command: Any) -> Any:
            free = {
                key: document
                for key, document in documents.items()
                if not (command.kind == "reserve" and isinstance(document, Name) and not document.confirmed)
            }
            return sound(self, free, command)

        return keep


class WritesTheBaseCursorFirst(_OnThePath):
    """A reactor's own cursor is written before those of its targets, which follow with the next one."""

    target = "chapar_sourcing.reactor:Reactor._write_cursor"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def write(self: Any, name: str, cursor: Any) -> None:
            if name == self.name:
                await sound(self, name, cursor)
                late, self._planted_late = (
                    self.__dict__.get("_planted_late", []),
                    self.__dict__.pop("_planted_held", []),
                )
                for held in late:
                    await sound(self, *held)
            else:
                self.__dict__.setdefault("_planted_held", []).append((name, cursor))

        return write


class KeepsWatchesOfOldEpochs(_OnThePath):
    """Watches go on when another epoch begins."""

    target = "chapar_sourcing.watch:Watches.begin"

    @staticmethod
    def planted(sound: Any) -> Any:
        def begin(self: Any, epoch: int, reason: str) -> None:
            self._epoch = epoch

        return begin


class ResumesAnyCursor(_OnThePath):
    """A cursor of another epoch is taken for one of this."""

    target = "chapar_sourcing.watch:Watches.attach"

    @staticmethod
    def planted(sound: Any) -> Any:
        def attach(self: Any, key: str, user_id: str, basis: str, cursor: Any) -> Any:
            if cursor is not None:
                cursor = type(cursor)(epoch=self._epoch, n=cursor.n)
            return sound(self, key, user_id, basis, cursor)

        return attach


class TakesRefusalsForArrivals(_OnThePath):
    """A lane counts commands as arrived that were not decided."""

    target = "chapar_sourcing.lanes:Lane._judged"

    @staticmethod
    def planted(sound: Any) -> Any:
        return lambda self, batch, reasons: len(reasons)


class LoadsFromAnyServer(_OnThePath):
    """Documents are loaded from servers that are behind the confirmed checkpoint."""

    target = "chapar_sourcing.errands:Errands.load"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def load(self: Any, effect: Load) -> Any:
            return await sound(self, Load(effect.load_id, effect.keys, -1))

        return load


class ForgetsMergedRows(_OnThePath):
    """Rows that are held in memory do not follow what is merged."""

    target = "chapar_sourcing.rows:Rows._merged"

    @staticmethod
    def planted(sound: Any) -> Any:
        return lambda self, rows: None


class ReadsTheStoreFirst(_OnThePath):
    """A view believes the store where memory knows better."""

    target = "chapar_sourcing.views:PartitionView._merged"

    @staticmethod
    def planted(sound: Any) -> Any:
        def merged(self: Any, kind: str, parent: str, held: Any, covered: Any) -> Any:
            known = {key.id: document for key, document in sound(self, kind, parent, held, covered)}
            return [pair for pair in sound(self, kind, parent, held, covered) if pair[0].id in held or len(known) < 2]

        return merged


class AnswersWhatIsNotDurable(_OnThePath):
    """Reactors react to what they saw although it was undone."""

    target = "chapar_sourcing.shell:OwnerShell.confirm_durable"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def confirm(self: Any, deadline_ms: int) -> bool:
            return True

        return confirm


class BeatsOnlyForReaders(_OnThePath):
    """An owner whose heartbeat lapsed claims anew when somebody reads, and not for its stream's beats."""

    target = "chapar_sourcing.followers:Followers.may_beat"

    @staticmethod
    def planted(sound: Any) -> Any:
        def may_beat(self: Any, topic: str) -> bool:
            return bool(self._shell.confirmed_by_heartbeat and sound(self, topic))

        return may_beat


class SwallowsItsEnd(_OnThePath):
    """A follower that fails in the moment in which it is ended takes the failure for all there is, and tries again."""

    target = "chapar_sourcing.followers:_being_ended"

    @staticmethod
    def planted(sound: Any) -> Any:
        return lambda: False


class TakesUnknownForAbsent(_OnThePath):
    """What was not asked for ahead counts as asked for, and as absent."""

    target = "chapar_sourcing.ahead:Ahead.load"

    @staticmethod
    def planted(sound: Any) -> Any:
        async def load(self: Any, keys: Sequence[Any], *, at_least: int) -> Any:
            if self._answered and at_least == self._at_least:
                self._answered = {**dict.fromkeys(keys), **self._answered}
            return await sound(self, keys, at_least=at_least)

        return load


BUGS: tuple[type[Patch], ...] = (
    TakesUnknownForAbsent,
    PublishesBeforeDurable,
    RepeatsWithoutPrevious,
    MovesItsCursorWhenSent,
    AcknowledgesAdvancesEarly,
    CreatesOverHoles,
    StoresTheCheckpointFirst,
    SkipsAFailedBatch,
    ConfirmsWithoutABeat,
    TrustsABeatAfterSilence,
    ConfirmsNothing,
    TellsErrorsUnconfirmed,
    ReservesTwice,
    WritesTheBaseCursorFirst,
    KeepsWatchesOfOldEpochs,
    ResumesAnyCursor,
    TakesRefusalsForArrivals,
    LoadsFromAnyServer,
    ForgetsMergedRows,
    ReadsTheStoreFirst,
    AnswersWhatIsNotDurable,
    BeatsOnlyForReaders,
    SwallowsItsEnd,
)
