"""The verifier finds every way in which a journal can lie, and only those."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from chapar.payments.journal.v1 import journal_pb2 as payments
from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_client.verifier import ServiceReport, verify_folder
from chapar_client.verifier._rows import row_sum
from chapar_client.verifier._voids import SHOWN_MAX

ALI, SARA = "wallet:ali", "wallet:sara"


class Log:
    """Writes a payments journal the way an owner does, or wrongly."""

    def __init__(self, folder: Path, partitions: int = 2) -> None:
        path = folder / "payments" / "journal.db"
        path.parent.mkdir(parents=True)
        self._sql = sqlite3.connect(path, isolation_level=None)
        self._sql.execute("CREATE TABLE metadata (name TEXT, value TEXT)")
        about = {"kind": "journal", "format": "1", "journal_id": "j", "partitions": str(partitions)}
        self._sql.executemany("INSERT INTO metadata VALUES (?, ?)", about.items())
        self._sql.execute("CREATE TABLE journal (partition INTEGER, offset INTEGER, time_ms INTEGER, data BLOB)")
        self.digest = {p: bytes(32) for p in range(partitions)}
        self.offset = dict.fromkeys(range(partitions), -1)
        self.sequence = dict.fromkeys(range(partitions), 0)
        self._ids = 0
        self.records: list[journal.Record] = []
        for partition in range(partitions):
            self.claim(partition, 1)

    def put(self, partition: int, record: journal.Record, *, counts: bool = True) -> None:
        data = record.SerializeToString()
        self.records.append(record)
        self.offset[partition] += 1
        self._sql.execute("INSERT INTO journal VALUES (?, ?, 0, ?)", (partition, self.offset[partition], data))
        if counts:
            self.digest[partition] = hashlib.sha256(self.digest[partition] + data).digest()

    def claim(self, partition: int, epoch: int, *, counts: bool = True, level: int = 0) -> None:
        claim = journal.Claim(
            epoch=epoch,
            schema_level=level,
            writer=bytes([epoch]) * 16,
            folded_offset=self.offset[partition],
            folded_hash=self.digest[partition],
        )
        self.put(partition, journal.Record(claim=claim), counts=counts)

    def entry(self, *events: payments.Event) -> journal.Entry:
        self._ids += 1
        return journal.Entry(
            request_id=self._ids.to_bytes(16, "big"),
            actor=journal.Actor(user="ali"),
            events=journal.Events(events=[event.SerializeToString() for event in events]),
        )

    def block(self, partition: int, *entries: journal.Entry, epoch: int = 1, counts: bool = True) -> None:
        block = journal.Block(
            epoch=epoch,
            writer=bytes([epoch]) * 16,
            sequence=self.sequence[partition] + 1,
            previous_hash=self.digest[partition],
            entries=entries,
        )
        self.put(partition, journal.Record(block=block), counts=counts)
        if counts:
            self.sequence[partition] += 1

    def execute(self, statement: str) -> None:
        self._sql.execute(statement)


def moved(**amounts: int) -> list[payments.Posting]:
    return [payments.Posting(account=name.replace("__", ":"), amount_rials=rials) for name, rials in amounts.items()]


def cash_in(rials: int, *, line: int = 1, balance: int | None = None) -> payments.Event:
    return payments.Event(
        cashed_in=payments.CashedIn(
            transfer_id=f"c{line}",
            user_id="ali",
            amount_rials=rials,
            line=payments.Line(sequence=line, balance_rials=rials if balance is None else balance),
        ),
        postings=moved(wallet__ali=rials, cash=-rials),
    )


def sent(rials: int, *, transit: int = 1, line: int = 2, balance: int = 0, transfer: str = "t1") -> payments.Event:
    return payments.Event(
        transfer_sent=payments.TransferSent(
            transfer_id=transfer,
            payer_user_id="ali",
            payee_user_id="sara",
            amount_rials=rials,
            source_partition=0,
            target_partition=1,
            transit_sequence=transit,
            payer_line=payments.Line(sequence=line, balance_rials=balance),
        ),
        postings=moved(wallet__ali=-rials, transit_out__1=rials),
    )


def received(rials: int, *, transit: int = 1) -> payments.Event:
    return payments.Event(
        transfer_received=payments.TransferReceived(
            transfer_id="t1",
            payer_user_id="ali",
            payee_user_id="sara",
            amount_rials=rials,
            source_partition=0,
            transit_sequence=transit,
            payee_line=payments.Line(sequence=1, balance_rials=rials),
        ),
        postings=moved(transit_in__0=-rials, wallet__sara=rials),
    )


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def verified(tmp_path: Path) -> ServiceReport:
    [report] = verify_folder(tmp_path)
    return report


def problems(tmp_path: Path) -> Sequence[str]:
    return [finding.problem for finding in verified(tmp_path).findings]


def test_good_books_are_found_good_and_added_up(log: Log, tmp_path: Path) -> None:
    log.block(0, log.entry(cash_in(1000)), log.entry(sent(400, balance=600)))
    log.block(1, log.entry(received(400)))
    report = verified(tmp_path)
    assert report.findings == []
    assert report.totals == {"cash_in_rials": 1000, "wallets_rials": 1000, "in_transit_rials": 0}
    assert [p.entries for p in report.partitions] == [2, 1]


def test_a_record_that_no_partition_shows_any_more_is_missed(log: Log, tmp_path: Path) -> None:
    log.block(0, log.entry(cash_in(1000)))
    log.execute("UPDATE journal SET partition = 7 WHERE partition = 0 AND offset = 1")
    assert problems(tmp_path) == ["its partitions have 2 records, 3 were appended"]


def test_a_last_record_that_is_not_what_was_written_is_found_by_its_sum(log: Log, tmp_path: Path) -> None:
    log.block(0, log.entry(cash_in(1000)))
    log.execute("ALTER TABLE journal ADD COLUMN sum INTEGER")
    assert problems(tmp_path) == []
    log.execute("UPDATE journal SET sum = 1 WHERE partition = 0 AND offset = 1")
    assert problems(tmp_path) == ["partition 0: the record at 1 is not what was written"]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((0, 0, 0), 1425396628),
        ((3, 70000, 1795383034794), 212500861),
        ((127, 128, 255), 2616887161),
        ((16383, 65535, 65536), 2369889380),
        ((1, 2**31, 2**40), 4034154726),
    ],
)
def test_a_rows_sum_is_that_of_the_engine(numbers: Sequence[int], expected: int) -> None:
    assert row_sum(b"record", *numbers) == expected


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM metadata WHERE name = 'journal_id'",
        "DELETE FROM metadata WHERE name = 'partitions'",
        "UPDATE metadata SET value = 'two' WHERE name = 'partitions'",
        "UPDATE metadata SET value = '1000000000000' WHERE name = 'partitions'",
    ],
)
def test_a_file_that_does_not_say_which_journal_it_is_is_refused(log: Log, tmp_path: Path, change: str) -> None:
    log.execute(change)
    with pytest.raises(ValueError, match="does not say which journal it is"):
        verify_folder(tmp_path)


def test_money_on_its_way_is_counted_and_is_no_finding(log: Log, tmp_path: Path) -> None:
    log.block(0, log.entry(cash_in(1000)), log.entry(sent(400, balance=600)))
    report = verified(tmp_path)
    assert report.findings == []
    assert report.totals["in_transit_rials"] == 400


def test_records_of_a_deposed_owner_are_void_and_explained(log: Log, tmp_path: Path) -> None:
    log.claim(0, 2)
    log.block(0, log.entry(cash_in(1000)), epoch=1, counts=False)
    log.claim(0, 2, counts=False)
    log.block(0, log.entry(cash_in(500)), epoch=2)
    report = verified(tmp_path)
    assert report.findings == []
    assert report.partitions[0].voids == {"block_deposed": 1, "claim_lost": 1}
    block, claim = report.partitions[0].void_records
    assert (block.offset, block.kind, block.epoch, block.writer) == (2, "block", 1, "01010101")
    assert block.why == "block of a deposed writer: epoch 1 ended at offset 1"
    assert (claim.offset, claim.kind, claim.epoch, claim.writer) == (3, "claim", 2, "02020202")
    assert claim.why == "claim of epoch 2, which another writer had claimed at offset 1"
    assert report.totals["cash_in_rials"] == 500


def test_each_way_not_to_count_has_its_own_words(log: Log, tmp_path: Path) -> None:
    log.block(0, log.entry(cash_in(1000)))
    log.put(0, log.records[-1], counts=False)
    log.claim(0, 4)
    log.claim(0, 3, counts=False)
    log.block(0, log.entry(), epoch=3, counts=False)
    log.block(0, log.entry(), epoch=2, counts=False)
    report = verified(tmp_path)
    assert report.findings == []
    assert {void.offset: (void.reason, void.why) for void in report.partitions[0].void_records} == {
        2: ("block_repeated", "block 1 again: it stands at offset 1"),
        4: ("claim_late", "claim of epoch 3, but epoch 4 was current since offset 3"),
        5: ("block_of_void_claim", "block of a writer whose claim at offset 4 is void"),
        6: ("block_of_stranger", "block of epoch 2 by a writer who never claimed; epoch 4 is current since 3"),
    }


def test_what_does_not_count_is_counted_whole_and_shown_in_part(log: Log, tmp_path: Path) -> None:
    log.claim(0, 2)
    for _ in range(SHOWN_MAX + 5):
        log.block(0, epoch=1, counts=False)
    partition = verified(tmp_path).partitions[0]
    assert partition.voids == {"block_deposed": SHOWN_MAX + 5}
    assert len(partition.void_records) == SHOWN_MAX


def test_a_claim_below_the_level_that_its_writer_has_read_is_found(log: Log, tmp_path: Path) -> None:
    log.claim(0, 2, level=3)
    log.claim(0, 3, level=3)
    assert problems(tmp_path) == []
    log.claim(0, 4, level=2)
    assert problems(tmp_path) == ["the claim at 3 is of schema level 2, below 3 of the claim at 1"]


@pytest.mark.parametrize(("epoch", "writer"), [(9, 9), (4, 3), (3, 4)])
def test_a_block_whose_claim_is_missing_is_damage(log: Log, tmp_path: Path, epoch: int, writer: int) -> None:
    log.claim(0, 4)
    block = journal.Block(epoch=epoch, writer=bytes([writer]) * 16, sequence=1, previous_hash=log.digest[0])
    log.put(0, journal.Record(block=block), counts=False)
    assert problems(tmp_path) == [f"the block at 2 is of epoch {epoch}, whose claim is not in this log"]


def test_a_block_before_any_claim_is_damage(log: Log, tmp_path: Path) -> None:
    log.execute("DELETE FROM journal WHERE partition = 0")
    log.offset[0], log.digest[0] = -1, bytes(32)
    unowned = journal.Block(epoch=0, sequence=1, previous_hash=bytes(32), entries=[log.entry(cash_in(1000))])
    log.put(0, journal.Record(block=unowned), counts=False)
    report = verified(tmp_path)
    assert report.totals["cash_in_rials"] == 0
    assert [finding for finding in report.findings if "whose claim is not in this log" in str(finding)]


def test_a_changed_byte_breaks_the_chain(log: Log, tmp_path: Path) -> None:
    log.block(0, log.entry(cash_in(1000)))
    log.block(0, log.entry(sent(400, balance=600)))
    log.execute("UPDATE journal SET data = CAST(replace(data, 'c1', 'c9') AS BLOB) WHERE partition = 0 AND offset = 1")
    assert any("another history" in problem for problem in problems(tmp_path))


def test_a_removed_block_is_noticed(log: Log, tmp_path: Path) -> None:
    log.block(0, log.entry(cash_in(1000)))
    log.block(0, log.entry(sent(400, balance=600)))
    log.execute("DELETE FROM journal WHERE partition = 0 AND offset = 1")
    assert any("follows block" in problem for problem in problems(tmp_path))


def test_a_log_cut_below_a_claim_is_noticed(log: Log, tmp_path: Path) -> None:
    log.block(0, log.entry(cash_in(1000)))
    log.claim(0, 2)
    log.execute("DELETE FROM journal WHERE partition = 0 AND offset = 1")
    log.execute("UPDATE journal SET offset = 1 WHERE partition = 0 AND offset = 2")
    assert any("the log was cut" in problem for problem in problems(tmp_path))


def test_a_request_decided_twice_is_noticed(log: Log, tmp_path: Path) -> None:
    once = log.entry(cash_in(1000))
    log.block(0, once, once)
    assert any("decided twice" in problem for problem in problems(tmp_path))


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        (cash_in(1000, balance=900), "a line says 900, the postings 1000"),
        (cash_in(1000, line=2), "line 2 of a statement follows 0"),
        (sent(400, line=1, balance=-400), "below zero"),
        (payments.Event(cashed_in=payments.CashedIn(transfer_id="x")), "without postings"),
        (payments.Event(postings=moved(cash=-1, wallet__ali=2)), "do not sum to zero"),
        (sent(0, line=1, transit=2), "transit 2 follows 0"),
    ],
)
def test_a_wrong_event_is_noticed(log: Log, tmp_path: Path, event: payments.Event, problem: str) -> None:
    log.block(0, log.entry(event))
    assert any(problem in found for found in problems(tmp_path))


@pytest.mark.parametrize("arrived", [received(300), received(400, transit=2)])
def test_money_that_arrives_otherwise_than_it_left_is_noticed(
    log: Log, tmp_path: Path, arrived: payments.Event
) -> None:
    log.block(0, log.entry(cash_in(1000)), log.entry(sent(400, balance=600)))
    log.block(1, log.entry(arrived))
    assert problems(tmp_path)


def test_money_that_arrives_twice_is_noticed(log: Log, tmp_path: Path) -> None:
    log.block(0, log.entry(cash_in(1000)), log.entry(sent(400, balance=600)))
    log.block(1, log.entry(received(400)))
    log.block(1, log.entry(received(400, transit=2)))
    assert any("not what was sent" in problem for problem in problems(tmp_path))


def test_a_folder_without_journals_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no journal"):
        verify_folder(tmp_path)


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "payments").mkdir()
    (tmp_path / "payments" / "journal.db").write_bytes(b"not a database, not at all" * 100)
    with pytest.raises(ValueError, match="cannot be read as a journal"):
        verify_folder(tmp_path)


def test_a_folder_without_an_archive_is_refused(log: Log, tmp_path: Path) -> None:
    log.block(0, log.entry(cash_in(1000)))
    with pytest.raises(FileNotFoundError, match="holds no archive"):
        verify_folder(tmp_path, segments=tmp_path / "archive")


def test_a_journal_of_another_service_is_refused(log: Log, tmp_path: Path) -> None:
    log.block(0, log.entry(cash_in(1000)))
    with sqlite3.connect(tmp_path / "payments" / "journal.db") as connection:
        connection.execute("INSERT INTO metadata VALUES ('service', 'identity')")
    connection.close()
    with pytest.raises(ValueError, match=r"is the journal of identity: put the files of each service back"):
        verify_folder(tmp_path)
