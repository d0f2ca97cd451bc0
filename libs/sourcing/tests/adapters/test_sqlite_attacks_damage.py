"""Flipped bytes, cut files, logs taken away: damage is said, or nothing that was acknowledged has changed.

A flip anywhere either changes nothing that is read, or is named; never is something else read in its place.
"""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path

import pytest

from .damage import KINDS, LISTS, Original, make_original, read_again

ROUNDS = 150
"""Of each kind of file and each way it was left; with seeds, so that each is the same everywhere."""


def flip(path: Path, chance: random.Random) -> int:
    """Changes one byte in any way; answers where."""
    content = bytearray(path.read_bytes())
    at = chance.randrange(len(content))
    content[at] ^= chance.randrange(1, 256)
    path.write_bytes(content)
    return at


def differences(original: Original, content: dict[object, object]) -> list[object]:
    """What is read otherwise than it was acknowledged, or not at all."""
    return [key for key, value in original.content.items() if content.get(key) != value]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_unharmed_file_is_read_as_it_was_written(kind: str, tmp_path: Path) -> None:
    for crashed in (True, False):
        original = await make_original(tmp_path / f"{crashed}", kind, crashed=crashed)
        said, content = await read_again(original, original.copied(tmp_path / f"copy {crashed}"))
        assert (said, differences(original, content)) == ("", [])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_flipped_byte_in_the_file_is_named_or_changes_nothing(kind: str, tmp_path: Path) -> None:
    original = await make_original(tmp_path / "original", kind, crashed=False)
    named, unchanged = 0, 0
    for seed in range(ROUNDS):
        path = original.copied(tmp_path / "copy")
        at = flip(path, random.Random(seed))
        said, content = await read_again(original, path)
        if said:
            named += 1
            assert "file.db" in said
        else:
            assert differences(original, content) == [], f"seed {seed}, byte {at}"
            unchanged += 1
        shutil.rmtree(tmp_path / "copy")
    assert named > ROUNDS / 10, (named, unchanged)
    print(f"{kind}: {named} named, {unchanged} without effect")


async def test_a_flipped_byte_in_a_key_hides_nothing_from_a_list(tmp_path: Path) -> None:
    """A row of another key stands where the old one was: a list must not end there, nor begin behind it."""
    original = await make_original(tmp_path / "original", LISTS, crashed=False)
    named = 0
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        path = original.copied(tmp_path / "copy")
        content = bytearray(path.read_bytes())
        key = chance.choice(list(re.finditer(rb"parent \d\d{5}|key \drow", content)))
        content[chance.randrange(*key.span())] ^= chance.randrange(1, 256)
        path.write_bytes(content)
        said, found = await read_again(original, path)
        assert said or differences(original, found) == [], f"seed {seed}, {key}"
        named += bool(said)
        shutil.rmtree(tmp_path / "copy")
    assert named > ROUNDS / 2


@pytest.mark.parametrize("kind", KINDS)
async def test_a_flipped_byte_in_the_log_costs_at_most_the_last_commit(kind: str, tmp_path: Path) -> None:
    """The last commit alone may look torn, as a crash in its middle leaves it."""
    original = await make_original(tmp_path / "original", kind, crashed=True)
    named, last = 0, 0
    for seed in range(ROUNDS):
        path = original.copied(tmp_path / "copy")
        at = flip(path.with_name("file.db-wal"), random.Random(seed))
        said, content = await read_again(original, path)
        if said:
            named += 1
        elif differences(original, content):
            last += 1

            assert len(differences(original, content)) <= 4, f"seed {seed}, byte {at}"
        shutil.rmtree(tmp_path / "copy")
    assert named > ROUNDS / 2, (named, last)
    print(f"{kind}: {named} named, {last} took the last commit")
