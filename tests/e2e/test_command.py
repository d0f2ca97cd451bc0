"""The two-terminal story, typed: `chapar` as people use it, against five real processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path

from chapar_client.demo import Stage, eventually
from tests.e2e.kit import E2E

pytestmark = E2E


class Terminal:
    """One person's terminal."""

    def __init__(self, stage: Stage, home: Path, profile: str) -> None:
        self._stage = stage
        self._environment = dict(os.environ) | {
            "CHAPAR_HOME": str(home), "CHAPAR_GATEWAY": stage.up.gateway_address, "CHAPAR_PROFILE": profile,
            "COLUMNS": "200",
        }  # fmt: skip

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "chapar_client", *arguments,
            env=self._environment, stdin=pipe, stdout=pipe, stderr=pipe,
        )  # fmt: skip

    async def types(self, *arguments: str, typed: str = "", code: int = 0) -> str:
        """Runs a command to its end; answers what it printed."""
        process = await self.start(*arguments)
        async with asyncio.timeout(60):
            output, errors = await process.communicate(typed.encode())
        assert process.returncode == code, errors.decode()
        return (errors if code else output).decode()

    async def login(self) -> str:
        """Signs in with the code of the log; answers the user id."""
        phone = self._stage.new_phone()
        process = await self.start("login", f"0{phone.removeprefix('+98')}")
        code = await self._stage.code_for(phone)
        async with asyncio.timeout(60):
            output, errors = await process.communicate(f"{code}\n".encode())
        assert process.returncode == 0, errors.decode()
        found = re.search(r"You are ([a-z2-7]{26})\.", output.decode())
        assert found
        return found[1]


async def test_two_people_talk_and_pay_from_their_terminals(stage: Stage, tmp_path: Path) -> None:
    sara, reza = Terminal(stage, tmp_path, "sara"), Terminal(stage, tmp_path, "reza")
    await sara.login()
    rezas_id = await reza.login()
    await sara.types("whoami", "--name", "سارا", "--username", "sara_types")
    assert "@reza_types" in await reza.types("whoami", "--name", "رضا", "--username", "reza_types")

    tail = await reza.start("tail", "--count", "2", "--read", "--json")
    assert "number 1" in await sara.types("send", "@reza_types", "سلام", "رضا")
    token_folder = str(stage.data_dir)
    await sara.types(
        "operator", "cash-in", "@sara_types", "۵۰٬۰۰۰", "--data", token_folder,
        "--operators", stage.up.operator_address,
    )  # fmt: skip
    assert "Your wallet holds 37,500 toman" in await sara.types("pay", "@reza_types", "12,500", "--memo", "شام")
    async with asyncio.timeout(60):
        output, _ = await tail.communicate()
    text, card = (json.loads(line) for line in output.decode().splitlines())
    assert text["text"] == "سلام رضا"
    assert card["payment_card"]["amount_rials"] == 125_000
    assert card["payment_card"]["payee_user_id"] == rezas_id

    told = await reza.types("history", "@sara_types")
    assert "\u2068سارا\u2069" in told
    assert "12,500 toman" in told
    await reza.types("send", "@sara_types", "ممنون", "--reply", "2")
    rows = [json.loads(line) for line in (await reza.types("inbox", "--json")).splitlines()]
    assert [row["unread_count"] for row in rows] == [0]
    lines = [json.loads(line) for line in (await reza.types("wallet", "statement", "--json")).splitlines()]
    assert [(line["kind"], line["amount_rials"], line["balance_rials"]) for line in lines] == [
        ("received", 125_000, 125_000)
    ]
    assert "not enough money: the wallet holds 37,500 toman" in await sara.types(
        "pay", "@reza_types", "1000000", code=1
    )


async def test_groups_presence_and_sessions_from_a_terminal(stage: Stage, tmp_path: Path) -> None:
    sara, reza = Terminal(stage, tmp_path, "sara"), Terminal(stage, tmp_path, "reza")
    sara_id, reza_id = await sara.login(), await reza.login()
    group = json.loads(await sara.types("groups", "create", "کوهنوردی", reza_id, "--json"))["conversation_id"]
    await sara.types("groups", "role", group, reza_id, "admin")
    members = [json.loads(line) for line in (await reza.types("groups", "members", group, "--json")).splitlines()]
    assert {member["user_id"]: member["role"] for member in members} == {sara_id: "owner", reza_id: "admin"}
    await sara.types("groups", "remove", group, reza_id)
    await sara.types("groups", "add", group, reza_id)
    await reza.types("groups", "leave", group)
    assert "REASON_CONVERSATION_UNKNOWN" in await reza.types("send", group, "هنوز؟", code=1)

    await sara.types("send", reza_id, "سلام")
    tail = await reza.start("tail", "--json")
    watching = await sara.start("presence", reza_id, "--json")
    assert watching.stdout is not None
    async with asyncio.timeout(30):
        while not json.loads(await watching.stdout.readline())["online"]:
            continue
    for process in (tail, watching):
        process.terminate()
        await process.communicate()

    [session] = [json.loads(line) for line in (await reza.types("sessions", "--json")).splitlines()]
    await reza.types("sessions", "revoke", session["session_id"])
    assert "chapar login" in await reza.types("wallet", code=3)


async def test_the_log_can_be_verified_beside_the_running_services(stage: Stage, tmp_path: Path) -> None:
    output = await Terminal(stage, tmp_path, "x").types("verify-log", "--data", str(stage.data_dir), "--json")
    reports = [json.loads(line) for line in output.splitlines()]
    assert {report["service"] for report in reports} == {"identity", "messaging", "presence", "payments"}
    assert all(report["findings"] == [] for report in reports)


async def test_an_account_is_erased_from_a_terminal_only_when_it_is_meant(stage: Stage, tmp_path: Path) -> None:
    nika, omid = Terminal(stage, tmp_path, "nika"), Terminal(stage, tmp_path, "omid")
    nikas_id, omids_id = await nika.login(), await omid.login()
    await nika.types("send", omids_id, "تا همیشه؟")
    await nika.types("erase", typed="n\n", code=1)
    assert nikas_id in await nika.types("whoami")
    assert "Erased" in await nika.types("erase", typed="y\n")
    await nika.types("whoami", code=3)

    async def is_erased() -> bool:
        return "(erased)" in await omid.types("history", nikas_id)

    await eventually(is_erased, "the text being erased")
    desk = ("--data", str(stage.data_dir), "--operators", stage.up.operator_address)
    await omid.types("operator", "erase", omids_id, "--reason", "", "--yes", *desk, code=1)
    shown = json.loads(await omid.types("operator", "erase", omids_id, "--reason", "case 7", "--yes", "--json", *desk))
    assert shown["user_id"] == omids_id


async def test_an_operator_sees_who_owns_what(stage: Stage, tmp_path: Path) -> None:
    desk = Terminal(stage, tmp_path, "operator")
    lines = (await desk.types("owners", "payments", "messaging", "--data", str(stage.data_dir), "--json")).splitlines()
    told = [json.loads(line) for line in lines]
    processes, rows = [row for row in told if "process" in row], [row for row in told if "partition" in row]
    assert [(row["process"], row["members"]) for row in processes] == [(s, [s]) for s in ("payments", "messaging")]
    assert [(row["service"], row["partition"]) for row in rows] == [
        (service, partition) for service in ("payments", "messaging") for partition in range(16)
    ]
    assert {(row["owner"], row["phase"], row["problem"]) for row in rows} == {
        ("payments", "owning", ""), ("messaging", "owning", ""),
    }  # fmt: skip
    assert all(row["epoch"] >= 1 and row["lag"] >= 0 for row in rows)
    refused = await desk.types("owners", "cards", "--data", str(stage.data_dir), code=2)
    assert "no such service: 'cards'" in refused
