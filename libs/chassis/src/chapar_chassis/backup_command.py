"""`backup FOLDER`: a service's part of a backup, beside the running service.

Whoever asks has all services copy and tells each of them what the others want (`chapar_sourcing.causes`). Flows in:
lines of JSON, `{"cover": {"3": 1760000000000}}` (partition -> up to which time it is to be copied) as often as need be,
then `{"finish": true}`. Flows out: a line of JSON each, `{"answer": ...}`, and `{"progress": PARTITION}` between them.
Nothing of a secret is ever in them: `prints` tell two keys apart and say nothing else of either.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from chapar_chassis.ports import open_journal_reader, open_key_reader
from chapar_chassis.secrets import IRREPLACEABLE, Secrets
from chapar_chassis.settings import CommonSettings
from chapar_sourcing.adapters.sqlite import SqliteJournalReader
from chapar_sourcing.archive import Archive
from chapar_sourcing.causes import Causes, UpTo
from chapar_sourcing.key_copy import NAME, write_key_copy
from chapar_sourcing.ports import Journal, JournalRecord
from chapar_sourcing.segments import SegmentEnd

EVER_MS = 1 << 62
QUESTIONS_MAX = 1_000
LINE_CHARACTERS_MAX = 1024 * 1024


async def write_backup(service: str, settings: CommonSettings, folder: Path, questions: TextIO, output: TextIO) -> int:
    """Copies the journal up to its end and then as far as is asked; at last the keys. 0 once all is durable.

    Raises `SegmentRefused` where the folder holds another journal's segments or damaged ones, `LogDamaged`,
    `Unavailable`.
    """
    source = await open_journal_reader(settings, service)
    try:
        copy = JournalCopy(folder / service, source)
        for partition in range(source.partitions):
            await copy.begin(partition)
            _say(output, {"progress": partition})
        for _ in range(QUESTIONS_MAX):
            _say(output, {"answer": copy.said})
            question = await _next(questions)
            if question.get("finish"):
                _say(output, {"answer": {**copy.ends, **await _finish(service, settings, folder)}})
                return 0
            for partition, time_ms in question["cover"].items():
                await copy.cover(int(partition), int(time_ms))
    finally:
        await source.close()
    raise RuntimeError(f"the logs of other services were asked for {QUESTIONS_MAX} times and do not settle: try again")


async def _next(questions: TextIO) -> Mapping[str, Any]:
    line = await asyncio.to_thread(questions.readline, LINE_CHARACTERS_MAX)
    try:
        question = json.loads(line)
    except ValueError:
        raise RuntimeError("the backup was given up") from None
    return question if isinstance(question, dict) else {}


async def _finish(service: str, settings: CommonSettings, folder: Path) -> Mapping[str, Any]:
    """Copies the keys: after the journal, so that each key that it names is among them."""
    keys = await open_key_reader(settings, service)
    try:
        count = await write_key_copy(folder / service / NAME, service, keys.rows())
    finally:
        await keys.close()
    return {"keys": count, "prints": secret_prints(Secrets(settings.secrets_dir))}


def secret_prints(secrets: Secrets) -> dict[str, str]:
    """By name of each secret that data cannot do without: what tells it from another one."""
    return {
        name: hmac.new(secrets.key(name), b"chapar backup: which key", hashlib.sha256).hexdigest()[:16]
        for name in sorted(IRREPLACEABLE)
        if secrets.has(name)
    }


def _say(output: TextIO, fields: Mapping[str, Any]) -> None:
    print(json.dumps(fields), file=output, flush=True)


class JournalCopy:
    """The copy of one journal as it grows."""

    def __init__(self, folder: Path, log: Journal | SqliteJournalReader) -> None:
        self._archive = Archive(
            folder, journal_id=log.journal_id, generation=log.generation, partitions=log.partitions
        )  # fmt: skip
        self._log = log
        self._causes = Causes()
        self._ends: dict[int, SegmentEnd] = {}
        self._bytes = 0
        self._records = 0

    async def begin(self, partition: int) -> None:
        """Checks what is there of a partition and copies on to the end that its log has now."""
        self._ends[partition] = await self._archive.opened(self._log, partition, each=self._causes.see)
        await self.cover(partition, EVER_MS)

    async def cover(self, partition: int, time_ms: int) -> None:
        """Copies on up to a time. Raises `LogDamaged`, `Unavailable`."""
        end = self._ends[partition]
        wanted = UpTo(end.fold, time_ms, await self._log.end_offset(partition))
        _, self._ends[partition] = await self._archive.extend(
            self._log, partition, end, wanted=wanted, each=self._copied
        )

    def _copied(self, record: JournalRecord) -> None:
        self._causes.see(record)
        self._bytes += len(record.data)
        self._records += 1

    @property
    def said(self) -> Mapping[str, Any]:
        """What was copied by now, and up to which time partitions of all services are wanted for it."""
        return {"records": self._records, "bytes": self._bytes, "wanted": self._causes.latest_ms}

    @property
    def ends(self) -> dict[str, Any]:
        """Which journal this is, and where the copy of each partition ends."""
        return {
            "journal_id": self._log.journal_id,
            "generation": self._log.generation,
            "records": self._records,
            "bytes": self._bytes,
            "partitions": [
                {"partition": partition, "offset": end.fold.offset, "hash": end.fold.hash.hex()}
                for partition, end in self._ends.items()
            ],
        }
