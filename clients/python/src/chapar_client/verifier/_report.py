"""Reading journals, those of a data folder or any others, and saying what was found."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from chapar_client.verifier._chain import Chain
from chapar_client.verifier._ledger import Ledger
from chapar_client.verifier._rows import Rows
from chapar_client.verifier._segments import Segments
from chapar_client.verifier._voids import Void

SLOTS = 16_384
"""A journal has at most as many partitions."""
SERVICES = ("identity", "messaging", "presence", "payments")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be: where, and what."""

    service: str
    partition: int | None
    problem: str


@dataclass(frozen=True, slots=True)
class PartitionReport:
    """One partition: how much it holds and where its chain ends."""

    partition: int
    epoch: int
    claims: int
    blocks: int
    entries: int
    voids: dict[str, int]
    """How many records do not count, by reason."""
    void_records: list[Void]
    """The first of them, each with why."""
    offset: int
    hash: str


@dataclass(slots=True)
class ServiceReport:
    """One service's journal."""

    service: str
    journal_id: str
    partitions: list[PartitionReport] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)
    """Of payments: what came in, what wallets hold, what is on its way; in rials."""
    findings: list[Finding] = field(default_factory=list)
    segments: int = 0
    """Files of the archive that were read."""
    archived_records: int = 0


def verify_folder(
    data: Path, progress: Callable[[str, int], None] = lambda service, partition: None, *, segments: Path | None = None
) -> list[ServiceReport]:
    """Verifies the journals of all services in a data folder, and their archives in the folder `segments`.

    Raises `FileNotFoundError` when one of the two folders holds none, `ValueError` for a file that is not a journal of
    its service and of this format.
    """
    found = [service for service in SERVICES if (data / service / "journal.db").is_file()]
    if not found:
        raise FileNotFoundError(f"{data} holds no journal: is it the folder given to `chapar up --data`?")
    if segments is not None and not any((segments / service).is_dir() for service in found):
        raise FileNotFoundError(f"{segments} holds no archive: is it the folder given to `chapar archive --to`?")
    return [_verify(service, data / service / "journal.db", progress, segments) for service in found]


def verify_records(
    service: str, journal_id: str, partitions: Iterable[Iterable[tuple[int, bytes]]]
) -> ServiceReport:  # fmt: skip
    """Verifies one service's journal, wherever it is kept: of each partition from 0 on (offset, record), in order."""
    checking = _Checking(service, journal_id)
    for number, records in enumerate(partitions):
        checking.partition(number, records)
    return checking.close()


class _Checking:
    """One service's journal: each partition once, then the whole."""

    def __init__(self, service: str, journal_id: str) -> None:
        self.report = ServiceReport(service, journal_id)
        self._ledger = Ledger() if service == "payments" else None

    def partition(self, number: int, records: Iterable[tuple[int, bytes]]) -> Chain:
        """Its chain, after all its records."""
        chain = Chain()
        for entry in chain.walk(records):
            if self._ledger is not None:
                self._ledger.book(number, entry)
        self._found(number, chain.damage)
        self.report.partitions.append(
            PartitionReport(
                number, chain.epoch, chain.claims, chain.blocks, chain.entries, dict(chain.voids.reasons),
                chain.voids.shown, chain.offset, chain.digest.hex(),
            )
        )  # fmt: skip
        return chain

    def close(self, damage: Iterable[str] = ()) -> ServiceReport:
        """What was found, with the damage of what the records are kept in."""
        self._found(None, damage)
        if self._ledger is not None:
            self.report.totals = self._ledger.close()
            self._found(None, self._ledger.damage)
        return self.report

    def _found(self, partition: int | None, problems: Iterable[str]) -> None:
        self.report.findings += [Finding(self.report.service, partition, problem) for problem in problems]


def _verify(
    service: str, path: Path, progress: Callable[[str, int], None], segments: Path | None
) -> ServiceReport:  # fmt: skip
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.execute("BEGIN")
        metadata = dict(connection.execute("SELECT name, value FROM metadata"))
        if (metadata.get("kind"), metadata.get("format")) != ("journal", "1"):
            raise ValueError(f"{path} is not a journal of format 1")
        if (named := metadata.get("service", service)) != service:
            raise ValueError(
                f"{path} is the journal of {named}: put the files of each service back into its own folder"
            )
        partitions = metadata.get("partitions", "")
        if "journal_id" not in metadata or not partitions.isdecimal() or not 1 <= int(partitions) <= SLOTS:
            raise ValueError(f"{path} does not say which journal it is, or how many partitions it has")
        checking = _Checking(service, metadata["journal_id"])
        rows = Rows(connection)
        for partition in range(int(partitions)):
            progress(service, partition)
            chain = checking.partition(partition, rows.of(partition))
            if segments is not None:
                archived = Segments(
                    segments / service, checking.report.journal_id, partition, int(partitions)
                )  # fmt: skip
                _archive(archived, chain, checking.report)
        rows.close()
        return checking.close(rows.damage)
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{path} cannot be read as a journal: {error}") from error
    finally:
        connection.close()


def _archive(archived: Segments, chain: Chain, report: ServiceReport) -> None:
    """Reads a partition's archive: it must be whole, and a beginning of what the journal holds."""
    archived.walk()
    problems = list(archived.damage)
    if not problems and archived.chain.offset > chain.offset:
        problems.append(f"the archive ends at {archived.chain.offset}, the journal at {chain.offset}")
    elif not problems and chain.digest_at(archived.chain.offset) != archived.chain.digest:
        problems.append(f"the archive up to {archived.chain.offset} is not what the journal holds")
    report.findings += [Finding(report.service, archived.partition, problem) for problem in problems]
    report.segments += archived.files
    report.archived_records += archived.chain.records
