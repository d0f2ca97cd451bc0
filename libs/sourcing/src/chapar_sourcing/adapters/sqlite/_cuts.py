"""Whether something of a file was cut off, or its write-ahead log holds commits that SQLite will not show.

SQLite takes a log up to the first frame whose checksum is wrong, and says nothing of what follows. After a crash that
is right: a torn commit was never acknowledged. But a commit is synced before the next one is begun; so a frame after a
commit that SQLite does not show proves that something acknowledged cannot be read any more.

Looked at before SQLite is: its last connection writes the log back and deletes it, damaged or not, and closing a file
of one's own gives up the locks that SQLite has on it. The format: https://www.sqlite.org/walformat.html
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

_HEADER = 32
_FRAME_HEADER = 24
_MAGIC = 0x377F0682


def cut_damage(path: Path) -> str:
    """What is wrong with the end of a file, or with its log; empty when nothing is."""
    wal = path.with_name(f"{path.name}-wal")
    if wal.exists() and wal.stat().st_size > _HEADER:
        with wal.open("rb") as log:
            return _log_damage(wal, log)
    with path.open("rb") as file:
        start = file.read(18)
    # SQLite takes the missing end of a last page for zeros.
    cut = start.startswith(b"SQLite format 3\0") and path.stat().st_size % (int.from_bytes(start[16:], "big") or 1)
    return f"{path} was cut in the middle of a page" if cut else ""


def _log_damage(wal: Path, log: IO[bytes]) -> str:
    header = log.read(_HEADER)
    (magic, page_bytes) = struct.unpack(">I4xI", header[:12])
    order = ">II" if magic & 1 else "<II"
    sums = _summed(order, header[:24], (0, 0))
    if magic & ~1 != _MAGIC or struct.pack(">II", *sums) != header[24:]:
        return f"the header of {wal} is damaged, and all that is in it cannot be read"
    frames = (wal.stat().st_size - _HEADER) // (_FRAME_HEADER + page_bytes)
    shown = _shown(log, header, order, frames, page_bytes, sums)
    commits = 0
    for number in range(shown, frames):
        log.seek(_HEADER + number * (_FRAME_HEADER + page_bytes))
        frame = log.read(_FRAME_HEADER)
        if frame[8:16] != header[16:24]:
            continue  # of an earlier round of the log, or the damaged one
        if commits:
            return f"{wal} is damaged after frame {shown}, and commits follow that cannot be read"
        commits += frame[4:8] != bytes(4)
    return ""


def _shown(
    log: IO[bytes], header: bytes, order: str, frames: int, page_bytes: int, sums: tuple[int, int]
) -> int:  # fmt: skip
    """How many frames SQLite will show: up to the last commit before the first frame that is not whole."""
    shown = 0
    for number in range(1, frames + 1):
        frame, page = log.read(_FRAME_HEADER), log.read(page_bytes)
        sums = _summed(order, frame[:8] + page, sums)
        if frame[8:16] != header[16:24] or struct.pack(">II", *sums) != frame[16:]:
            break
        if frame[4:8] != bytes(4):
            shown = number
    return shown


def _summed(order: str, content: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    one, two = sums
    for left, right in struct.iter_unpack(order, content):
        one = (one + left + two) & 0xFFFFFFFF
        two = (two + right + one) & 0xFFFFFFFF
    return one, two
