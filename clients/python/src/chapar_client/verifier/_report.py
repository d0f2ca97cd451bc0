"""Reading a data folder's journals and saying what was found."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from chapar_client.verifier._chain import Chain
from chapar_client.verifier._ledger import Ledger
from chapar_client.verifier._voids import Void

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


def verify_folder(
    data: Path, progress: Callable[[str, int], None] = lambda service, partition: None
) -> list[ServiceReport]:
    """Verifies the journals of all services in a data folder.

    Raises `FileNotFoundError` when it holds none, `ValueError` for a file that is not a journal of this format.
    """
    found = [service for service in SERVICES if (data / service / "journal.db").is_file()]
    if not found:
        raise FileNotFoundError(f"{data} holds no journal: is it the folder given to `chapar up --data`?")
    return [_verify(service, data / service / "journal.db", progress) for service in found]


def _verify(service: str, path: Path, progress: Callable[[str, int], None]) -> ServiceReport:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.execute("BEGIN")
        metadata = dict(connection.execute("SELECT name, value FROM metadata"))
        if (metadata.get("kind"), metadata.get("format")) != ("journal", "1"):
            raise ValueError(f"{path} is not a journal of format 1")
        report = ServiceReport(service, metadata["journal_id"])
        ledger = Ledger() if service == "payments" else None
        for partition in range(int(metadata["partitions"])):
            progress(service, partition)
            _partition(connection, partition, report, ledger)
        if ledger is not None:
            report.totals = ledger.close()
            report.findings += [Finding(service, None, problem) for problem in ledger.damage]
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{path} cannot be read as a journal: {error}") from error
    finally:
        connection.close()
    return report


def _partition(connection: sqlite3.Connection, partition: int, report: ServiceReport, ledger: Ledger | None) -> None:
    rows = connection.execute("SELECT offset, data FROM journal WHERE partition = ? ORDER BY offset", (partition,))
    chain = Chain()
    for entry in chain.walk(rows):
        if ledger is not None:
            ledger.book(partition, entry)
    report.findings += [Finding(report.service, partition, problem) for problem in chain.damage]
    report.partitions.append(
        PartitionReport(
            partition, chain.epoch, chain.claims, chain.blocks, chain.entries, dict(chain.voids.reasons),
            chain.voids.shown, chain.offset, chain.digest.hex(),
        )
    )  # fmt: skip
