"""What the events of the two services add up to, by rules written down a second time: sums, orders, holders.

Each also says what an event obliges its followers to do.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from chapar_sourcing.domain import When, ordered
from chapar_sourcing.partitions import partition_of_id
from tests.simulation.path import chat, money
from tests.simulation.path.books import Book, Place
from tests.simulation.playing import Violation

Rows = Callable[[str], dict[str, dict[str, bytes]]]
"""A user's rows, as the store holds them for good."""


class _Advance(NamedTuple):
    """A field of a row that has to be brought to an inbox; `change`: the user's last change in the room by then."""

    place: Place
    user: str
    room: str
    field: str
    value: bytes
    change: int


class Page(NamedTuple):
    """Which messages of a room are read: `after` < id < `before`, at most `limit`, the newest first or last."""

    after: str = ""
    before: str | None = None
    descending: bool = False
    limit: int = 1_000

    def holds(self, identity: str) -> bool:
        """Whether a message is within its bounds."""
        return identity > self.after and (self.before is None or identity < self.before)


class MoneyLedger:
    """Sums."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self.book: Book | None = None
        self.balances: defaultdict[str, int] = defaultdict(int)
        self.history: defaultdict[str, list[int]] = defaultdict(lambda: [0])
        """An account's balance after each of its events."""
        self.versions: dict[tuple[int, Place], tuple[str, int]] = {}
        """Where a transfer stands -> its payer, and the number of the payer's changes with it."""
        self.funded = 0
        self.sent: defaultdict[tuple[int, int], list[tuple[str, str, int]]] = defaultdict(list)
        self.applied: defaultdict[tuple[int, int], int] = defaultdict(int)

    @property
    def in_transit(self) -> int:
        """Rials between partitions."""
        return sum(amount for pair, sent in self.sent.items() for _, _, amount in sent[self.applied[pair] :])

    def _book(self, account: str, amount: int) -> None:
        self.balances[account] += amount
        self.history[account].append(self.balances[account])
        if self.balances[account] < 0:
            raise Violation(f"{account} is below zero")

    def apply(self, partition: int, place: Place, event: Any, time_ms: int) -> None:
        """Books an event."""
        assert self.book is not None, "wired"
        match event.kind:
            case "funded":
                self.funded += event.amount
                self._book(event.key, event.amount)
            case "moved":
                self.balances[event.key] -= event.amount
                if event.key != event.other:
                    self._book(event.key, 0)
                self._book(event.other, event.amount)
            case "sent":
                self._book(event.key, -event.amount)
                pair = (partition, partition_of_id(event.other, self._partitions))
                self.sent[pair].append((event.key, event.other, event.amount))
                number = len(self.sent[pair])
                if event.number != number:
                    raise Violation(f"pair {pair}: transfer {number} calls itself {event.number}")
                done = lambda: self.applied[pair] >= number  # noqa: E731
                self.book.owe(partition, "reactor/crossing", place, f"transfer {number} of {pair}", done)
            case "applied":
                pair = (partition_of_id(event.other, self._partitions), partition)
                self.applied[pair] += 1
                number = self.applied[pair]
                if event.number != number or len(self.sent[pair]) < number:
                    raise Violation(f"pair {pair}: {event.number} is applied where {number} is next")
                if self.sent[pair][number - 1] != (event.other, event.key, event.amount):
                    raise Violation(f"pair {pair}: what is applied as {number} was never sent")
                self._book(event.key, event.amount)
            case _:
                raise Violation(f"no such event: {event.kind}")
        self.versions[partition, place] = (event.key, len(self.history[event.key]) - 1)
        if sum(self.balances.values()) + self.in_transit != self.funded:
            raise Violation(f"money is not conserved at {partition}/{place}")
        published = money.public_event(event, When(time_ms))
        if published is not None:
            self.book.publish(partition, published[0], place, published[1].SerializeToString())


class ChatLedger:
    """Rooms, titles, names, cards."""

    def __init__(self, partitions: int, rooms: Sequence[str], rows: Rows) -> None:
        self._partitions = partitions
        self._rooms = rooms
        self._rows = rows
        self.book: Book | None = None
        self.said: defaultdict[str, list[str]] = defaultdict(list)
        self.on_unsaid: Callable[[str], None] = lambda room: None
        """Given the room where a message was taken back."""
        self.talks: defaultdict[str, list[tuple[int, str | None]]] = defaultdict(list)
        """room -> what happened to which message: its text, or None where it was taken back"""
        self.versions: dict[tuple[int, Place], tuple[str, int]] = {}
        """Where something was said or taken back -> the room, and how often that had happened there with it."""
        self._advances: defaultdict[int, deque[_Advance]] = defaultdict(deque)
        """Source partition -> rows to bring, in order."""
        self.brought: defaultdict[str, dict[bytes, bytes]] = defaultdict(dict)
        """user -> b"room field" -> the least that every reader of the inbox sees from now on"""
        self.members: defaultdict[str, dict[str, tuple[int, bool]]] = defaultdict(dict)
        """room -> user -> (change, inside)"""
        self.changes: defaultdict[str, int] = defaultdict(int)
        self.titles: dict[str, int] = {}
        self.noted: dict[tuple[str, str], int] = {}
        self.wishes: dict[str, tuple[int, str, str]] = {}
        """home -> (attempt, name, state)"""
        self.names: dict[str, tuple[str, int]] = {}
        """name -> (home, attempt) it is kept for"""
        self.asked: dict[tuple[str, str], int] = {}
        """(name, home) -> the highest attempt that the name's partition has judged"""
        self.ended: set[tuple[str, str, int]] = set()
        self.settled: set[tuple[str, int]] = set()
        self.cards: defaultdict[tuple[int, int], list[Place]] = defaultdict(list)
        """(target partition, source partition) -> source positions of the cards, in order"""

    def apply(self, partition: int, place: Place, event: Any, time_ms: int) -> None:
        """Takes in an event."""
        assert self.book is not None, "wired"
        match event.kind:
            case "said":
                self._said(partition, place, event)
            case "unsaid":
                self._talked(partition, place, event, None)
            case "entered":
                self._entered(partition, place, event)
            case "entitled":
                self._entitled(partition, place, event)
            case "noted":
                if event.number <= self.noted.get((event.key, event.other), 0):
                    raise Violation(f"{event.key} goes back to title {event.number} of {event.other}")
                self.noted[event.key, event.other] = event.number
            case "wished" | "held" | "denied" | "expired" | "dropped":
                self._wished(partition, place, event)
            case _:
                self._kept(partition, place, event)
        published = chat.public_event(event, When(time_ms))
        if published is not None:
            self.book.publish(partition, published[0], place, published[1].SerializeToString())

    def check_row(self, user: str, room: str, fields: Mapping[str, bytes]) -> None:
        """A row says nothing that is not in the room's log."""
        if fields.get("head", b"") > ordered(len(self.said[room])).encode():
            raise Violation(f"the inbox of {user} is told {dict(fields)} of {room}, which has {len(self.said[room])}")

    def is_told(self, user: str, name: bytes, value: bytes) -> bool:
        """Whether a field of an inbox, b"room field", says what the room's log says."""
        room, field = name.decode().split(" ")
        if field == "head":
            return value <= ordered(len(self.said[room])).encode()
        return value[:-1] <= ordered(self.members[room].get(user, (0, False))[0]).encode()

    def cursor_moves(self, partition: int, position: Place) -> set[str]:
        """A reactor says that its advances up to a place have arrived; returns whose inboxes were brought something."""
        waiting = self._advances[partition]
        brought: set[str] = set()
        while waiting and waiting[0].place <= position:
            one = waiting.popleft()
            if one.change == self.members[one.room][one.user][0]:  # who leaves may lack what came before
                held = self.brought[one.user]
                name = f"{one.room} {one.field}".encode()
                held[name] = max(one.value, held.get(name, b""))
                brought.add(one.user)
        return brought

    def head(self, room: str, talks: int) -> int:
        """How many messages there had been in a room after so many talks."""
        return sum(text is not None for _, text in self.talks[room][:talks])

    def page(self, room: str, talks: int, page: Page) -> list[str]:
        """The messages of a page of a room as it was after so many talks."""
        texts: dict[str, str | None] = {}
        for number, text in self.talks[room][:talks]:
            texts[ordered(number)] = text
        found = [
            text
            for identity, text in sorted(texts.items(), reverse=page.descending)
            if text is not None and page.holds(identity)
        ]
        return found[: page.limit]

    def _talked(self, partition: int, place: Place, event: Any, text: str | None) -> None:
        talks = self.talks[event.key]
        if text is None and (event.number, None) in talks:
            raise Violation(f"{event.key}: message {event.number} is taken back twice")
        talks.append((event.number, text))
        if text is None:
            self.on_unsaid(event.key)
        self.versions[partition, place] = (event.key, len(talks))

    def _said(self, partition: int, place: Place, event: Any) -> None:
        self._talked(partition, place, event, event.text)
        head = ordered(event.number).encode()
        for user, (change, inside) in self.members[event.key].items():
            if inside:
                self._advances[partition].append(_Advance(place, user, event.key, "head", head, change))
        said = self.said[event.key]
        said.append(event.text)
        if event.number != len(said):
            raise Violation(f"{event.key}: message {len(said)} calls itself {event.number}")
        if not event.HasField("creation"):
            return
        creation = event.creation
        cards = self.cards[partition, creation.source_partition]
        previous = (creation.previous.offset, creation.previous.index) if creation.HasField("previous") else None
        if previous != (cards[-1] if cards else None):
            raise Violation(f"{event.key}: a card follows {previous}, the last one was {cards[-1:]}")
        cards.append((creation.position.offset, creation.position.index))
        if len(cards) > 1 and cards[-1] <= cards[-2]:
            raise Violation(f"{event.key}: a card is made twice or out of order: {cards[-2:]}")

    def _entered(self, partition: int, place: Place, event: Any) -> None:
        assert self.book is not None, "wired"
        room, user, change = event.key, event.other, event.number
        self.changes[room] += 1
        if change != self.changes[room]:
            raise Violation(f"{room}: change {self.changes[room]} calls itself {change}")
        self.members[room][user] = (change, event.flag)
        row = ordered(change).encode() + (b"+" if event.flag else b"-")
        self._advances[partition].append(_Advance(place, user, room, "change", row, change))
        least = ordered(change).encode()
        done = lambda: self._rows(user).get(room, {}).get("change", b"") >= least  # noqa: E731
        self.book.owe(partition, "reactor/spreading", place, f"{room} in the inbox of {user} as of {change}", done)

    def _entitled(self, partition: int, place: Place, event: Any) -> None:
        assert self.book is not None, "wired"
        user, version = event.key, event.number
        if version != self.titles.get(user, 0) + 1:
            raise Violation(f"{user}: title {version} follows {self.titles.get(user)}")
        self.titles[user] = version
        done = lambda: all(self.noted.get((room, user), 0) >= version for room in self._rooms)  # noqa: E731
        self.book.owe(partition, "reactor/spreading", place, f"title {version} of {user} in all rooms", done)

    def _wished(self, partition: int, place: Place, event: Any) -> None:
        assert self.book is not None, "wired"
        home, name, attempt = event.key, event.other, event.number
        before = self.wishes.get(home, (0, "", "dropped"))
        fits = {
            "wished": before[2] not in ("wishing", "held") and attempt == before[0] + 1,
            "dropped": before == (attempt, name, "held"),
        }.get(event.kind, before == (attempt, name, "wishing"))
        if not fits:
            raise Violation(f"{home}: {event.kind} {attempt} after {before}")
        self.wishes[home] = (attempt, name, "wishing" if event.kind == "wished" else event.kind)
        if event.kind == "held":
            holders = [h for h, (_, n, state) in self.wishes.items() if n == name and state == "held"]
            if len(holders) > 1:
                raise Violation(f"{name} is held by {holders}")
            if self.names.get(name) != (home, attempt):
                raise Violation(f"{home} holds {name}, which is kept for {self.names.get(name)}")
        if event.kind == "wished":
            done = lambda: self.asked.get((name, home), 0) >= attempt  # noqa: E731
            self.book.owe(partition, "reactor/spreading", place, f"{name} asked for {home}, {attempt}", done)
        if event.kind in ("expired", "dropped"):
            gone = lambda: (name, home, attempt) in self.ended  # noqa: E731
            self.book.owe(partition, "reactor/spreading", place, f"{name} let go by {home}, {attempt}", gone)

    def _kept(self, partition: int, place: Place, event: Any) -> None:
        assert self.book is not None, "wired"
        name, home, attempt = event.key, event.other, event.number
        kept = self.names.get(name)
        match event.kind:
            case "reserved" if kept is not None:
                raise Violation(f"{name} is reserved for {home} while it is kept for {kept}")
            case "reserved":
                self.names[name] = (home, attempt)
            case "confirmed" | "released" if kept != (home, attempt):
                raise Violation(f"{name} is {event.kind} for {home}, {attempt}, while it is kept for {kept}")
            case "released":
                del self.names[name]
        self.asked[name, home] = max(self.asked.get((name, home), 0), attempt)
        if event.kind in ("released", "forgone"):
            self.ended.add((name, home, attempt))
        if event.kind in ("reserved", "denied_there"):
            done = lambda: self.wishes[home][0] > attempt or self.wishes[home][2] != "wishing"  # noqa: E731
            self.book.owe(partition, "reactor/spreading", place, f"{home} told of {name}, {attempt}", done)
