"""A client of another language, made from `protos/` alone: signs in, sends, receives live, pays."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from chapar_client.demo import Stage
from chapar_client.up import run_to_end
from tests.e2e.kit import E2E

pytestmark = E2E

HERE = Path(__file__).parent / "grpcjs"
PROTOS = Path(__file__).parents[2] / "protos"
CASH_IN_RIALS = 100_000


@pytest.fixture
async def installed(tmp_path: Path) -> Path:
    """The client with its locked packages, in a folder of its own."""
    folder = tmp_path / "grpcjs"
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("node_modules"))
    status, output = await run_to_end(["npm", "ci", "--prefix", str(folder)], dict(os.environ), timeout_s=120)
    assert status == 0, output
    return folder


async def test_a_node_client_signs_in_sends_receives_live_and_pays(stage: Stage, installed: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        "node", "client.mjs", stage.up.gateway_address, str(PROTOS),
        cwd=installed, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(90):
            result = await _played(stage, process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    assert result["live_text"] == "سلام از گره"
    assert result["balance_rials"] == str(CASH_IN_RIALS - 25_000)
    assert result["card"] == {
        "transfer_id": result["transfer_id"],
        "payer_user_id": result["sara"],
        "payee_user_id": result["reza"],
        "amount_rials": "25000",
    }
    assert result["history"] == ["text", "payment_card"]
    assert result["refusal"] == {"code": "INVALID_ARGUMENT", "reason": "REASON_AMOUNT_INVALID"}


async def _played(stage: Stage, process: asyncio.subprocess.Process) -> dict[str, Any]:
    """Answers the client's questions until it has a result."""
    assert process.stdout is not None
    assert process.stdin is not None
    while True:
        line = json.loads(await process.stdout.readline())
        match line:
            case {"need_code": phone}:
                answer = await stage.code_for(phone)
            case {"need_money": user_id}:
                await stage.operator.cash_in(user_id, CASH_IN_RIALS, "node")
                answer = "there"
            case {"result": result}:
                return dict(result)
            case _:
                pytest.fail(f"the client failed: {line}")
        process.stdin.write(f"{answer}\n".encode())
        await process.stdin.drain()
