"""A running service's journal goes into sealed segments, which fold to the same and are checked by other code."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from chapar_client.demo import Stage
from tests.e2e.kit import E2E

pytestmark = E2E


async def chapar(stage: Stage, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    """Runs a command of the operator; what it says, one object a line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "chapar_client", *arguments, "--data", str(stage.data_dir), "--json",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    assert process.returncode == code, (output + errors).decode()
    return [json.loads(line) for line in output.splitlines()]


async def test_a_journal_is_archived_beside_its_service_and_goes_on(stage: Stage, tmp_path: Path) -> None:
    one, other = await asyncio.gather(stage.person("الف"), stage.person("ب"))
    await one.say(one.with_(other), "سلام")
    [first] = await chapar(stage, "archive", "messaging", "--to", str(tmp_path))
    assert first["written"] == sum(row["offset"] + 1 for row in first["partitions"]) > 0
    await one.say(one.with_(other), "باز سلام")
    [more] = await chapar(stage, "archive", "messaging", "--to", str(tmp_path))
    assert more["written"] > 0
    said = {report["service"]: report for report in await chapar(stage, "verify-log", "--segments", str(tmp_path))}
    assert said["messaging"]["archived_records"] == first["written"] + more["written"]
    assert said["payments"]["segments"] == 0
    for row in more["partitions"]:
        if row["written"]:
            assert row["hash"] == said["messaging"]["partitions"][row["partition"]]["hash"]


async def test_a_damaged_archive_is_found_and_not_continued(stage: Stage, tmp_path: Path) -> None:
    await chapar(stage, "archive", "identity", "--to", str(tmp_path))
    path = next((tmp_path / "identity").glob("*.segment"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    await chapar(stage, "archive", "identity", "--to", str(tmp_path), code=1)
    said = {
        report["service"]: report
        for report in await chapar(stage, "verify-log", "--segments", str(tmp_path), code=6)
    }  # fmt: skip
    assert [path.name in finding["problem"] for finding in said["identity"]["findings"]] == [True]
