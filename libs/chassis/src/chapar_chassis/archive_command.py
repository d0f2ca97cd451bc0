"""`archive FOLDER`: continues the archive of a service's journal with sealed segments, beside the running service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO

from chapar_chassis.ports import open_journal_reader
from chapar_chassis.settings import CommonSettings
from chapar_sourcing.archive import Archive


async def write_archive(service: str, settings: CommonSettings, folder: Path, output: TextIO) -> int:
    """Prints one JSON object a partition; the segments are in the folder's sub-folder of the service.

    Raises `SegmentRefused` where the archive is not whole or of another journal, `LogDamaged` where the journal does
    not go on where it ends.
    """
    source = await open_journal_reader(settings, service)
    try:
        archive = Archive(
            folder / service, journal_id=source.journal_id, generation=source.generation, partitions=source.partitions
        )
        for partition in range(source.partitions):
            written, end = await archive.continue_from(source, partition)
            row = {
                "partition": partition,
                "written": written,
                "offset": end.fold.offset,
                "hash": end.fold.hash.hex(),
                "sha256": end.sha256.hex(),
            }
            print(json.dumps(row), file=output, flush=True)
    finally:
        await source.close()
    return 0
