"""A small disk can be full, is emptied, and nobody else sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PLAYED = """
import errno, os, sys
from pathlib import Path
from tools.small_disk import SmallDisk, mount_alone

folder = Path(sys.argv[1])
mount_alone()
with SmallDisk(folder, mib=2) as disk:
    (folder / "kept").write_bytes(bytes(100))
    disk.fill()
    try:
        (folder / "late").write_bytes(bytes(5_000))
    except OSError as error:
        print("full", error.errno == errno.ENOSPC)
    disk.empty()
    (folder / "late").write_bytes(bytes(5_000))
    print("again", disk.free_bytes > 1 << 20, (folder / "kept").stat().st_size)
    print("seen", sorted(path.name for path in folder.iterdir()))
"""


def test_a_small_disk_is_full_and_has_space_again_for_its_process_alone(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    (folder / "below").touch()
    done = subprocess.run(
        [sys.executable, "-c", PLAYED, str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["full True", "again True 100", "seen ['kept', 'late']"]
    assert [path.name for path in folder.iterdir()] == ["below"]
