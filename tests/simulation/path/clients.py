"""Callers with crooked clocks who repeat each request until they know what became of it, and judge what they read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Key, ordered
from chapar_sourcing.hosting import Request
from chapar_sourcing.owner import Outcome
from chapar_sourcing.partitions import partition_of_id
from chapar_sourcing.refusing import REQUEST_ID_IN_FUTURE, TRANSIENT
from chapar_sourcing.requests import make_request_id
from chapar_sourcing.view import View
from tests.simulation.path.chat import Room
from tests.simulation.path.ledgers import Page
from tests.simulation.path.messages import Command
from tests.simulation.path.money import Account
from tests.simulation.path.process import Process, Service, call
from tests.simulation.path.views import lines_of, text_of
from tests.simulation.playing import Violation

if TYPE_CHECKING:
    from tests.simulation.path.stage import Stage

SKEWS_MS = (0, 0, 0, -4_000, 3_000, 9_000)
DEADLINE_MS = 1_500
PATIENCE = (0.3, 2.0)
THINK = (0.0, 0.12)
ACCOUNT, ROOM, INBOX = "account", "room", "inbox"


@dataclass
class Wish:
    """One request and its fate."""

    service: Service
    body: Any
    actor: str
    request_id: bytes
    tries: int = 0
    outcome: Outcome | None = None
    """The final one, from the log or a refusal."""


@dataclass
class Client:
    """Sends its wishes one after the other."""

    stage: Stage
    name: str
    wishes_left: int
    skew_ms: int
    reads: float = 0.25
    """How many of its requests are queries."""
    think: tuple[float, float] = THINK
    """How long it does nothing between two of them."""
    wishes: list[Wish] = field(default_factory=list)
    done: bool = False
    then: Callable[[], None] | None = None
    """What follows a wish; by default the next one."""
    usual: dict[str, Process] = field(default_factory=dict)
    """Whom it asked last of each service."""
    _try: int = 0

    # ---- one after the other

    def __post_init__(self) -> None:
        self.random = self.stage.world.stream(self.name)

    def next(self) -> None:
        """The next wish, or the end."""
        if not self.wishes_left:
            self.done = True
            return
        self.wishes_left -= 1
        if not self.stage.world.faults.wished():
            self.next()
            return
        if self.random.random() < self.reads:
            draw, stage = self.random, self.stage
            kind = draw.choice((ACCOUNT, ROOM, INBOX))
            keys = {ACCOUNT: stage.accounts, ROOM: stage.rooms, INBOX: stage.users}[kind]
            reading = Reading(self, kind, draw.choice(keys))
            reading.ask(self.somebody(reading.service))
            return
        self.ask(*self._drawn())

    def ask(self, service: Service, body: Any) -> None:
        """Wishes something, until it is known what became of it."""
        self.wishes.append(Wish(service, body, self.name, self._new_id()))
        self.send()

    def _drawn(self) -> tuple[Service, Any]:
        stage, draw = self.stage, self.random
        if draw.random() < 0.4:
            payer, payee = draw.choice(stage.accounts), draw.choice(stage.accounts)
            text = draw.choice(stage.rooms) if draw.random() < 0.5 else ""
            return stage.money, Command(kind="transfer", key=payer, other=payee, amount=draw.randint(1, 40), text=text)
        room = draw.choice((stage.rooms[0], *stage.rooms))
        user, name = draw.choice(stage.users), draw.choice(stage.names)
        number = draw.randint(1, 1 + len(stage.chat_ledger.said[room]))
        body = draw.choice([
            Command(kind="say", key=room, text=f"{self.name}.{len(self.wishes)}"),
            Command(kind="say", key=room, text=f"{self.name}.{len(self.wishes)}"),
            Command(kind="say", key=room, text=f"{self.name}.{len(self.wishes)}"),
            Command(kind="unsay", key=room, number=number),
            Command(kind="enter", key=room, other=user, flag=draw.random() < 0.7),
            Command(kind="enter", key=room, other=user, flag=draw.random() < 0.9),
            Command(kind="entitle", key=user, text=f"title {len(self.wishes)}"),
            Command(kind="wish", key=user, other=name),
            Command(kind="drop", key=user),
            Command(kind="expire", key=user),
        ])  # fmt: skip
        return stage.chat, body

    def _new_id(self) -> bytes:
        world = self.stage.world
        return make_request_id(world.now_ms + self.skew_ms, self.random.randbytes(10))

    # ---- one wish

    def send(self) -> None:
        """Tries the last wish, again if need be."""
        wish, world = self.wishes[-1], self.stage.world
        wish.tries += 1
        self._try += 1
        number = self._try

        def answered(outcome: Outcome | str) -> None:
            if wish.outcome is None and wish is self.wishes[-1]:
                self._answered(wish, number, outcome)

        def late() -> None:
            if number == self._try and wish.outcome is None:
                self.send()

        world.soon(*PATIENCE, late, self.random)
        target = self.somebody(wish.service)
        if target is not None:
            request = Request(
                actor=journal.Actor(user=self.name), request_id=wish.request_id,
                content_hash=wish.body.SerializeToString(), content_key_id="k", body=wish.body, deadline_ms=0,
            )  # fmt: skip
            call(world, "client", target, lambda: self.stage.submitted(target, request), answered, self.random)

    def somebody(self, service: Service) -> Process | None:
        """Whom to ask."""
        found = self.stage.somebody(service, self.random, self.usual.get(service.name), knows_silence=self.reads < 1.0)
        if found is not None:
            self.usual[service.name] = found
        return found

    def _answered(self, wish: Wish, number: int, outcome: Outcome | str) -> None:
        world = self.stage.world
        reason = outcome if isinstance(outcome, str) else outcome.reason
        if reason == REQUEST_ID_IN_FUTURE and isinstance(outcome, Outcome) and wish.tries == 1 and outcome.detail:
            self.skew_ms = int(outcome.detail["server_time_ms"]) - world.now_ms
            wish.request_id = self._new_id()
        if reason in TRANSIENT:
            self.usual.pop(wish.service.name, None)
            if number == self._try:
                self._try += 1
                world.soon(0.02, 0.25, self.send, self.random)
            return
        assert isinstance(outcome, Outcome), "a reason of the engine is transient here"
        wish.outcome = outcome
        self.stage.learned(wish)
        world.note(f"{self.name} {wish.body.kind} {wish.body.key}: {reason or outcome.position}")
        world.soon(*self.think, self.then or self.next, self.random)


class RoomDamaged(Exception):
    """What a room says of its messages is not what they are."""


class Reading:
    """One query: what it shows is at least as new as what anybody was told before it began, and a reader who finds that
    something cannot be says so by an exception: it leaves only where that is so."""

    def __init__(self, client: Client, kind: str, key: str) -> None:
        stage = client.stage
        self._client = client
        self._stage = stage
        self._kind = kind
        self.service = stage.money if kind == ACCOUNT else stage.chat
        self._key = key
        self._page = self._drawn_page(len(stage.chat_ledger.said[key])) if kind == ROOM else Page()
        self._told = stage.told.get(self._key, 0)
        self._brought = dict(stage.chat_ledger.brought[self._key]) if kind == INBOX else {}
        self._open = True

    def _drawn_page(self, messages: int) -> Page:
        draw = self._client.random
        somewhere = ordered(draw.randint(0, messages))
        page = Page(descending=draw.random() < 0.5, limit=draw.choice((1, 2, 3, 1_000)))
        if draw.random() < 0.5:
            return page
        return page._replace(before=somewhere) if page.descending else page._replace(after=somewhere)

    async def _read(self, view: View) -> tuple[int, Any]:
        if self._kind == INBOX:
            return 0, lines_of(text_of(await view.rows(self._key)))
        return await (self._balance(view) if self._kind == ACCOUNT else self._talk(view))

    async def _balance(self, view: View) -> tuple[int, int]:
        key = Key("account", self._key)
        found = (await view.get(key)).get(key)
        account = found if isinstance(found, Account) else Account()
        return account.changes, account.balance

    async def _talk(self, view: View) -> tuple[int, list[str]]:
        page, room = self._page, await self._room(view)
        said = await view.scan(
            "said", self._key, after=page.after, before=page.before, descending=page.descending, limit=page.limit
        )
        texts = {key.id: message.text for key, message in said}  # type: ignore[attr-defined]
        counted = [i for i in map(ordered, range(1, room.head + 1)) if page.holds(i)]
        lacking = [i for i in counted if i not in texts] if len(said) < page.limit else []
        # Some may have been taken back, the last of them before the page was read: what is counted now is enough.
        has_hole = bool(lacking) and len(lacking) > (await self._room(view)).taken_back
        if has_hole or texts.get(ordered(room.head), room.last) != room.last:
            self._stage.world.faults.fired["rooms_damaged"] += 1
            raise RoomDamaged(f"{self._key} is {room}, and its messages are {texts}")
        return room.talks, list(texts.values())

    async def _room(self, view: View) -> Room:
        key = Key("room", self._key)
        found = (await view.get(key)).get(key)
        return found if isinstance(found, Room) else Room()

    def ask(self, target: Process | None) -> None:
        """Asks a process, if there is one; gives up after a while."""
        self._stage.world.soon(*PATIENCE, self._end, self._client.random)
        if target is None:
            return
        partition = partition_of_id(self._key, self.service.partitions)

        async def work() -> Any:
            seen = await target.host.read(partition, self._read, deadline_ms=target.host.now_ms + DEADLINE_MS)
            self._stage.read_answered(target, partition)
            self._judge(target, seen)
            return ""

        def told(answer: object) -> None:
            if answer:
                self._client.usual.pop(self.service.name, None)
            self._end()

        call(self._stage.world, "client", target, work, told, self._client.random)

    def _judge(self, target: Process, seen: tuple[int, Any]) -> None:
        """Called as the answer leaves the process."""
        version, value = seen
        world = self._stage.world
        world.note(f"{target.name} shows {self._key} as of {version}")
        if version < self._told:
            raise Violation(f"{target.name} shows {self._key} as of {version}, it was {self._told} before")
        if not self._is_right(version, value):
            raise Violation(f"{target.name} shows {self._key} as of {version}: {value}, which never was so")
        if self._kind == INBOX:
            behind = {name: least for name, least in self._brought.items() if value.get(name, b"") < least}
            if behind:
                raise Violation(f"{target.name} shows {value} to {self._key}, who had been brought {behind}")
        self._stage.tell(self._key, version)

    def _is_right(self, version: int, value: Any) -> bool:
        """Whether the logs say so. A page may be younger than the version that was read before it."""
        ledger = self._stage.chat_ledger
        match self._kind:
            case "account":
                history = self._stage.money_ledger.history[self._key]
                return version < len(history) and history[version] == value
            case "room":
                talks = range(version, len(ledger.talks[self._key]) + 1)
                return any(ledger.page(self._key, n, self._page) == value for n in talks)
            case _:
                return all(ledger.is_told(self._key, name, field) for name, field in value.items())

    def _end(self) -> None:
        if self._open:
            self._open = False
            self._stage.world.soon(*self._client.think, self._client.next, self._client.random)
