"""A process killed at any write, sync or cut of its files, and a disk that fails: shown with strace's injections.

Killed means at the n-th call of a kind: while a file is made, inside a commit, while the log is written back. After
it everything acknowledged is there byte for byte, nothing is torn, and the file is written further.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from .damage import KINDS, RECORDS, Original, key_of, make_original, read_again

PROGRAM = Path(__file__).parent / "port_process.py"
ROUNDS = 12
"""Of each kind of file."""
CALLS = "pwrite64,fdatasync,fsync,ftruncate,unlink"


def strace(arguments: Sequence[str], kind: str, path: Path) -> subprocess.CompletedProcess[str]:
    """The program under strace, which writes to `<folder>/strace`. It must be installed."""
    program = shutil.which("strace")
    assert program is not None, "these tests need strace: apt-get install strace"
    traced = [program, "-f", "-qq", "-y", "-o", str(path.parent.parent / "strace"), *arguments]
    command = [*traced, sys.executable, str(PROGRAM), kind, str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def acknowledged(done: subprocess.CompletedProcess[str]) -> list[int]:
    return [int(line) for line in done.stdout.splitlines() if line.isdigit()]


async def check_kept(original: Original, path: Path, numbers: Sequence[int]) -> int:
    """What was acknowledged is there, and what is there is whole; answers how much is."""
    assert list(numbers) == list(range(len(numbers)))
    said, content = await read_again(original, path)
    assert said == ""
    whole = {key_of(original.kind, number): number for number in range(RECORDS)}
    there = {whole[key] for key, value in content.items() if key in whole and value is not None}
    for number in there:
        key = key_of(original.kind, number)
        assert content[key] == original.content[key], f"{key} is torn"
    assert there >= set(numbers), f"lost {sorted(set(numbers) - there)}"
    assert there <= set(range(len(numbers) + 1)), "more than one thing was under way"
    return len(there)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_kill_at_any_call_loses_nothing(kind: str, tmp_path: Path) -> None:
    original = await make_original(tmp_path / "original", kind, crashed=False)
    ends = {"before the first": 0, "between": 0, "done": 0, "with more than was said": 0}
    for seed in range(ROUNDS):
        chance = random.Random(f"{kind} {seed}")
        folder = tmp_path / f"{seed}"
        folder.mkdir()
        call = chance.choice(CALLS.split(",")[: 2 if seed % 3 else 5])
        most = {"pwrite64": 40 if seed % 2 else 400, "fdatasync": 70}.get(call, 4)
        kill = f"inject={call}:signal=KILL:when={chance.randint(1, most)}"
        done = strace(["-e", f"trace={CALLS}", "-e", kill], kind, folder / "files" / "file.db")
        numbers = acknowledged(done)
        kept = await check_kept(original, folder / "files" / "file.db", numbers)
        where = "done" if "done" in done.stdout else "between" if numbers else "before the first"
        ends[where] += 1
        ends["with more than was said"] += kept > len(numbers)
    print(kind, ends)
    assert ends["between"] >= 2, ends
    assert ends["before the first"] >= 1, ends


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("when", [16, 31])
async def test_a_sync_that_fails_ends_the_process_and_nothing_is_acknowledged_after_it(
    kind: str, when: int, tmp_path: Path
) -> None:
    original = await make_original(tmp_path / "original", kind, crashed=False)
    path = tmp_path / "run" / "files" / "file.db"
    path.parent.parent.mkdir()
    fail = f"inject=fdatasync:error=EIO:when={when}+"
    done = strace(["-e", f"trace={CALLS}", "-e", fail], kind, path)
    assert done.returncode == 74, done.stderr
    assert f"{path} cannot be written: disk I/O error; ending the process" in done.stderr
    assert acknowledged(done), "the disk failed only later"
    await check_kept(original, path, acknowledged(done))


@pytest.mark.parametrize("kind", KINDS)
def test_each_acknowledgement_comes_after_a_sync_of_what_was_written(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "run" / "files" / "file.db"
    path.parent.parent.mkdir()
    done = strace(["-e", "trace=pwrite64,fdatasync,write"], kind, path)
    assert acknowledged(done) == list(range(RECORDS)), done.stderr
    unsynced, told = False, 0
    for line in (tmp_path / "run" / "strace").read_text("utf-8", "replace").splitlines():
        if "pwrite64(" in line and "file.db-wal>" in line:
            unsynced = True
        elif re.search(r"fdatasync\(.*file\.db-wal>\) += 0|<\.\.\. fdatasync resumed>\) += 0", line):
            unsynced = False
        elif re.search(r' write\(1<[^>]*>, "\d+(\\n)?"', line):
            assert not unsynced, f"acknowledged before it was synced: {line}"
            told += 1
    assert told == RECORDS
