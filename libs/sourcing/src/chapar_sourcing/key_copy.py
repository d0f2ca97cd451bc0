"""A copy of a service's data keys in one file: a line of JSON a key, wrapped as they are stored.

The first line says whose they are; the last one how many, and the SHA-256 of all lines before it. The file appears
whole or not at all, in place of an older one: of keys, only the newest copy is worth keeping.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterable, Iterator
from pathlib import Path
from typing import Any

from chapar_sourcing.durable import durable_file
from chapar_sourcing.erasures import LAST_PERIOD_MS
from chapar_sourcing.ports import KeyRow

FORMAT = 1
NAME = "data.keys"
LINE_BYTES_MAX = 64 * 1024


class KeyCopyRefused(RuntimeError):
    """The file is not a copy of keys, not whole, or of another service."""


async def write_key_copy(path: Path, service: str, rows: AsyncIterable[KeyRow]) -> int:
    """Writes rows durably; how many. Raises `Unavailable`.

    A key that says that its subject has ended is left out: in the copied log that may not have happened, and whoever
    lives there would write what nobody can read. Where it has, the owner forces such a key again.
    """
    count, digest = 0, hashlib.sha256()
    with durable_file(path) as file:
        head = _line({"format": FORMAT, "service": service})
        digest.update(head)
        file.write(head)
        async for row in rows:
            if row.period >= LAST_PERIOD_MS:
                continue
            line = _line(
                {"key_id": row.key_id, "subject": row.subject, "period": row.period, "wrapped": row.wrapped.hex()}
            )
            digest.update(line)
            file.write(line)
            count += 1
        file.write(_line({"keys": count, "sha256": digest.hexdigest()}))
    return count


def read_key_copy(path: Path, service: str) -> Iterator[KeyRow]:
    """The rows as they were written; they count only once the whole file was read without a complaint.

    Raises `KeyCopyRefused`.
    """
    digest, count, ended = hashlib.sha256(), 0, False
    try:
        file = path.open("rb")
    except OSError as error:
        raise KeyCopyRefused(f"{path} cannot be read ({error.strerror})") from None
    with file:
        for number, line in enumerate(iter(lambda: file.readline(LINE_BYTES_MAX), b"")):
            fields = _parsed(path, line)
            if ended:
                raise KeyCopyRefused(f"{path} goes on after its end")
            if number == 0:
                if (fields.get("format"), fields.get("service")) != (FORMAT, service):
                    raise KeyCopyRefused(f"{path} is no copy of the keys of {service} that this program reads")
            elif "sha256" in fields:
                if (fields["keys"], fields["sha256"]) != (count, digest.hexdigest()):
                    raise KeyCopyRefused(f"{path} is damaged: it has another sum than it says")
                ended = True
                continue
            else:
                yield _row(path, fields)
                count += 1
            digest.update(line)
    if not ended:
        raise KeyCopyRefused(f"{path} ends too early: it was cut")


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def _parsed(path: Path, line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise KeyCopyRefused(f"{path} is damaged: a line of it cannot be read")
    return fields


def _row(path: Path, fields: dict[str, Any]) -> KeyRow:
    try:
        return KeyRow(
            str(fields["key_id"]), str(fields["subject"]), int(fields["period"]), bytes.fromhex(fields["wrapped"])
        )
    except (KeyError, TypeError, ValueError):
        raise KeyCopyRefused(f"{path} is damaged: a key in it cannot be read") from None
