"""What must hold at the end, when all has healed and is at rest: compared with what the logs say."""

from __future__ import annotations

from chapar_sourcing.digest import digest_of, refold
from chapar_sourcing.domain import Key, Stored, ordered
from chapar_sourcing.ports import JournalRecord
from chapar_sourcing.requests import answers_since_ms
from tests.simulation.path import chat, money
from tests.simulation.path.clients import Client
from tests.simulation.path.process import Process, Service
from tests.simulation.path.stage import Stage
from tests.simulation.path.store import at
from tests.simulation.path.watchers import Watcher
from tests.simulation.playing import Violation


def check_answers(stage: Stage, clients: list[Client]) -> None:
    """Each client's wishes: accepted ones are in the log once, refused ones changed nothing, in the order asked."""
    for client in clients:
        last: dict[tuple[str, int], tuple[int, int]] = {}
        for wish in client.wishes:
            book = stage.books[wish.service.name]
            written = book.entries.get((client.name, wish.request_id))
            outcome = wish.outcome
            if outcome is None:
                raise Violation(f"{client.name} was never told of {wish.body}")
            if outcome.entry is None:
                # A refusal that is not journaled is no answer: a copy still under way may be decided otherwise.
                kept = wish.service.rules.domain.journals_refusals
                if kept and written is not None and written.entry.events.events:
                    raise Violation(f"{client.name} was refused {outcome.reason}, and it happened: {wish.body}")
                continue
            if written is None or written.entry != outcome.entry:
                raise Violation(f"{client.name} was told of {wish.body}; the log has {written}")
            where = (wish.service.name, written.partition)
            if written.place < last.get(where, (-1, -1)):
                raise Violation(f"{client.name}: {wish.body} stands before what was asked earlier")
            last[where] = written.place


def check_streams(stage: Stage) -> None:
    """Whoever reads the streams by the rules has read every public event once."""
    for name, topic in (("chat", chat.TOPIC), ("money", money.TOPIC)):
        for number in range(stage.topics.count):
            stage.books[name].check_stream(number, stage.topics.logs[topic, number].entries)


def check_inboxes(stage: Stage) -> None:
    """Rows are what the rooms' logs say: the last change of each membership; the head for whoever is inside."""
    ledger = stage.chat_ledger
    for user in stage.users:
        rows = stage.inbox(user)
        for room in stage.rooms:
            change, inside = ledger.members[room].get(user, (0, False))
            row = rows.get(room, {})
            if change == 0:
                if row:
                    raise Violation(f"{user} was never in {room} and has {row}")
                continue
            if row.get("change") != ordered(change).encode() + (b"+" if inside else b"-"):
                raise Violation(f"{user} in {room}: {row}, the log says change {change}, inside {inside}")
            head = ordered(len(ledger.said[room])).encode()
            if row["head"] > head or (inside and row["head"] != head):
                raise Violation(f"{user} in {room}: head {row['head']!r}, the log says {head!r}")


def check_names(stage: Stage) -> None:
    """No reservation is stuck, and no name is kept for one who does not hold it."""
    ledger = stage.chat_ledger
    for home, (attempt, name, state) in ledger.wishes.items():
        if state == "wishing":
            raise Violation(f"{home} still waits for {name}")
        if state == "held" and ledger.names.get(name) != (home, attempt):
            raise Violation(f"{home} holds {name}, which is kept for {ledger.names.get(name)}")
    for name, (home, attempt) in ledger.names.items():
        if ledger.wishes[home] != (attempt, name, "held"):
            raise Violation(f"{name} is kept for {home}, {attempt}, which is at {ledger.wishes[home]}")


def check_money(stage: Stage) -> None:
    """Everything sent has been applied: the accounts have all there is."""
    ledger = stage.money_ledger
    if ledger.in_transit or sum(ledger.balances.values()) != ledger.funded:
        raise Violation(f"{ledger.in_transit} rials are still in transit")


def check_watchers(stage: Stage, watchers: list[Watcher]) -> None:
    """Who watched all along knows what is."""
    for watcher in watchers:
        if watcher.key in stage.rooms:
            head = len(stage.chat_ledger.said[watcher.key])
            if int(watcher.state.get(b"head", b"0")) != head:
                raise Violation(f"a watcher of {watcher.key} knows {watcher.state}, its head is {head}")
            continue
        known = stage.inbox_text(watcher.key)
        if _meant(watcher.state) != _meant(known):
            raise Violation(f"a watcher of {watcher.key} knows {watcher.state}, its rows are {known}")


def _meant(lines: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """What an inbox tells: a head means nothing to who has left the room."""
    left = {name.split(b" ")[0] for name, value in lines.items() if name.endswith(b" change") and value.endswith(b"-")}
    return {name: value for name, value in lines.items() if name.split(b" ") not in [[room, b"head"] for room in left]}


# ---- fold(log) == live == store


class _Records:
    """The records of a log for the engine's own refold."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def read(self, partition: int, from_offset: int, *, records_max: int = 500) -> list[JournalRecord]:
        """Records from an offset on."""
        return [r for r in self._service.log.partitions[partition].records if r.offset >= from_offset]


def check_digests(stage: Stage, owners: dict[str, Process]) -> None:
    """The log folded afresh, the owner's live digest and the store's documents are the same."""
    for service in stage.services:
        domain = service.rules.domain
        for number in range(service.partitions):
            refolding = refold(_Records(service), number, domain)
            try:
                refolding.send(None)
            except StopIteration as done:
                refolded = done.value
            since_ms = answers_since_ms(refolded.state.time_ms, keeps_answers=domain.keeps_answers)
            folded = digest_of(refolded.documents, answers_since_ms=since_ms)
            servers = service.servers
            held = servers.table(number).documents.items()
            stored: dict[Key, Stored] = {
                key: value for key, versions in held if (value := at(versions, servers.confirmed)) is not None
            }
            if digest_of(stored, answers_since_ms=since_ms) != folded:
                raise Violation(f"{service.name}/{number}: the store is not what the log folds to")
            answers: list[object] = []
            owner = owners[service.name]
            owner.serve(lambda n=number, o=owner: o.host.digest(n), answers.append)  # type: ignore[misc]
            stage.world.run(lambda: bool(answers), limit=20.0)  # noqa: B023
            live = answers[0] if answers else "nothing"
            if isinstance(live, str) or (live.digest, live.documents) != (folded.sha256, folded.documents):  # type: ignore[attr-defined]
                raise Violation(f"{service.name}/{number}: the owner is not what the log folds to: {live}")
