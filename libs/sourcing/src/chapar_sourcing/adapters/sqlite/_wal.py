"""Whether a write-ahead log holds commits that SQLite will not show.

SQLite takes a log up to the first frame whose checksum is wrong, and says nothing of what follows. After a crash that
is right: a torn commit was never acknowledged. But a commit is synced before the next one is begun; so a frame after a
commit that SQLite does not show proves that something acknowledged cannot be read any more.
"""

from __future__ import annotations

import struct
from pathlib import Path

_HEADER = 32
_FRAME_HEADER = 24
_MAX_FRAME_AT = 16
"""Where the index, in `-shm`, says which frame ends the last commit (https://www.sqlite.org/walformat.html)."""


def wal_damage(path: Path) -> str:
    """What is wrong with the log of a file that was just opened; empty when nothing is."""
    wal = path.with_name(f"{path.name}-wal")
    if not wal.exists() or wal.stat().st_size <= _HEADER:
        return ""
    if not path.with_name(f"{path.name}-shm").exists():
        return f"{wal} is not the log of {path.name} as it is now"
    with wal.open("rb") as log:
        header = log.read(_HEADER)
        if not _header_is_whole(header):
            return f"the header of {wal} is damaged, and all that is in it cannot be read"
        (page_bytes,) = struct.unpack(">I", header[8:12])
        frame_bytes = _FRAME_HEADER + page_bytes
        shown = _shown_frames(path)
        commits = 0
        for number in range(shown, (wal.stat().st_size - _HEADER) // frame_bytes):
            log.seek(_HEADER + number * frame_bytes)
            frame = log.read(_FRAME_HEADER)
            if frame[8:16] != header[16:24]:
                continue  # of an earlier round of the log, or the damaged one
            if commits:
                return f"{wal} is damaged after frame {shown}, and commits follow that cannot be read"
            commits += struct.unpack(">I", frame[4:8])[0] != 0
    return ""


def _shown_frames(path: Path) -> int:
    with path.with_name(f"{path.name}-shm").open("rb") as index:
        index.seek(_MAX_FRAME_AT)
        return int(struct.unpack("=I", index.read(4))[0])


def _header_is_whole(header: bytes) -> bool:
    """The header's own checksum, in the byte order that its first word says."""
    (magic,) = struct.unpack(">I", header[:4])
    if magic & ~1 != 0x377F0682:
        return False
    one = two = 0
    for left, right in struct.iter_unpack(">II" if magic & 1 else "<II", header[:24]):
        one = (one + left + two) & 0xFFFFFFFF
        two = (two + right + one) & 0xFFFFFFFF
    return struct.pack(">II", one, two) == header[24:32]
