"""A process that holds a SQLite journal and appends to it: for tests that end it, or its disk.

    python journal_process.py FILE [BYTES_MAX]

prints "held", then the number of each record once it is acknowledged. Files may not grow beyond BYTES_MAX: writing
more fails as a broken disk does.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

from chapar_sourcing.adapters.sqlite import SqliteJournal
from chapar_sourcing.ports import AppendUnknown


async def main(path: Path, bytes_max: int | None) -> None:
    """Appends for ever."""
    journal = await SqliteJournal.open(path, partitions=4)
    print("held", flush=True)
    if bytes_max is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, resource.RLIM_INFINITY))
    number = 0
    while True:
        try:
            await journal.append(0, b"%06d" % number + bytes(1_000))
        except AppendUnknown:
            await asyncio.Event().wait()  # the writer ends the process
        print(number, flush=True)
        number += 1


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None))
