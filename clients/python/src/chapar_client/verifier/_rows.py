"""The rows of a journal's file: all there are, each as it was written.

A row carries a CRC-32 over its key and its record; rows of before there were sums have none. The chain finds a record
that was changed by the next one: the last one of a partition shows it by its sum alone.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator

_WITH_SUMS = "SELECT offset, time_ms, data, sum FROM journal WHERE partition = ? ORDER BY offset"
_WITHOUT_SUMS = "SELECT offset, time_ms, data, NULL FROM journal WHERE partition = ? ORDER BY offset"


class Rows:
    """One journal's rows, read in one transaction. `damage` says which are not what was written."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        columns = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info('journal')")}
        self._connection = connection
        self._query = _WITH_SUMS if "sum" in columns else _WITHOUT_SUMS
        self.damage: list[str] = []
        self._read = 0

    def of(self, partition: int) -> Iterator[tuple[int, bytes]]:
        """(offset, record) in order of offsets; ends at the first that is damaged."""
        for offset, time_ms, data, found in self._connection.execute(self._query, (partition,)):
            self._read += 1
            numbers = (partition, offset, time_ms)
            whole = isinstance(data, bytes) and all(isinstance(n, int) and n >= 0 for n in numbers)
            if not whole or found not in (None, row_sum(data, *numbers)):
                self.damage.append(f"partition {partition}: the record at {offset} is not what was written")
                return
            yield offset, data

    def close(self) -> None:
        """After all partitions: nothing is ever deleted, so that row ids count what was appended."""
        (appended,) = self._connection.execute("SELECT COALESCE(MAX(rowid), 0) FROM journal").fetchone()
        if self._read != appended and not self.damage:
            self.damage.append(f"its partitions have {self._read} records, {appended} were appended")


def row_sum(data: bytes, *numbers: int) -> int:
    """The CRC-32 of MessagePack [false, partition, offset, time], followed by the record."""
    key = bytes([0x91 + len(numbers), 0xC2]) + b"".join(map(_packed, numbers))
    return zlib.crc32(data, zlib.crc32(key))


def _packed(number: int) -> bytes:
    """A number from 0 on as MessagePack writes it, in as few bytes as it takes."""
    if number < 0x80:
        return bytes([number])
    size = next(size for size in range(4) if number < 1 << (8 << size))
    return bytes([0xCC + size]) + number.to_bytes(1 << size, "big")
