"""The command line: what it prints, what it never prints, how it exits."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import os
import re
import signal
import sys
from pathlib import Path

import grpc
import pytest
import typer
from client_fakes import FakeGateway, Refusal, session
from typer.testing import CliRunner, Result

from chapar.identity.v1 import identity_pb2 as identity
from chapar.messaging.v1 import messaging_pb2 as messaging
from chapar.payments.v1 import payments_pb2 as payments
from chapar_client.cli import app
from chapar_client.cli._output import Output
from chapar_client.cli._reasons import described
from chapar_client.cli._running import asked, run_plain
from chapar_client.cli._up import Logs
from chapar_client.sdk import Refused, StateStore
from chapar_client.up import FolderUnusable, LogLine, locked_folder

FRIEND = "b" * 26
ROOM = f"d.{FRIEND}.{'u' * 26}"


class Terminal:
    """Runs `chapar` against a fake gateway, with a profile that is signed in."""

    def __init__(self, gateway: FakeGateway, home: Path) -> None:
        self.gateway = gateway
        self._environment = {"CHAPAR_HOME": str(home), "CHAPAR_GATEWAY": gateway.address, "COLUMNS": "200"}

    async def run(self, *arguments: str, typed: str = "") -> Result:
        runner = CliRunner()
        return await asyncio.to_thread(runner.invoke, app, arguments, input=typed, env=self._environment)


def answers(message: object):
    async def serve(_request: object, _metadata: object) -> object:
        if isinstance(message, Refusal):
            raise message
        return message

    return serve


@pytest.fixture
async def terminal(gateway: FakeGateway, tmp_path: Path) -> Terminal:
    state = StateStore(tmp_path / "profiles" / "default")
    await state.open_session(session())
    await state.close()
    gateway.answers["GetUser"] = answers(identity.GetUserResponse(user_id=FRIEND, name="\x1b[31mرضا\u202e"))
    return Terminal(gateway, tmp_path)


async def test_login_normalises_the_phone_asks_for_the_code_and_keeps_the_session(terminal: Terminal) -> None:
    tokens = identity.Tokens(access_token="secret-access", access_expire_time_ms=2**50, refresh_token="secret-refresh")
    done = identity.CompleteSignInResponse(user_id="a" * 26, session_id="s", tokens=tokens, new_user=True)
    terminal.gateway.answers |= {
        "StartSignIn": answers(identity.StartSignInResponse(challenge_id="s0001.c")),
        "CompleteSignIn": answers(done),
    }
    result = await terminal.run("login", "0912 123 4567", "--profile", "new", typed="123456\n")
    assert result.exit_code == 0
    started = identity.StartSignInRequest.FromString(terminal.gateway.sent("StartSignIn")[0])
    assert started.phone == "+989121234567"
    assert "a" * 26 in result.output
    assert "secret" not in result.output


async def test_a_wrong_code_is_asked_for_again_within_the_same_sign_in(terminal: Terminal) -> None:
    tokens = identity.Tokens(access_token="access", access_expire_time_ms=2**50, refresh_token="refresh")
    done = identity.CompleteSignInResponse(user_id="a" * 26, session_id="s", tokens=tokens)

    async def complete(request: identity.CompleteSignInRequest, _metadata: object) -> object:
        if request.code != "222222":
            raise Refusal(
                grpc.StatusCode.PERMISSION_DENIED, "REASON_CODE_WRONG", domain="identity.chapar", tries_left="4"
            )
        return done

    terminal.gateway.answers |= {
        "StartSignIn": answers(identity.StartSignInResponse(challenge_id="s0001.c")),
        "CompleteSignIn": complete,
    }
    result = await terminal.run("login", "09121234567", "--profile", "new", typed="111111\n222222\n")
    assert result.exit_code == 0
    assert "4 tries left" in result.output
    assert len(terminal.gateway.sent("StartSignIn")) == 1


async def test_pay_takes_toman_and_shows_toman(terminal: Terminal) -> None:
    terminal.gateway.answers["Transfer"] = answers(payments.TransferResponse(transfer_id="t", balance_rials=5_000))
    result = await terminal.run("pay", FRIEND, "۱۲٬۵۰۰")
    assert result.exit_code == 0
    request = payments.TransferRequest.FromString(terminal.gateway.sent("Transfer")[0])
    assert request.amount_rials == 125_000
    assert "12,500 toman" in result.output
    assert "500 toman" in result.output


async def test_history_of_a_hostile_writer_cannot_steer_the_terminal(terminal: Terminal) -> None:
    message = messaging.Message(
        conversation_id=ROOM, sequence=1, sender_user_id=FRIEND, text="\x1b]0;owned\x07[red]not markup[/red]"
    )
    terminal.gateway.answers["ListMessages"] = answers(messaging.ListMessagesResponse(messages=[message]))
    result = await terminal.run("history", FRIEND)
    assert result.exit_code == 0
    assert "\x1b" not in result.output
    assert "\x07" not in result.output
    assert "\u202e" not in result.output
    assert "[red]not markup[/red]" in result.output


async def test_what_was_deleted_is_shown_so_and_so_is_its_answer(terminal: Terminal) -> None:
    deleted = messaging.Message(conversation_id=ROOM, sequence=1, sender_user_id=FRIEND, deleted=True)
    answer = messaging.Message(
        conversation_id=ROOM, sequence=2, sender_user_id=FRIEND, text="چه؟", reply_to_sequence=1, reply_to_deleted=True
    )
    terminal.gateway.answers["ListMessages"] = answers(messaging.ListMessagesResponse(messages=[answer, deleted]))
    first, second = (await terminal.run("history", FRIEND)).output.strip().splitlines()
    assert "(deleted)" in first
    assert "(re 1, deleted)" in second
    shown = [json.loads(line) for line in (await terminal.run("history", FRIEND, "--json")).stdout.splitlines()]
    assert [(one.get("deleted"), one.get("reply_to_deleted"), one.get("text")) for one in shown] == [
        (True, None, None),
        (None, True, "چه؟"),
    ]


async def test_deleting_names_conversation_and_number(terminal: Terminal) -> None:
    terminal.gateway.answers["DeleteMessage"] = answers(messaging.DeleteMessageResponse())
    result = await terminal.run("delete", ROOM, "7")
    assert (result.exit_code, result.output.strip()) == (0, "Deleted number 7.")
    [sent] = map(messaging.DeleteMessageRequest.FromString, terminal.gateway.sent("DeleteMessage"))
    assert (sent.conversation_id, sent.sequence) == (ROOM, 7)


async def test_json_has_one_object_a_line_with_rials_named(terminal: Terminal) -> None:
    terminal.gateway.answers["GetWallet"] = answers(payments.GetWalletResponse(balance_rials=70, line_sequence=2))
    result = await terminal.run("wallet", "--json")
    assert json.loads(result.stdout) == {"balance_rials": 70, "line_sequence": 2}


@pytest.mark.parametrize(
    ("failure", "code", "words"),
    [
        (
            Refusal(
                grpc.StatusCode.FAILED_PRECONDITION,
                "REASON_FUNDS_INSUFFICIENT",
                domain="payments.chapar",
                balance_rials="70",
            ),
            1,
            "holds 7 toman",
        ),
        (Refusal(grpc.StatusCode.UNAUTHENTICATED, "REASON_SESSION_REVOKED"), 3, "chapar login"),
        (Refusal(grpc.StatusCode.INTERNAL, "REASON_INTERNAL", incident_id="abc"), 7, "abc"),
    ],
)
async def test_errors_are_one_line_with_a_documented_code(
    terminal: Terminal, failure: Refusal, code: int, words: str
) -> None:
    terminal.gateway.answers["Transfer"] = answers(failure)
    result = await terminal.run("pay", FRIEND, "1")
    assert result.exit_code == code
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("pay", FRIEND, "a lot"), 2),
        (("send", "nobody", "x"), 2),
        (("wallet", "--profile", "../elsewhere"), 2),
        (("wallet", "--profile", "empty"), 3),
        (("status",), 2),
        (("verify-log",), 2),
    ],
)
async def test_wrong_input_is_refused_before_any_call(
    terminal: Terminal, arguments: tuple[str, ...], code: int
) -> None:
    result = await terminal.run(*arguments)
    assert result.exit_code == code
    assert terminal.gateway.requests == []


async def test_a_profile_that_cannot_be_read_is_named_with_what_to_do(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "profiles" / "default" / "state.db"
    for path in file.parent.iterdir():
        path.unlink()
    file.write_bytes(b"something else " * 1_000)
    result = await terminal.run("whoami")
    assert result.exit_code == 1
    assert f"{file} cannot be used (file is not a database): mend its disk or permissions" in " ".join(
        result.stderr.split()
    )


def test_a_file_is_no_data_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with (
        pytest.raises(FolderUnusable, match=r"file cannot be a data folder \(File exists\): choose a folder that user"),
        locked_folder(file),
    ):
        pass


async def test_a_rebuild_cut_short_is_told_to_go_on(terminal: Terminal, tmp_path: Path) -> None:
    data = tmp_path / "data"
    token = data / "secrets" / "payments" / "peer.token"
    token.parent.mkdir(parents=True)
    token.write_text("ab" * 32)
    (data / "up.json").write_text(json.dumps({"services": {"payments": {"address": "127.0.0.1:1"}}}))
    result = await terminal.run("rebuild", "payments", "--data", str(data))
    assert result.exit_code == 4
    told = " ".join(result.stderr.split())
    assert "what was built is kept, and the same command goes on with it" in told
    assert "nothing was done" not in told


async def test_a_lost_answer_is_said_to_be_unknown_and_settled_later(terminal: Terminal) -> None:
    terminal.gateway.answers["Transfer"] = answers(Refusal(grpc.StatusCode.UNAVAILABLE))
    result = await terminal.run("pay", FRIEND, "1", "--timeout", "0.5")
    assert result.exit_code == 5
    assert "chapar pending" in result.stderr
    terminal.gateway.answers["Transfer"] = answers(payments.TransferResponse(transfer_id="t"))
    result = await terminal.run("pending", "--finish", "--json")
    assert json.loads(result.stdout)["outcome"] == "done"
    assert len(set(terminal.gateway.sent("Transfer"))) == 1
    assert (await terminal.run("pending", "--json")).stdout == ""


def test_every_reason_of_the_services_has_a_line_of_its_own() -> None:
    bare = []
    for module, domain in ((identity, "identity"), (messaging, "messaging"), (payments, "payments")):
        for name in list(module.Reason.keys())[1:]:
            refusal = Refused(name, {"balance_rials": "0"}, domain=f"{domain}.chapar", status=grpc.StatusCode.NOT_FOUND)
            if described(refusal)[1].startswith("refused"):
                bare.append(name)
    assert bare == []


async def test_the_version_is_told_without_a_command(terminal: Terminal) -> None:
    shown = await terminal.run("--version")
    assert (shown.exit_code, shown.stdout) == (0, "chapar 0.1.0\n")


@pytest.mark.parametrize(
    ("timestamp", "pattern"),
    [("2026-01-02T03:04:05Z", r"\d\d:04:05  presence  \| ready"), ("", r"\d\d:\d\d:\d\d  pres")],
)
def test_lines_of_services_say_when(timestamp: str, pattern: str, capsys: pytest.CaptureFixture[str]) -> None:
    Logs(as_json=False).line(LogLine("presence", "x", {"event": "ready", "timestamp": timestamp}))
    assert re.match(pattern, capsys.readouterr().out)


def test_partitions_that_begin_and_end_are_told_as_json_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for as_json, event in itertools.product((False, True), ("partition_begins", "partition_ends", "stopping")):
        Logs(as_json=as_json).line(LogLine("presence", f"{as_json} {event}", {"event": event}))
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in shown] == ["stopping", "partition_begins", "partition_ends", "stopping"]


class InterruptedTyping(io.StringIO):
    """Somebody who presses Ctrl-C instead of typing, and types only then."""

    def readline(self, _size: int | None = -1, /) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return "123456\n"


def test_the_first_ctrl_c_at_a_question_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", InterruptedTyping())
    typed: list[str] = []

    async def work(_output: Output) -> None:
        typed.append(asked("Code", to_errors=False))

    with pytest.raises(typer.Exit) as ended:
        run_plain(work, as_json=False)
    assert (ended.value.exit_code, typed) == (130, [])
