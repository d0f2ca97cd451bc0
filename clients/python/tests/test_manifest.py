"""A backup's manifest is believed only whole, unchanged, and in a form that is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chapar_client.up import Installation, ServiceFailed, back_up
from chapar_client.up._manifest import MANIFEST, read_manifest, write_manifest

SERVICES = ("messaging", "identity")


def part() -> dict[str, Any]:
    rows = [{"partition": partition, "offset": 3, "hash": "ab"} for partition in range(2)]
    return {"journal_id": "0a", "generation": 1, "partitions": rows, "keys": 1, "prints": {"master.key": "cd"}}


def fields() -> dict[str, Any]:
    return {"partitions": 2, "rounds": 1, "services": {service: part() for service in SERVICES}}


def test_what_was_written_is_read_and_nobody_else_reads_it(tmp_path: Path) -> None:
    write_manifest(tmp_path, fields())
    assert read_manifest(tmp_path, SERVICES) == {"format": 1, **fields()}
    assert (tmp_path / MANIFEST).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST]


@pytest.mark.parametrize("journal_id", ["0a1b", "rS-3_fQ2Tc6Z9yLw0aBcDg/identity.journal"])
def test_journals_of_files_and_of_brokers_are_known_by_their_ids(tmp_path: Path, journal_id: str) -> None:
    told = fields()
    told["services"]["identity"]["journal_id"] = journal_id
    write_manifest(tmp_path, told)
    assert read_manifest(tmp_path, SERVICES)["services"]["identity"]["journal_id"] == journal_id


def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Written anew with a sum that is right."""

    def write(folder: Path) -> None:
        told = fields()
        change(told)
        write_manifest(folder, told)

    return write


def edited(folder: Path) -> None:
    write_manifest(folder, fields())
    path = folder / MANIFEST
    path.write_text(path.read_text("utf-8").replace('"offset": 3', '"offset": 2', 1), "utf-8")


def of_another_format(folder: Path) -> None:
    write_manifest(folder, fields())
    path = folder / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "format": 99}), "utf-8")


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda folder: None, "no whole backup"),
        (lambda folder: (folder / MANIFEST).write_text("[" * 100_000), "no whole backup"),
        (lambda folder: (folder / MANIFEST).write_text("[]"), "a format that this program does not read"),
        (of_another_format, "a format that this program does not read"),
        (edited, "is damaged"),
        (changed(lambda told: told["services"].pop("identity")), "is damaged"),
        (changed(lambda told: told.update(partitions=10**9)), "is damaged"),
        (changed(lambda told: told["services"]["messaging"]["partitions"][1].update(partition=0)), "is damaged"),
        (changed(lambda told: told["services"]["messaging"]["partitions"].pop()), "is damaged"),
        (changed(lambda told: told["services"]["messaging"]["partitions"][1].update(partition="../x")), "is damaged"),
        (changed(lambda told: told["services"]["messaging"].update(journal_id="../../evil")), "is damaged"),
        (changed(lambda told: told["services"]["messaging"].update(journal_id="cluster/../evil")), "is damaged"),
        (changed(lambda told: told["services"]["messaging"].pop("prints")), "is damaged"),
    ],
)
def test_what_is_not_whole_is_refused_in_a_line(tmp_path: Path, write: Callable[[Path], Any], words: str) -> None:
    write(tmp_path)
    with pytest.raises(ServiceFailed, match=words):
        read_manifest(tmp_path, SERVICES)


@pytest.mark.parametrize("to", ["data", "data/copy", "."])
async def test_a_backup_into_its_own_data_folder_is_refused(tmp_path: Path, to: str) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(ServiceFailed, match="kept apart"):
        await back_up(Installation(tmp_path / "data"), tmp_path / to, lambda *_: None)
    assert not list((tmp_path / "data").iterdir())


async def test_a_backup_where_nothing_can_be_written_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceFailed, match="cannot be made or written to"):
        await back_up(Installation(tmp_path / "data"), tmp_path / "file", lambda *_: None)
