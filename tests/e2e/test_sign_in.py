"""Identity: phones, codes, profiles, usernames, sessions, tokens."""

from __future__ import annotations

import asyncio
import time

from chapar.identity.v1 import identity_pb2 as identity
from chapar_client.demo import Stage
from chapar_client.sdk import SignedOut, new_request_id
from tests.e2e.kit import E2E, Status, raw_call, refused

pytestmark = E2E


async def test_a_phone_signs_in_to_one_account_on_two_devices(stage: Stage) -> None:
    phone = stage.new_phone()
    one = await stage.person("لیلا", phone=phone, device="phone")
    other = await stage.person("لیلا", phone=phone, device="tablet")
    assert one.user_id == other.user_id
    profile = await other.client.identity.get_profile()
    assert (profile.name, profile.phone) == ("لیلا", phone)
    devices = [(session.device, session.current) async for session in other.client.identity.sessions()]
    assert devices == [("tablet", True), ("phone", False)]


async def test_persian_digits_are_a_code_and_a_phone(stage: Stage) -> None:
    person = await stage.person("x")
    persian = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")
    phone = stage.new_phone()
    started = await person.client.identity.start_sign_in(phone.translate(persian))
    code = (await stage.code_for(phone)).translate(persian)
    answer = await person.client.identity.complete_sign_in(started.challenge_id, code, "phone")
    assert answer.new_user


async def test_a_wrong_code_leaves_tries_and_the_fifth_ends_the_challenge(stage: Stage) -> None:
    person = await stage.person("x")
    phone = stage.new_phone()
    started = await person.client.identity.start_sign_in(phone)
    code = await stage.code_for(phone)
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    sign_in = person.client.identity.complete_sign_in
    for left in ("4", "3", "2", "1"):
        refusal = await refused(
            sign_in(started.challenge_id, wrong, "d"), "REASON_CODE_WRONG", Status.PERMISSION_DENIED
        )
        assert refusal.detail["tries_left"] == left
    await refused(sign_in(started.challenge_id, wrong, "d"), "REASON_CHALLENGE_EXHAUSTED", Status.RESOURCE_EXHAUSTED)
    refusal = await refused(
        sign_in(started.challenge_id, code, "d"), "REASON_CHALLENGE_EXHAUSTED", Status.RESOURCE_EXHAUSTED
    )


async def test_a_code_is_of_use_once(stage: Stage) -> None:
    person = await stage.person("x")
    phone = stage.new_phone()
    started = await person.client.identity.start_sign_in(phone)
    code = await stage.code_for(phone)
    await person.client.identity.complete_sign_in(started.challenge_id, code, "d")
    await refused(
        person.client.identity.complete_sign_in(started.challenge_id, code, "d"),
        "REASON_CHALLENGE_UNKNOWN",
        Status.NOT_FOUND,
    )


async def test_another_code_for_the_same_phone_has_to_wait(stage: Stage) -> None:
    person = await stage.person("x")
    phone = stage.new_phone()
    await person.client.identity.start_sign_in(phone)
    refusal = await refused(
        person.client.identity.start_sign_in(phone), "REASON_RESEND_TOO_SOON", Status.RESOURCE_EXHAUSTED
    )
    assert 0 < int(refusal.detail["retry_after_ms"]) <= 120_000


async def test_the_answer_does_not_tell_whether_a_number_is_known(stage: Stage) -> None:
    known = stage.new_phone()
    person = await stage.person("x", phone=known)
    other = await stage.person("y")
    await other.client.identity.revoke_session((await other.client.session()).session_id)
    answer = await person.client.identity.start_sign_in(stage.new_phone())
    fields = {field.name for field, _ in answer.ListFields()}
    assert fields == {"challenge_id", "expire_time_ms", "resend_after_ms"}


async def test_usernames_are_unique_and_given_up_for_another(stage: Stage) -> None:
    one, other = await asyncio.gather(stage.person("یک"), stage.person("دو"))
    await one.client.identity.set_username("nowruz_1400")
    assert await other.client.identity.resolve_username("@nowruz_1400") == one.user_id
    await refused(other.client.identity.set_username("nowruz_1400"), "REASON_USERNAME_TAKEN", Status.ALREADY_EXISTS)
    await one.client.identity.set_username("nowruz_1401")
    await other.client.identity.set_username("nowruz_1400")
    assert await one.client.identity.resolve_username("nowruz_1400") == other.user_id
    seen = await one.client.identity.get_user(other.user_id)
    assert (seen.name, seen.username) == ("دو", "nowruz_1400")


async def test_of_many_who_want_a_username_at_once_one_gets_it(stage: Stage) -> None:
    people = await asyncio.gather(*(stage.person(f"p{n}") for n in range(5)))
    wishes = (person.client.identity.set_username("everybodys_wish") for person in people)
    answers = await asyncio.gather(*wishes, return_exceptions=True)
    assert sum(answer == "everybodys_wish" for answer in answers) == 1
    reasons = {getattr(answer, "reason", "") for answer in answers if isinstance(answer, Exception)}
    assert reasons == {"REASON_USERNAME_TAKEN"}


async def test_tokens_are_refreshed_and_an_old_refresh_token_ends_the_session(stage: Stage) -> None:
    person = await stage.person("x")
    first = await person.client.session()
    path = "/chapar.identity.v1.IdentityService/RefreshTokens"

    def request() -> identity.RefreshTokensRequest:
        request_id = new_request_id(int(time.time() * 1000))
        return identity.RefreshTokensRequest(request_id=request_id, refresh_token=first.refresh_token)

    refresh = request()
    answer = await raw_call(stage.up.gateway_address, path, refresh.SerializeToString())
    assert answer.status is Status.OK
    again = await raw_call(stage.up.gateway_address, path, refresh.SerializeToString())
    assert again.answer == answer.answer, "the same request gets the same tokens"
    thief = await raw_call(stage.up.gateway_address, path, request().SerializeToString())
    assert (thief.status, thief.reason) == (Status.UNAUTHENTICATED, "REASON_REFRESH_TOKEN_REUSED")
    newest = identity.RefreshTokensResponse.FromString(answer.answer).tokens.refresh_token
    family = request()
    family.refresh_token = newest
    ended = await raw_call(stage.up.gateway_address, path, family.SerializeToString())
    assert (ended.status, ended.reason) == (Status.UNAUTHENTICATED, "REASON_REFRESH_TOKEN_INVALID")


async def test_a_revoked_session_is_refused_within_a_second_and_its_stream_ends(stage: Stage) -> None:
    phone = stage.new_phone()
    lost, kept = await stage.person("x", phone=phone), await stage.person("x", phone=phone)
    lost.read()
    await lost.until(lambda: lost.updates, "a connection")
    lost_session = (await lost.client.session()).session_id
    await kept.client.identity.revoke_session(lost_session)
    revoked = time.monotonic()
    async with asyncio.timeout(20):
        await lost.reading_ended()
    assert time.monotonic() - revoked < 1.0
    assert isinstance(lost.ended, SignedOut)
    assert [session.session_id async for session in kept.client.identity.sessions()] == [
        (await kept.client.session()).session_id
    ]


async def test_unary_calls_of_a_revoked_session_are_refused_within_a_second(stage: Stage) -> None:
    phone = stage.new_phone()
    lost, kept = await stage.person("x", phone=phone), await stage.person("x", phone=phone)
    session = await lost.client.session()
    token = (("authorization", f"Bearer {session.access_token}"),)
    path = "/chapar.payments.v1.PaymentsService/GetWallet"
    assert (await raw_call(stage.up.gateway_address, path, b"", token)).status is Status.OK
    await kept.client.identity.revoke_session(session.session_id)
    revoked = time.monotonic()
    async with asyncio.timeout(20):
        while (outcome := await raw_call(stage.up.gateway_address, path, b"", token)).status is Status.OK:
            continue
    assert time.monotonic() - revoked < 1.0
    assert (outcome.status, outcome.reason) == (Status.UNAUTHENTICATED, "REASON_SESSION_REVOKED")
