"""A process that fills a file of a kind: for tests that end it, or its disk, at any call of the system.

    python port_process.py KIND FILE

prints the number of each thing once it is acknowledged, and "done". The write-ahead log is written back after every
few commits, so that an end hits that, too.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from chapar_sourcing.adapters.sqlite import _writes
from chapar_sourcing.ports import AppendUnknown

sys.path.insert(0, str(Path(__file__).parents[4]))

from libs.sourcing.tests.adapters.damage import KINDS


async def main(kind: str, path: Path) -> None:
    """Fills the file and closes it."""
    _writes.CHECKPOINT_BYTES = 200_000
    try:
        port, _ = await KINDS[kind][0](path, _writes.end_process, lambda number: print(number, flush=True))
    except (AppendUnknown, _writes.WriteUnknown):
        await asyncio.Event().wait()  # the writer ends the process
    await port.close()
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
