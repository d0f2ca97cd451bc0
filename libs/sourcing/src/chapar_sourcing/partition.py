"""One partition that this process owns, with everything that lives on it.

The owner's shell feeds the tail and the live views; once it owns, the projector, the relays and the reactors follow.
An orderly end goes the same way: reactors and relays stop, blocks become durable, the store is brought up to date.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from google.protobuf.message import DecodeError

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar.sourcing.peer.v1 import peer_pb2 as peer
from chapar_sourcing.ahead import Ahead
from chapar_sourcing.clock import Clock, OwnerClock
from chapar_sourcing.digest import answers_of, digest_of, held_documents, stored_documents
from chapar_sourcing.followers import Followers
from chapar_sourcing.heartbeat import Heartbeat
from chapar_sourcing.hosting import HostConfig, HostPorts, HostRules, PartitionHealth, Request, Targets
from chapar_sourcing.measures import Measures
from chapar_sourcing.membership import Membership
from chapar_sourcing.owner import Applied, Owner, OwnerPhase, PhaseChanged
from chapar_sourcing.partitions import partition_of_id
from chapar_sourcing.ports import Checkpoint, Row, Unavailable
from chapar_sourcing.projector import Projector
from chapar_sourcing.pulse import Pulse
from chapar_sourcing.purging import Purger
from chapar_sourcing.refusing import (
    DEADLINE_PASSED,
    KEY_INVALID,
    NOT_OWNER,
    REQUEST_MALFORMED,
    TRANSIENT,
    UNAVAILABLE,
    EngineRefused,
)
from chapar_sourcing.requests import answers_since_ms, content_hash
from chapar_sourcing.rows import Rows
from chapar_sourcing.shell import OwnerShell
from chapar_sourcing.tail import Tail, ValidBlock
from chapar_sourcing.tenure import Tenure, Transition
from chapar_sourcing.tracing import ADVANCE, BlockTraces, Tracer
from chapar_sourcing.views import PartitionView, patiently
from chapar_sourcing.watch import Watches, WatchRefused

T = TypeVar("T")

READS_SECONDS_MAX = 2.0
"""How long a partition that ends without an heir waits for queries under way."""
SUBMITTED_MS_MAX = 10_000
"""How long one command of a reactor may take."""
_SUBMIT = "chapar.sourcing.peer.v1.OwnerService/Submit"


class OwnedPartition:
    """One partition."""

    def __init__(
        self, *, number: int, config: HostConfig, ports: HostPorts, rules: HostRules, clock: Clock,
        owner_clock: OwnerClock, heartbeat: Heartbeat, measures: Measures, targets: Targets,
        membership: Membership, randomness: Callable[[int], bytes], on_transition: Callable[[Transition], None],
        tracer: Tracer,
    ) -> None:  # fmt: skip
        self.number = number
        self._config = config
        self._measures = measures
        self._ports = ports
        self._rules = rules
        self._clock = owner_clock
        self._tracer = tracer
        self._traces = BlockTraces(number, tracer)
        owner = Owner(
            domain=rules.domain,
            partition=number,
            journal_id=ports.journal.journal_id,
            generation=ports.journal.generation,
            address=config.address,
            new_writer=lambda: randomness(16),
            bounds=config.bounds,
            schema_level=config.schema_level,
        )
        ahead = Ahead(
            partition=number, domain=rules.domain, owner=owner, store=ports.store,
            documents_max=config.ahead_documents_max,
        )  # fmt: skip
        self.shell = OwnerShell(
            owner=owner, partition=number, ahead=ahead, journal=ports.journal, store=ports.store, clock=owner_clock,
            heartbeat=heartbeat, read_policy=config.read_policy, measures=measures,
            may_claim=self._may_claim,
            on_started=self._started, on_applied=self._applied, on_phase=self._phase_changed,
            waiting_max=config.bounds.waiting_max, now_ns=tracer.now_ns,
        )  # fmt: skip
        recent = config.recent
        self._tenure = Tenure(number, clock, lambda: self.shell.records_read, on_transition)
        self.rows = Rows(number, ports.store, keys_max=recent.row_keys_max)
        self.watches = Watches(
            ring_max=recent.ring_frames_max, queue_max=recent.queue_frames_max, idle_max=recent.idle_keys_max,
            monotonic=clock.monotonic,
        )  # fmt: skip
        self._tail = Tail(blocks_max=recent.blocks_max)
        self.followers = Followers(
            shell=self.shell,  # nosec B604 # the partition's, no command's
            tail=self._tail, config=config, ports=ports, rules=rules, clock=clock,
            measures=measures, targets=targets, read=self.read_for_reaction, tracer=tracer,
        )  # fmt: skip
        purger = Purger(
            partition=number, store=ports.store, keeps_answers=rules.domain.keeps_answers, measures=measures
        )
        self._projector = Projector(
            purger=purger,
            shell=self.shell,  # nosec B604 # the partition's, no command's
            store=ports.store, measures=measures, linger_ms=config.projection_linger_ms,
            documents_max=config.projection_documents_max, on_written=self.followers.written, traces=self._traces,
            chance=random.Random(f"{config.address} {number}").random,  # nosec B311 # spreads load, guards nothing
        )  # fmt: skip
        self._membership = membership
        self._stopping = asyncio.Event()
        self._in_order, self._has_heir = True, False
        self._reads = 0
        """Queries under way."""
        self._read_ended = Pulse()

    # ---- its life

    async def run(self) -> bool:
        """Owns and serves until `stop`; or until it is deposed, where that is an end: true then."""
        try:
            return await self._run()
        finally:
            self._tenure.end("released")
            # Also those that came when a partition under release claimed again, which begins anew.
            self.watches.begin(self.shell.owner.epoch, NOT_OWNER)

    async def _run(self) -> bool:
        async with asyncio.TaskGroup() as tasks:
            number = self.number
            shell = tasks.create_task(self.shell.run(), name=f"owner-{number}")
            rows = tasks.create_task(self.rows.run(), name=f"rows-{number}")
            projector = tasks.create_task(self._projector.run(), name=f"projector-{number}")
            followers = tasks.create_task(self.followers.run(), name=f"followers-{number}")
            stopped = await self._asked_to_stop()
            if stopped and self._in_order:
                try:
                    async with asyncio.timeout(self._config.release_ms_max / 1000):
                        await self._end_in_order(followers, projector)
                except TimeoutError:
                    self._measures.count("partitions_released_late")
            for task in (followers, projector, rows, shell):
                task.cancel()
        return not stopped

    async def _end_in_order(self, followers: asyncio.Task[None], projector: asyncio.Task[None]) -> None:
        self.watches.begin(self.shell.owner.epoch, NOT_OWNER)
        followers.cancel()
        await asyncio.wait((followers,))
        if not self._has_heir:
            await self._end_reads()
        await self.shell.drain()
        self._projector.finish()
        await asyncio.wait((projector,))

    async def _end_reads(self) -> None:
        """Lets queries under way end, if they do so soon."""
        with suppress(TimeoutError):
            async with asyncio.timeout(READS_SECONDS_MAX):
                await self._read_ended.until(lambda: not self._reads)

    async def _asked_to_stop(self) -> bool:
        """True once `stop` was called; False once deposed, where that is an end."""
        stopping = asyncio.ensure_future(self._stopping.wait())
        deposed = asyncio.ensure_future(self.shell.phase_changed.until(lambda: self.deposed))
        waited = {stopping, deposed} if self._config.ends_deposed else {stopping}
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            return self._stopping.is_set()
        finally:
            stopping.cancel()
            deposed.cancel()

    @property
    def deposed(self) -> bool:
        """Whether another has taken it over."""
        return self.shell.owner.phase is OwnerPhase.DEPOSED

    @property
    def outdated(self) -> bool:
        """Whether this binary is too old for the log."""
        return self.shell.owner.phase is OwnerPhase.OUTDATED

    def stop(self, *, in_order: bool, has_heir: bool) -> None:
        """Begins the end: in order, which has a bound, or at once. With an heir queries under way are cut: nobody else
        shall wait for them, and they can be asked again."""
        self._in_order, self._has_heir = in_order, has_heir
        self._stopping.set()

    def may_beat(self, topic: str) -> bool:
        """Whether it is true now that everything durable of a topic has been published."""
        return self.followers.may_beat(topic)

    def health(self) -> PartitionHealth:
        """How it is."""
        owner = self.shell.owner
        problem = self.shell.alarm or self._projector.problem
        if not problem and not self.shell.owning:
            problem = owner.outdated or owner.phase.value
        if not self.shell.alarm and self.shell.clock_is_off:
            problem = (
                f"the clock is {self._clock.off_ms} ms off the journal's, or was: nothing is decided. Set the machine's"
                " clock right, and where that alone does not help start the process again"
            )
        return PartitionHealth(
            self.number, owner.phase.value, owner.epoch, owner.fold.valid_offset, owner.confirmed_checkpoint, problem
        )

    def projection_lag(self, now_ms: int) -> tuple[int, float]:
        """Offsets that the store lacks, and how many seconds old what it has is, where it lacks any."""
        offsets = self._projector.lag
        stored_ms = self.shell.owner.confirmed_time_ms
        return offsets, max(0.0, (now_ms - stored_ms) / 1000) if offsets > 0 and stored_ms else 0.0

    # ---- what the owner tells

    def _started(self, checkpoint: Checkpoint | None) -> None:
        self._tail.start(-1 if checkpoint is None else checkpoint.fold.offset)

    def _applied(self, applied: Applied) -> None:
        block = ValidBlock(applied.offset, applied.block, applied.hash)
        self._tail.push(block)
        if applied.live:
            self._measures.observe("block_entries", len(applied.block.entries))
            self._measures.count("entries_written", len(applied.block.entries))
            self._traces.applied(applied.offset, applied.block, *self.shell.appended_ns)
        watch = self._rules.watch
        if watch is None or not applied.live:
            return
        for at in block.events(self._rules.domain.event_type):
            for key, hint in watch.hints_of(at.event, block.block.time_ms):
                self.watches.show(key, hint, at.trace_parent)
            for detach in watch.detaches_of(at.event, block.block.time_ms) if watch.detaches_of else ():
                self.watches.detach(detach)

    def _phase_changed(self, changed: PhaseChanged) -> None:
        self._tenure.enter(changed)
        self._measures.count("owner_phases", phase=changed.phase.value)
        if changed.phase is not OwnerPhase.OWNING:
            self._traces.forget()
        if changed.phase in (OwnerPhase.OWNING, OwnerPhase.DEPOSED, OwnerPhase.ALARMED):
            self.watches.begin(changed.epoch, NOT_OWNER)
        if changed.phase is OwnerPhase.OWNING:
            self._membership.owning(self.number, changed.epoch)
        if changed.phase is OwnerPhase.ALARMED:
            self._membership.alarmed(self.number)

    async def _may_claim(self, folded_epoch: int, first: bool) -> None:
        await self._membership.may_claim(self.number, folded_epoch, first=first)

    # ---- reads

    def _view(self) -> PartitionView:
        return PartitionView(
            partition=self.number, owner=self.shell.owner, store=self._ports.store, rows=self.rows,
            domain=self._rules.domain, clock=self._clock, applied=self.shell.applied,
        )  # fmt: skip

    async def read(self, read: Callable[[PartitionView], Awaitable[T]], deadline_ms: int) -> T:
        """Runs `read`, again where what it saw was undone, and returns its result once that is known to be true.

        What it raises is an answer, too, and waits for the same, but for `Unavailable` and `EngineRefused`: they say
        that the way is closed, and nothing about what was read.
        """
        self._reads += 1
        try:
            return await self._read(read, deadline_ms, self.shell.confirm)
        finally:
            self._reads -= 1
            self._read_ended.beat()

    async def _read(
        self, read: Callable[[PartitionView], Awaitable[T]], deadline_ms: int, confirm: Callable[[int], Awaitable[bool]]
    ) -> T:
        while True:
            patience_ms = min(deadline_ms, self._clock.now_ms() + self._config.read_wait_ms_max)
            await self.shell.wait_owning(patience_ms)
            epoch = self.shell.owner.epoch
            view = self._view()
            try:
                result = await read(view)
            except (Unavailable, EngineRefused):
                raise
            except Exception:
                if not view.used or await self._saw_truth(epoch, confirm(deadline_ms)):
                    raise
            else:
                if not view.used or await self._saw_truth(epoch, confirm(deadline_ms)):
                    return result
            if self._clock.now_ms() >= deadline_ms:
                raise EngineRefused(UNAVAILABLE)

    async def _saw_truth(self, epoch: int, confirmed: Awaitable[bool]) -> bool:
        """Whether what was seen since an epoch was current is confirmed, and no other epoch has begun meanwhile."""
        return await confirmed and self.shell.owner.epoch == epoch

    async def read_for_reaction(self, read: Callable[[Any], Awaitable[T]]) -> T:
        """The same for a reaction: what it saw has to be durable, whoever owns by then."""
        return await self._read(read, self._deadline_ms(), self.shell.confirm_durable)

    # ---- what reactors send

    async def submit_commands(self, commands: Sequence[peer.SubmittedCommand]) -> Sequence[str]:
        """Decides one after the other; stops at the first that was not decided for a transient reason."""
        reasons: list[str] = []
        for command in commands:
            reasons.append(await self._submit(command))
            if reasons[-1] in TRANSIENT:
                break
        return [*reasons, *[reasons[-1]] * (len(commands) - len(reasons))] if reasons else []

    async def _submit(self, command: peer.SubmittedCommand) -> str:
        try:
            body = self._rules.domain.command_type.FromString(command.command)
        except DecodeError:
            return REQUEST_MALFORMED
        outcome = await self.shell.submit(
            Request(
                actor=journal.Actor(service=command.source),
                request_id=command.request_id,
                # The id is derived from the source event: it says all about the content. Sealing it anew is no change.
                content_hash=content_hash(b"", _SUBMIT, command.request_id),
                content_key_id="",
                body=body,
                deadline_ms=self._deadline_ms(),
                trace_parent=command.trace_parent,
            )
        )
        if outcome.entry is not None:
            return outcome.entry.refusal.reason if outcome.entry.HasField("refusal") else ""
        return outcome.reason

    async def advance(self, advances: Sequence[peer.Advance]) -> None:
        """Merges rows durably, confirms this owner, shows the hints."""
        for advance in advances:
            self._check_key(advance.key)
        deadline_ms = self._deadline_ms()
        began_ns = self._tracer.now_ns()
        await self.shell.wait_owning(deadline_ms)
        await self.rows.advance([Row(a.key, a.row, dict(a.fields)) for a in advances])
        self._measures.count("rows_merged", len(advances))
        if not await self.shell.confirm(deadline_ms):
            raise EngineRefused(NOT_OWNER)
        for advance in advances:
            trace_parent = self._advanced(advance, len(advances), began_ns) if advance.trace_parent else ""
            if advance.hint:
                self.watches.show(advance.key, advance.hint, trace_parent)

    def _advanced(self, advance: peer.Advance, rows: int, began_ns: int) -> str:
        """Tells of a traced advance that is durable; what is shown because of it goes on from there."""
        span = self._tracer.begin(ADVANCE, advance.trace_parent, began_ns=began_ns, partition=self.number, rows=rows)
        if span is None:
            return advance.trace_parent
        span.end()
        return span.trace_parent

    # ---- live views

    async def watch(self, request: peer.WatchRequest) -> AsyncIterator[peer.WatchResponse]:
        """Attaches first, so that nothing is missed; then judges the right to; then resumes, or shows a snapshot."""
        rule = self._rules.watch
        if rule is None:
            raise WatchRefused("this service has no live views")
        self._check_key(request.key)
        await self.shell.wait_owning(self._deadline_ms())
        cursor = request.cursor if request.HasField("cursor") else None
        watcher, resumed = self.watches.attach(request.key, request.user_id, request.basis, cursor)
        try:
            authorise = lambda view: rule.authorise(request.key, request.user_id, request.basis, view)  # noqa: E731
            if not await self.read(authorise, self._deadline_ms()):
                raise WatchRefused(request.key)
            if not resumed:
                snapshot = await self.read(lambda view: rule.snapshot(request.key, view), self._deadline_ms())
                if watcher.ended:
                    watcher.skip_to_end()
                else:
                    yield peer.WatchResponse(cursor=watcher.start, reset=snapshot)
            async for frame in watcher.frames():
                yield frame
        finally:
            self.watches.leave(watcher)

    # ---- digests

    async def digest(self) -> peer.DigestResponse:
        """Memory over store, at one offset at which nothing is undurable."""
        try:
            async with asyncio.timeout(self._config.drain_ms_max / 1000):
                return await self._digest()
        except TimeoutError:
            raise EngineRefused(DEADLINE_PASSED) from None

    async def _digest(self) -> peer.DigestResponse:
        owner = self.shell.owner
        while True:
            await self.shell.wait_owning(self._deadline_ms())
            epoch = owner.epoch
            since = owner.confirmed_checkpoint
            with owner.pinned():
                documents = await patiently(partial(stored_documents, self._ports.store, self.number, at_least=since))
                await self.shell.durable()
                newer = self._tail.after(since, blocks_max=self._tail.blocks_max)
                if newer is None or owner.epoch != epoch:
                    continue
                documents.update(held_documents(owner, self._rules.domain))
            for block in newer:
                documents.update(answers_of(block.offset, block.block))
            since_ms = answers_since_ms(owner.fold.time_ms, keeps_answers=self._rules.domain.keeps_answers)
            digest = digest_of(documents, answers_since_ms=since_ms)
            return peer.DigestResponse(
                offset=owner.fold.offset, hash=owner.fold.hash, digest=digest.sha256, documents=digest.documents,
                alarms=1 if self.shell.alarm else 0,
            )  # fmt: skip

    # ---- while another edition of the store is built

    @property
    def confirmed_checkpoint(self) -> int:
        """Offset of the live edition's checkpoint; -1 where there is none."""
        return self.shell.owner.confirmed_checkpoint

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Meanwhile the store stands at its checkpoint and no rows are merged: the live edition may be another then."""
        async with self._projector.paused(), self.rows.paused():
            yield

    async def confirm(self) -> bool:
        """Whether this process still owns the partition. Raises `EngineRefused` when that cannot be known."""
        return await self.shell.confirm(self._deadline_ms())

    # ---- inside

    def _check_key(self, key: str) -> None:
        if not key or partition_of_id(key, self._ports.journal.partitions) != self.number:
            raise EngineRefused(KEY_INVALID)

    def _deadline_ms(self) -> int:
        return self._clock.now_ms() + SUBMITTED_MS_MAX
