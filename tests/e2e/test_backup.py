"""An installation on files is copied into a folder and restored into an empty one: what was true then is true there."""

from __future__ import annotations

import shutil
from pathlib import Path

from chapar_client.demo import Stage
from tests.e2e.copying import chapar, copied_under_traffic, goes_on, restored, take_secrets
from tests.e2e.kit import E2E

pytestmark = E2E


async def test_what_was_backed_up_under_traffic_is_there_after_a_restore(tmp_path: Path) -> None:
    backup, second = tmp_path / "backup", Stage(tmp_path / "second")
    async with Stage(tmp_path / "first") as first:
        people = await copied_under_traffic(first, backup)
        take_secrets(second, first)
    await restored(backup, second)
    await goes_on(second, people)


def files_of(data: Path) -> list[Path]:
    """The files of services in a data folder."""
    return list(data.glob("*/*.db"))


async def test_what_cannot_be_restored_is_refused_before_anything_is_written(stage: Stage, tmp_path: Path) -> None:
    one, other = await stage.person("الف"), await stage.person("ب")
    await one.say(one.with_(other), "سلام")
    backup = tmp_path / "backup"
    said = await chapar("backup", "--to", str(backup), "--data", str(stage.data_dir))
    again = await chapar("backup", "--to", str(backup), "--data", str(stage.data_dir))
    assert again["records"] < said["records"], "a backup is continued"

    async def refused(data: Path, words: str, *, source: Path = backup) -> None:
        complaint = await chapar("restore", "--from", str(source), "--data", str(data), code=1)
        assert words in complaint["message"]
        assert data == stage.data_dir or not files_of(data)

    data = tmp_path / "new"
    await refused(data, "put the secrets")
    await refused(data, "holds no whole backup", source=tmp_path)
    shutil.copytree(stage.data_dir / "secrets", data / "secrets")
    key = data / "secrets" / "messaging" / "master.key"
    whole = key.read_text("ascii")
    key.write_text("0" * 64, "ascii")
    await refused(data, "master.key of messaging is another one")
    assert whole.strip() not in (backup / "backup.json").read_text("ascii")
    await refused(stage.data_dir, "already: restore into an empty installation")
    half = tmp_path / "half"
    shutil.copytree(stage.data_dir / "secrets", half / "secrets")
    (half / "restoring").mkdir()
    (half / "restoring" / "identity").write_text("0" * 64, "ascii")
    complaint = await chapar("restore", "--from", str(backup), "--data", str(half), code=1)
    assert "another backup of identity" in complaint["message"]
