"""The stage of a run: two services and their processes, who starts and stops them, and what clients were told."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.hosting import HostRules, Request, Topic
from chapar_sourcing.owner import Outcome
from chapar_sourcing.partitions import partition_of_id
from chapar_sourcing.ports import Cursor, Row, StreamEntry
from chapar_sourcing.recent import BLOCKS_MAX, RecentBounds
from tests.simulation.path import chat, money
from tests.simulation.path.books import Book
from tests.simulation.path.clients import DEADLINE_MS, INBOX, ROOM, Wish
from tests.simulation.path.crowd import Crowd
from tests.simulation.path.journal import Log
from tests.simulation.path.ledgers import ChatLedger, MoneyLedger
from tests.simulation.path.members import Directory
from tests.simulation.path.messages import Command, PublicEvent
from tests.simulation.path.process import Process, Service
from tests.simulation.path.store import Servers
from tests.simulation.path.stream import Topics
from tests.simulation.path.views import ChatWatch, lines_of, text_of
from tests.simulation.path.watchers import Watcher
from tests.simulation.path.world import World
from tests.simulation.playing import Violation

T = TypeVar("T")

PROCESSES_MAX = 3
MOMENT = 0.05
STICKY = 0.85
CARDS = "reactor/cards/"
SPREADING = "reactor/spreading"
PAUSES = (0.2, 1.0, 3.0, 7.0)
CUT_OFF_SHORT = (1.0, 1.5)
CUT_OFF = (1.5, 6.0)
"""How long a link is broken: too short for a succession, or not."""
BACK = (0.8, 1.2)
"""When watchers come back to a process whose link broke: its last beat is about to be too old to show them anything."""
CUT_OFF_AT_CLAIM = (1.6, 3.0)
LAG_BEYOND = (0.0, 1.0)
"""How long a claimant waits for what follows its claim, after members have heard of it again."""
SLOW_FIRST = (0.2, 1.5)
"""How long a link is slow before it breaks."""
BEATS_MS = (100, 300)
"""How often chat's stream beats."""
RINGS = (2, 5, BLOCKS_MAX)


class Stage:
    """Everything of one run."""

    def __init__(self, world: World) -> None:
        self.world = world
        draw = self.random = world.stream("stage")
        count = 3 if world.seed % 4 == 3 else 2
        self.rooms = [at(f"room-{n}", n, count) for n in range(count)]
        self.users = [at(f"user-{n}", n % count, count) for n in range(count + 1)]
        self.names = [at(f"name-{n}", n % count, count) for n in range(2)]
        self.accounts = [at(f"account-{n}", n % count, count) for n in range(count + 2)]
        self.topics = Topics(world, count, (chat.TOPIC, money.TOPIC))
        self.directory = Directory(world)
        self._numbers = itertools.count(1)
        self.told: dict[str, int] = {}
        """Key -> the newest version that anybody was told of."""
        journals = draw.random() < 0.5
        self._eagerness = draw.choice((0.25, 1.0))
        """How likely what nobody seems to own is claimed in a moment."""
        self.chat = self._service("chat", count, HostRules(
            chat.Chat(journals_refusals=journals), reactions=(chat.Spreading(self.rooms), chat.Cards()),
            topics=(Topic(chat.TOPIC, draw.choice(BEATS_MS)),), public_event=chat.public_event, watch=ChatWatch(),
        ))  # fmt: skip
        self.money = self._service("money", count, HostRules(
            money.Money(count), reactions=(money.Crossing(),), topics=(Topic(money.TOPIC),),
            public_event=money.public_event,
        ))  # fmt: skip
        self.services = (self.chat, self.money)
        self.money_ledger = MoneyLedger(count)
        self.chat_ledger = ChatLedger(count, self.rooms, self.inbox)
        self.books = {
            "chat": Book(world, "chat", count, self.chat_ledger),
            "money": Book(world, "money", count, self.money_ledger),
        }
        self.chat_ledger.book = self.books["chat"]
        self.money_ledger.book = self.books["money"]
        self.crowd = Crowd(self)
        self.watchers: dict[str, list[Watcher]] = {}
        for service in self.services:
            self._wire(service)
        self.chat.servers.on_row = self._row_lands
        self.chat_ledger.on_unsaid = lambda room: self.crowd.told(ROOM, room)
        self.topics.on_published = self._published

    def _service(self, name: str, partitions: int, rules: HostRules) -> Service:
        log, servers = Log(self.world, name, partitions), Servers(self.world, partitions)
        return Service(name, rules, "heartbeat" if name == "chat" else "append", log, servers)

    def _wire(self, service: Service) -> None:
        book = self.books[service.name]
        service.log.on_landed = book.landed
        book.on_claim = lambda partition, address: self._claimed(service, partition, address)
        service.servers.on_cursor = self._chat_cursor if service is self.chat else book.cursor_moves

    def _claimed(self, service: Service, partition: int, address: str) -> None:
        before, service.claimed[partition] = service.claimed.get(partition, ""), address
        claimant = next((p for p in service.processes if p.name == address), None)
        if service is self.chat and before != address and any(p.name == before for p in service.processes):
            self.world.faults.fired["taken_from_the_living"] += 1
            self.crowd.gather(partition, before, address)
        if claimant is None:
            return
        claimant.claimed.add(partition)
        if not claimant.loop.paused and self.world.faults.happens("pause_at_claim"):
            claimant.pause(self.random.choice(PAUSES))
        if self.world.faults.happens("lag_at_claim"):
            cut_off = self.random.uniform(*CUT_OFF_AT_CLAIM)
            claimant.members.cut_off(cut_off, after=0.0)
            claimant.journal.lag(cut_off + self.random.uniform(*LAG_BEYOND))

    def _published(self, topic: str, partition: int, entry: StreamEntry, sent: float) -> None:
        book = self.books["chat" if topic == chat.TOPIC else "money"]
        if not book.streamed(partition, entry, sent) or topic != money.TOPIC:
            return
        record = journal.StreamRecord.FromString(entry.data)
        place = (record.position.offset, record.position.index)
        target = partition_of_id(PublicEvent.FromString(record.event).key, self.chat.partitions)
        cards = self.chat_ledger.cards[target, partition]
        made = lambda: place in cards  # noqa: E731
        self.books["chat"].owe(partition, "reactor/cards", (entry.offset, 0), f"card of {partition}/{place}", made)

    def _chat_cursor(self, partition: int, name: str, cursor: Cursor) -> None:
        """A cursor of cards for one target must not name a card that the target lacks."""
        self.books["chat"].cursor_moves(partition, name, cursor)
        if name == SPREADING:
            moved_to = (cursor.position.offset, cursor.position.event_index)
            for user in sorted(self.chat_ledger.cursor_moves(partition, moved_to)):
                self.crowd.told(INBOX, user)
        if (
            name.startswith(CARDS)
            and tuple(cursor.last) not in self.chat_ledger.cards[int(name[len(CARDS) :]), partition]
        ):
            raise Violation(f"chat/{partition}: {name} names {cursor.last}, which was not made")

    def _row_lands(self, partition: int, row: Row, by: str) -> None:
        self.chat_ledger.check_row(row.key, row.row, row.fields)
        self.world.faults.fired["rows_of_the_deposed"] += by != self.chat.claimed[partition]

    # ---- processes

    def start(self, service: Service, owned: Sequence[int], *, rings: Sequence[int] = RINGS) -> Process:
        """Starts a process that owns partitions. `rings`: how many blocks it may keep at hand."""
        draw = self.random
        name = f"{service.name}-{next(self._numbers)}"
        self.directory.beats[name] = self.world.now
        recent = RecentBounds(
            blocks_max=draw.choice(rings), ring_frames_max=draw.choice((1, 3, 256)),
            queue_frames_max=draw.choice((1, 3, 256)), idle_keys_max=draw.choice((0, 1, 10_000)),
            row_keys_max=draw.choice((1, 4_000)),
        )  # fmt: skip
        return Process(
            self.world, name, service, owned, self.topics, self.directory, recent=recent,
            beat_interval_ms=draw.choice((100, 300)),
            projection_documents_max=draw.choice((2, 2_000)), projection_linger_ms=draw.choice((5, 100, 600)),
            ahead_documents_max=draw.choice((0, 1, 2, 200)),
            reclaim_after_ms=1_000 if service is self.money and draw.random() < 0.3 else None,
        )  # fmt: skip

    def somebody(
        self, service: Service, by: random.Random, usual: Process | None = None, *, knows_silence: bool = False
    ) -> Process | None:
        """Any process of a service: clients guess, and mostly stay with whom they know. Only those who know nobody's
        silence go on asking who has expired."""
        running = [p for p in service.processes if not p.ended]
        if knows_silence:
            running = [p for p in running if not self.directory.silent(p.name)] or running
        if usual in running and by.random() < STICKY:
            return usual
        return by.choice(running) if running else None

    def disturb(self, service: Service) -> None:
        """What befalls a service in a moment."""
        happens, draw = self.world.faults.happens, self.random
        running = service.processes
        for process in running:
            self._check_alarms(process)
        awake = [p for p in running if not p.loop.paused and not p.draining]
        if running and happens("crash"):
            draw.choice(running).crash()
        if awake and happens("pause"):
            draw.choice(awake).pause(draw.choice(PAUSES))
        if awake and happens("cut_off"):
            after = draw.uniform(*SLOW_FIRST) if happens("slow_before_cut_off") else 0.0
            self._cut_off(draw.choice(awake), after)
        if awake and happens("drain"):
            draw.choice(awake).drain()
        if happens("journal_loses_flight"):
            service.log.lose_flight()
        if happens("store_fails_over"):
            self.world.note(f"{service.name}: the store loses {service.servers.fail_over()} writes")
        self._let_go(service)
        self._fill(service, take_over=happens("take_over"))

    def _cut_off(self, process: Process, after: float) -> None:
        """A link breaks, for long or not; watchers lose theirs and are back when the last beat is no longer fresh."""
        seconds = CUT_OFF_SHORT if self.random.random() < 0.5 else CUT_OFF
        process.members.cut_off(self.random.uniform(*seconds), after=after)
        for watcher in itertools.chain(*self.watchers.values()):
            if watcher.watches(process):
                self.world.soon(after + BACK[0], after + BACK[1], watcher.again, self.random)

    def _check_alarms(self, process: Process) -> None:
        """Nothing stops for a damage that is none."""
        if process.alarms and not self.books[process.service.name].cut:
            raise Violation(f"{process.name} finds its log damaged, which is not: {process.alarms[0]}")

    def _let_go(self, service: Service) -> None:
        """Whoever was deposed everywhere and does not start anew is started anew by others."""
        for process in list(service.processes):
            if process.host.config.reclaim_after_ms is None and process.deposed:
                process.crash()

    def _fill(self, service: Service, *, take_over: bool) -> None:
        """Starts a process for what nobody seems to own, or anew for what is owned where take-over may happen."""
        if len(service.processes) >= PROCESSES_MAX:
            return
        free = [n for n in range(service.partitions) if self._may_claim(service, n, take_over=take_over)]
        if free and (take_over or self.random.random() < self._eagerness):
            self.start(service, self.shares(free)[0])

    def shares(self, partitions: Sequence[int]) -> list[Sequence[int]]:
        """Partitions for one process, or for two: then what one's events cause is sent to the other."""
        if len(partitions) < 2 or self.random.random() < 0.5:
            return [partitions]
        shares = [partitions[::2], partitions[1::2]]
        self.random.shuffle(shares)
        return shares

    def _may_claim(self, service: Service, partition: int, *, take_over: bool) -> bool:
        """Owners that answer reads by their heartbeat are succeeded only once they have been silent long enough."""
        owners = [p for p in service.processes if partition in p.owned and not p.gave_up(partition)]
        if service.read_policy == "heartbeat":
            return all(self.directory.silent(p.name) for p in owners)
        return take_over or not owners

    # ---- what clients were told

    async def submitted(self, target: Process, request: Request) -> Outcome:
        """Has a command decided, and judges the outcome as it leaves."""
        service = target.service
        partition = partition_of_id(request.body.key, service.partitions)  # type: ignore[attr-defined]
        outcome = await target.host.submit(partition, replace(request, deadline_ms=target.host.now_ms + DEADLINE_MS))
        book = self.books[service.name]
        if partition in book.cut:
            landed_before = (request.actor.user, request.request_id) in book.entries
            if outcome.entry is not None and not outcome.replayed and not landed_before:
                raise Violation(f"{target.name} decides upon a log that was cut: {request.body}")
            return outcome
        book.answered(request.actor.user, request.request_id, outcome)
        return outcome

    def read_answered(self, target: Process, partition: int) -> None:
        """The answer of a query leaves. What it shows is judged by whoever asked."""

    def learned(self, wish: Wish) -> None:
        """A client knows the fate of its wish: readers from now on must see it."""
        if wish.outcome is None or wish.outcome.entry is None or not wish.outcome.entry.events.events:
            return
        written = self.books[wish.service.name].entries[wish.actor, wish.request_id]
        ledger = self.money_ledger if wish.service is self.money else self.chat_ledger
        told = ledger.versions.get((written.partition, written.place))
        if told is not None:
            self.tell(*told)

    def tell(self, key: str, version: int) -> None:
        """Somebody knows this version of a key."""
        self.told[key] = max(version, self.told.get(key, 0))

    def inbox(self, user: str) -> dict[str, dict[str, bytes]]:
        """A user's rows, as the store holds them for good."""
        return self.chat.servers.confirmed_rows(partition_of_id(user, self.chat.partitions), user)

    def inbox_text(self, user: str) -> dict[bytes, bytes]:
        """The same as a watcher knows it: b"row field" -> value."""
        return lines_of(text_of(self.inbox(user)))

    def something_more(self) -> list[tuple[Service, Command]]:
        """Something to decide for every partition."""
        said = [(self.chat, Command(kind="say", key=room, text="something more")) for room in self.rooms]
        return said + [(self.money, Command(kind="fund", key=account, amount=1)) for account in self.accounts]

    def funds(self) -> list[Command]:
        """What every account begins with."""
        return [Command(kind="fund", key=account, amount=60) for account in self.accounts]


def at(name: str, partition: int, partitions: int) -> str:
    """A name like this that lives in a partition."""
    return next(n for i in itertools.count() if partition_of_id(n := f"{name}.{i}", partitions) == partition)
