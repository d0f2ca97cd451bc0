"""A message and a payment, each followed by one trace through real processes, read back from a receiver of OTLP; and
what must be in no span, no line of a log and no metric, planted wherever people and strangers can put it."""

from __future__ import annotations

import asyncio
import base64
import secrets
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from chapar_chassis.ports import REVOCATIONS_TOPIC
from chapar_client.demo import Person, Stage, eventually
from chapar_client.sdk import Client, StateStore
from chapar_client.up import OWNERS, Addresses, LogLine
from chapar_gateway.deliveries import DELIVER, DROPPED, LEFT, WRITTEN
from chapar_sourcing.partitions import partition_of
from chapar_sourcing.tracing import STEPS
from tests.e2e.kit import E2E, Status, bearer, raw_call
from tests.e2e.otlp_sink import OtlpSink

pytestmark = E2E[1:]

SEND = "/chapar.messaging.v1.MessagingService/SendMessage"
PARTITIONS = 16
WAIT_S = 90.0
WORDS: Mapping[str, Collection[str]] = {
    "status": {status.name for status in Status},
    "outcome": {WRITTEN, DROPPED, LEFT},
    "topic": {*(f"{owner}.events.v1" for owner in OWNERS), REVOCATIONS_TOPIC},
    "reaction": {
        "carry-sign-ins", "deliver-codes", "release-phones", "carry-reservations", "fan_out", "payment_cards",
        "transits", "memberships",
    },
}  # fmt: skip
"""All that an attribute which is no number may say."""

Way = tuple[str, ...]
"""A step's, from the first of its trace on."""


def below(*steps: str, each: Sequence[Sequence[str]]) -> set[Way]:
    """The steps one below the other, and below the last of them each of these branches."""
    trunk = {steps[:length] for length in range(1, len(steps) + 1)}
    return trunk | {(*steps, *branch[:length]) for branch in each for length in range(1, len(branch) + 1)}


SHOWN = ("messaging: react fan_out", "messaging: advance", "gateway: deliver")
MESSAGE = below(
    "gateway: serve SendMessage", "gateway: call SendMessage", "messaging: serve SendMessage",
    each=[("messaging: append",), ("messaging: project",), SHOWN],
)  # fmt: skip
MOVED = ("payments: react transits",)
CARD = (*MOVED, "messaging: react payment_cards")
PAYMENT = below(
    "gateway: serve Transfer", "gateway: call Transfer", "payments: serve Transfer",
    each=[
        ("payments: append",), ("payments: project",),
        (*MOVED, "payments: append"), (*MOVED, "payments: project"), (*MOVED, "payments: publish"),
        (*CARD, "messaging: append"), (*CARD, "messaging: project"), (*CARD, *SHOWN),
    ],
)  # fmt: skip
"""The payee's partition takes the money in, and says so; the chat reads that."""
SIGN_IN = below(
    "gateway: serve StartSignIn", "gateway: call StartSignIn", "identity: serve StartSignIn",
    each=[("identity: append",), ("identity: project",)],
)  # fmt: skip


class Parent:
    """Which trace an app says it is in."""

    def __init__(self) -> None:
        self.trace_id, self.span_id = "", ""

    def begin(self) -> tuple[str, str]:
        """A new trace, recorded on the app's side."""
        self.trace_id, self.span_id = secrets.token_hex(16), secrets.token_hex(8)
        return self.trace_id, self.span_id

    def __call__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-01" if self.trace_id else ""


@dataclass(frozen=True, slots=True)
class Told:
    """All that the processes told, up to their end."""

    sink: OtlpSink
    lines: Sequence[LogLine]
    pages: Mapping[str, str]
    """Process -> its page of metrics."""
    traces: Mapping[str, tuple[str, str]]
    """What was done -> the trace's id, and the app's own span."""
    planted: Mapping[str, str | bytes]
    users: Sequence[str]

    def paths(self, what: str) -> list[Way]:
        """Of one trace."""
        return self.sink.paths(*self.traces[what])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def told(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Told]:
    """Sign-in, a message, a payment and much that is wrong, at processes that record every call and log everything."""
    with OtlpSink() as sink:
        environment = {"CHAPAR_OTLP": sink.address, "CHAPAR_TRACE_PER_MILLE": "1000", "CHAPAR_LOG_LEVEL": "debug"}
        lines: list[LogLine] = []
        async with Stage(tmp_path_factory.mktemp("traced"), environment=environment, on_line=lines.append) as stage:
            story = Story(stage, sink)
            await story.play()
            pages = dict(await asyncio.gather(*map(_page, stage.up.addresses.items())))
        yield Told(sink, lines, pages, story.traces, story.planted, story.users)


class Story:
    """What people do, with words that must stay theirs."""

    def __init__(self, stage: Stage, sink: OtlpSink) -> None:
        self.stage = stage
        self.sink = sink
        self.traces: dict[str, tuple[str, str]] = {}
        self.planted: dict[str, str | bytes] = {}
        self.users: list[str] = []
        self._parent = Parent()

    def plant(self, what: str, value: str | bytes) -> str:
        """Something to search for."""
        self.planted[what] = value
        return value if isinstance(value, str) else ""

    async def play(self) -> None:
        """All of it; returns when every trace is whole."""
        sara, ali = await self._sign_in()
        await ali.read_from_now()
        room = sara.with_(ali)
        await sara.say(room, self.plant("text", "نهان‌واژه‌ی گفت‌وگو"))
        await ali.message(room, 1)
        await self._traced("message", sara.say(room, self.plant("traced text", "رازِ دنبال‌شده 7351")), MESSAGE)
        await sara.client.messaging.create_group(self.plant("title", "گروهِ پنهان 4417"), [ali.user_id])
        await sara.client.identity.set_username(self.plant("username", "hidden_name_8812"))
        await self.stage.cash_in(sara, 1_000_000)
        memo = self.plant("memo", "بابتِ رازِ 5590 ") + self.plant("card", "6037991234567893")
        await self._traced("payment", sara.client.payments.transfer(ali.user_id, 1_000, memo=memo), PAYMENT)
        await self._misbehave(sara)
        await self._hidden(sara)
        self.users += [sara.user_id, ali.user_id]

    async def _sign_in(self) -> tuple[Person, Person]:
        """Two whose wallets are at different partitions; the first one's app says which trace it is in."""
        sara = await self.stage.person(self.plant("name", "سارای‌ناپیدا"), phone=self.plant("phone", "+989127774411"))
        await sara.client.close()
        gateway, state = self.stage.up.gateway_address, StateStore(sara.folder)
        sara.client = await Client(gateway, state, trace_parent=self._parent).__aenter__()
        phone = self.plant("another phone", "+989127774422")
        await self._traced("sign-in", sara.client.identity.start_sign_in(phone), SIGN_IN)
        self.plant("code", await self.stage.code_for(phone))
        while True:
            ali = await self.stage.person("علی", device=self.plant("device", "hidden-device-9931"))
            if partition_of(ali.user_id, PARTITIONS) != partition_of(sara.user_id, PARTITIONS):
                return sara, ali

    async def _traced(self, what: str, doing: Awaitable[object], whole: set[Way]) -> None:
        trace_id, span_id = self.traces[what] = self._parent.begin()
        await doing
        self._parent.trace_id = ""

        async def arrived() -> bool:
            return whole <= set(self.sink.paths(trace_id, span_id))

        try:
            await eventually(arrived, f"the trace of a {what}", timeout_s=WAIT_S)
        except TimeoutError:
            missing = whole - set(self.sink.paths(trace_id, span_id))
            raise AssertionError(f"{what}: {sorted(missing)} did not come") from None

    async def _misbehave(self, sara: Person) -> None:
        """Calls as no app makes them."""
        gateway = self.stage.up.gateway_address
        rubbish = self.plant("rubbish", "rubbish-2206-swordfish")
        token = await bearer(sara)
        for name in ("traceparent", "tracestate", "baggage", "x-request-id", "grpc-trace-bin", "chapar-user"):
            value = base64.b64encode(rubbish.encode()) if name.endswith("-bin") else rubbish
            await raw_call(gateway, SEND, b"", (*token, (name, value)))  # type: ignore[arg-type]
        await raw_call(gateway, SEND, rubbish.encode(), token)
        await raw_call(gateway, SEND, b"", (("authorization", f"Bearer {rubbish}"),))
        await raw_call(gateway, f"/{rubbish}.v1.Service/{rubbish}", b"", token)

    async def _hidden(self, sara: Person) -> None:
        """Tokens and keys, as they lie in files."""
        session = await sara.client.session()
        self.plant("access token", session.access_token)
        self.plant("refresh token", session.refresh_token)
        for path in sorted((self.stage.data_dir / "secrets").rglob("*")):
            if path.is_file():
                for value in _secrets_in(path):
                    self.plant(f"{path.parent.name}/{path.name}", value)


def _secrets_in(path: Path) -> Iterator[str | bytes]:
    content = path.read_bytes().strip()
    if path.suffix in (".key", ".token"):
        yield content


async def _page(process: tuple[str, Addresses]) -> tuple[str, str]:
    name, at = process

    def read() -> str:
        with urllib.request.urlopen(f"http://{at.metrics_address}/metrics", timeout=30) as page:
            return str(page.read().decode())

    return name, await asyncio.to_thread(read)


def test_one_trace_follows_a_message_from_its_sender_to_its_reader(told: Told) -> None:
    assert set(told.paths("message")) == MESSAGE


def test_one_trace_follows_a_payment_into_the_chat(told: Told) -> None:
    assert set(told.paths("payment")) == PAYMENT


def test_a_sign_in_is_traced_as_far_as_it_goes(told: Told) -> None:
    assert set(told.paths("sign-in")) == SIGN_IN


@pytest.mark.parametrize("what", ["message", "payment"])
def test_steps_are_told_with_their_times(told: Told, what: str) -> None:
    trace_id, _ = told.traces[what]
    spans = {r.span.span_id: r for r in told.sink.received if r.span.trace_id.hex() == trace_id}
    roots = [r for r in spans.values() if r.span.parent_span_id not in spans]
    assert [root.step.partition(": ")[0] for root in roots] == ["gateway"]
    for received in spans.values():
        assert roots[0].span.start_time_unix_nano <= received.span.start_time_unix_nano
        assert received.span.start_time_unix_nano <= received.span.end_time_unix_nano


def test_spans_say_only_what_their_catalogue_allows(told: Told) -> None:
    allowed = {step.name: set(step.attributes) for step in (*STEPS.values(), DELIVER)}
    for received in told.sink.received:
        span = received.span
        assert received.attributes.keys() <= allowed.get(span.name, {"partition", "status"})
        assert not any((span.events, span.links, span.status.message, span.trace_state))
        assert [name for name, value in received.attributes.items() if not _is_known(name, value)] == []


def _is_known(name: str, value: object) -> bool:
    """Numbers, and words that are written in the code."""
    return isinstance(value, int) or value in WORDS.get(name, ())


def test_nothing_that_people_or_strangers_said_is_in_what_processes_tell(told: Told) -> None:
    assert len(told.planted) >= 20
    haystacks = dict(_haystacks(told))
    found = [
        (what, where)
        for what, value in told.planted.items()
        for where, haystack in haystacks.items()
        if any(form in haystack for form in _forms(value))
    ]
    assert found == []


def test_nobodys_id_is_in_a_span_or_a_metric(told: Told) -> None:
    haystacks = {where: haystack for where, haystack in _haystacks(told) if where != "logs"}
    assert [user for user in told.users for haystack in haystacks.values() if user.encode() in haystack] == []


def test_the_search_finds_what_is_there(told: Told) -> None:
    haystacks = dict(_haystacks(told))
    assert b"chapar.messaging.v1.MessagingService/SendMessage" in haystacks["spans"]
    assert b"chapar.messaging.v1.MessagingService/SendMessage" in haystacks["logs"]
    assert b"chapar.messaging.v1.MessagingService/SendMessage" in haystacks["metrics of messaging"]
    planted = next(value for what, value in told.planted.items() if what == "code")
    assert isinstance(planted, str)
    assert any(planted in line.text for line in told.lines if _is_delivery(line)), "codes are told to developers alone"


def _haystacks(told: Told) -> Iterator[tuple[str, bytes]]:
    yield "spans", b"".join(request.SerializeToString() for request in told.sink.requests)
    yield "logs", "\n".join(line.text for line in told.lines if not _is_delivery(line)).encode()
    for process, page in told.pages.items():
        yield f"metrics of {process}", page.encode()


def _is_delivery(line: LogLine) -> bool:
    """In development codes are delivered by a line of the log, which shows phone and code on purpose."""
    return line.event == "sign_in_code" and line.fields.keys() <= {
        "event", "level", "timestamp", "service", "phone", "code", "trace_id",
    }  # fmt: skip


def _forms(value: str | bytes) -> Iterator[bytes]:
    """Ways in which a value could be written."""
    plain = value.encode() if isinstance(value, str) else value
    encoded = base64.b64encode(plain), base64.urlsafe_b64encode(plain)
    yield from (plain, *(form.rstrip(b"=") for form in encoded), plain.hex().encode(), repr(plain)[2:-1].encode())
    if isinstance(value, str):
        yield value.encode("unicode_escape")
