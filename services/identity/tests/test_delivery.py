from __future__ import annotations

import io
import json

import httpx
import pytest

from chapar_chassis.telemetry import make_logger
from chapar_identity.delivery import (
    WEBHOOK_TRIES_MAX,
    CodeMessage,
    ConsoleDelivery,
    Undeliverable,
    WebhookDelivery,
)

MESSAGE = CodeMessage("+989121234567", "012345", 9_000)


class Endpoint:
    """An HTTP endpoint in memory that answers as told, then with the last answer for ever."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.pauses: list[float] = []

    def delivery(self) -> WebhookDelivery:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))
        return WebhookDelivery("https://codes.example/send", client=client, pause=self.pause)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


async def test_the_console_shows_phone_and_code_as_the_development_log_promises() -> None:
    lines = io.StringIO()
    await ConsoleDelivery(make_logger("identity", "info", lines)).deliver(MESSAGE)
    line = json.loads(lines.getvalue())
    assert (line["event"], line["phone"], line["code"]) == ("sign_in_code", "+989121234567", "012345")


async def test_a_webhook_gets_phone_code_and_expiry() -> None:
    endpoint = Endpoint(204)
    await endpoint.delivery().deliver(MESSAGE)
    (request,) = endpoint.requests
    assert (request.method, str(request.url)) == ("POST", "https://codes.example/send")
    assert json.loads(request.content) == {"phone": "+989121234567", "code": "012345", "expire_time_ms": 9_000}


@pytest.mark.parametrize("problem", [429, 500, 503, httpx.ConnectError("refused"), httpx.ReadTimeout("slow")])
async def test_a_webhook_is_tried_again_after_growing_pauses(problem: int | Exception) -> None:
    endpoint = Endpoint(problem, problem, 200)
    await endpoint.delivery().deliver(MESSAGE)
    assert len(endpoint.requests) == 3
    assert endpoint.pauses == [0.5, 1.0]


@pytest.mark.parametrize(
    ("problem", "tries", "text"),
    [
        (503, WEBHOOK_TRIES_MAX, "HTTP 503"),
        (httpx.ConnectError("to +989121234567"), WEBHOOK_TRIES_MAX, "ConnectError"),
        (400, 1, "HTTP 400"),
        (302, 1, "HTTP 302"),
    ],
)
async def test_a_webhook_is_given_up_within_bounds_and_the_error_names_nobody(
    problem: int | Exception, tries: int, text: str
) -> None:
    endpoint = Endpoint(problem)
    with pytest.raises(Undeliverable) as raised:
        await endpoint.delivery().deliver(MESSAGE)
    assert str(raised.value) == text
    assert len(endpoint.requests) == tries
