from __future__ import annotations

import asyncio
import time

import pytest

from chapar.identity.v1 import identity_pb2 as api
from chapar_chassis.tokens import AccessToken
from chapar_identity.api.sign_in import START_SECONDS_MIN
from chapar_identity.domain.limits import DAY_MS

from .installation import CALL_SECONDS, PARTITIONS, Identity, World

PHONE, OTHER_PHONE = "+989121234567", "+989351234567"
PERSIAN_DIGITS = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")


def other_code(code: str, steps: int = 1) -> str:
    return f"{(int(code) + steps) % 1_000_000:06d}"


async def test_a_newcomer_signs_in_and_sees_their_profile(identity: Identity) -> None:
    session = await identity.sign_in(PHONE)
    assert session.new_user
    assert identity.context.user_ids.is_genuine(session.user_id)
    access = identity.verifier().verify(session.tokens.access_token, identity.world.clock.now_ms())
    assert isinstance(access, AccessToken)
    assert (access.user_id, access.session_id) == (session.user_id, session.session_id)
    profile = (await identity.call(api.GetProfileRequest(), api.GetProfileResponse, session)).profile
    assert (profile.user_id, profile.phone, profile.name, profile.username) == (session.user_id, PHONE, "", "")


async def test_the_same_phone_is_the_same_user_and_another_phone_another(identity: Identity) -> None:
    first, other = await identity.sign_in(PHONE), await identity.sign_in(OTHER_PHONE)
    again = await identity.sign_in(PHONE, 2)
    assert (again.user_id, again.new_user) == (first.user_id, False)
    assert again.session_id != first.session_id
    assert other.user_id != first.user_id


async def test_a_code_in_persian_digits_is_accepted(identity: Identity) -> None:
    challenge = await identity.start(PHONE)
    code = (await identity.world.codes.code_for(PHONE)).translate(PERSIAN_DIGITS)
    answer = await identity.call(identity.completion(challenge.challenge_id, code), api.CompleteSignInResponse)
    assert answer.new_user


async def test_a_repeated_start_gets_the_same_challenge_and_sends_no_second_code(identity: Identity) -> None:
    request = api.StartSignInRequest(request_id=identity.request_id(), phone=PHONE)
    first = await identity.call(request, api.StartSignInResponse)
    await identity.world.codes.code_for(PHONE)
    assert await identity.call(request, api.StartSignInResponse) == first
    assert identity.replayed
    await identity.sign_in(OTHER_PHONE)
    assert len([sent_to for sent_to, _ in identity.world.codes.sent if sent_to == PHONE]) == 1


async def test_no_start_is_answered_before_the_time_that_hides_whether_the_phone_is_known(identity: Identity) -> None:
    started = time.monotonic()
    await identity.start(PHONE)
    assert time.monotonic() - started >= START_SECONDS_MIN


async def test_a_repeated_completion_gets_the_same_tokens(identity: Identity) -> None:
    challenge = await identity.start(PHONE)
    request = identity.completion(challenge.challenge_id, await identity.world.codes.code_for(PHONE))
    first = await identity.call(request, api.CompleteSignInResponse)
    assert await identity.call(request, api.CompleteSignInResponse) == first
    assert identity.replayed


async def test_a_code_is_good_once(identity: Identity) -> None:
    challenge = await identity.start(PHONE)
    code = await identity.world.codes.code_for(PHONE)
    await identity.call(identity.completion(challenge.challenge_id, code), api.CompleteSignInResponse)
    assert await identity.refused(identity.completion(challenge.challenge_id, code)) == ("CHALLENGE_UNKNOWN", {})


async def test_five_wrong_codes_end_a_challenge_and_repetitions_do_not_count(identity: Identity) -> None:
    challenge = await identity.start(PHONE)
    code = await identity.world.codes.code_for(PHONE)
    for left in (4, 3, 2, 1):
        wrong = identity.completion(challenge.challenge_id, other_code(code, left))
        for _ in range(2):
            assert await identity.refused(wrong) == ("CODE_WRONG", {"tries_left": str(left)})
    wrong = identity.completion(challenge.challenge_id, other_code(code))
    assert await identity.refused(wrong) == ("CHALLENGE_EXHAUSTED", {})
    assert await identity.refused(identity.completion(challenge.challenge_id, code)) == ("CHALLENGE_EXHAUSTED", {})


async def test_a_code_expires_after_two_minutes(identity: Identity) -> None:
    challenge = await identity.start(PHONE)
    code = await identity.world.codes.code_for(PHONE)
    identity.world.clock.leap(120_000)
    assert await identity.refused(identity.completion(challenge.challenge_id, code)) == ("CHALLENGE_EXPIRED", {})


async def test_a_resend_waits_and_then_ends_the_first_challenge(identity: Identity) -> None:
    first = await identity.start(PHONE)
    code = await identity.world.codes.code_for(PHONE)
    request = api.StartSignInRequest(request_id=identity.request_id(), phone=PHONE)
    reason, detail = await identity.refused(request)
    assert reason == "RESEND_TOO_SOON"
    assert 0 < int(detail["retry_after_ms"]) <= 30_000
    identity.world.clock.leap(30_000)
    await identity.sign_in(PHONE, 2)
    assert await identity.refused(identity.completion(first.challenge_id, code)) == ("CHALLENGE_UNKNOWN", {})


@pytest.mark.parametrize("phone", ["", "+98", "989121234567", "+982112345678", "+98 9121234567", "x" * 300])
async def test_no_code_goes_to_what_is_no_mobile_number(identity: Identity, phone: str) -> None:
    request = api.StartSignInRequest(request_id=identity.request_id(), phone=phone)
    assert (await identity.refused(request))[0] in ("PHONE_INVALID", "KEY_INVALID")
    assert identity.world.codes.sent == []


async def test_hostile_completions_are_refused_in_the_documented_order(identity: Identity) -> None:
    challenge = await identity.start(PHONE)
    for device in ("", "x" * 65, "a\nb"):
        bad = identity.completion(challenge.challenge_id, "abc", device)
        assert (await identity.refused(bad))[0] == "DEVICE_INVALID"
    for challenge_id in ("s0000.abc", f"s0000.1{'a' * 26}.{'b' * 26}", challenge.challenge_id + "a"):
        assert (await identity.refused(identity.completion(challenge_id, "123456")))[0] == "CHALLENGE_UNKNOWN"
    assert await identity.refused(identity.completion(challenge.challenge_id, "12345")) == ("CODE_WRONG", {})


async def test_guessing_at_challenges_makes_no_keys_and_no_users(identity: Identity) -> None:
    challenge = await identity.start(PHONE)
    code = await identity.world.codes.code_for(PHONE)
    for number in range(4):
        await identity.refused(identity.completion(challenge.challenge_id, other_code(code, number + 1)))
    subjects = {subject for subject, _ in identity.world.keys.rows}
    assert {subject.split(":")[0] for subject in subjects} == {"phone", "sign-in"}


async def test_neither_phone_nor_code_nor_token_stands_in_the_journal(identity: Identity) -> None:
    session = await identity.sign_in(PHONE, device="گوشی آرش")
    await identity.refresh(session.tokens.refresh_token)
    await identity.call(
        api.UpdateProfileRequest(request_id=identity.request_id(), name="آرش کمانگیر"),
        api.UpdateProfileResponse,
        session,
    )
    (code,) = [code for _, code in identity.world.codes.sent]
    secrets = [PHONE[1:], code, session.tokens.refresh_token, "گوشی", "کمانگیر"]
    stored = b"".join(record.data for records in identity.world.log.records.values() for record in records)
    assert session.user_id.encode() in stored
    assert [secret for secret in secrets if secret.encode() in stored] == []


async def test_a_new_process_knows_everybody_and_every_answer(world: World) -> None:
    async with world.process() as identity:
        challenge = await identity.start(PHONE)
        request = identity.completion(challenge.challenge_id, await world.codes.code_for(PHONE))
        first = await identity.call(request, api.CompleteSignInResponse)
    async with world.process() as identity:
        assert await identity.call(request, api.CompleteSignInResponse) == first
        again = await identity.sign_in(PHONE, 2)
        assert (again.user_id, again.new_user) == (first.user_id, False)


async def test_a_day_after_its_last_code_nothing_is_left_of_a_number_that_nobody_proved(world: World) -> None:
    async with world.process() as identity:
        await identity.start(PHONE)
        await world.codes.code_for(PHONE)
        user = await identity.sign_in(OTHER_PHONE)
    assert live(world) == {"phone": 2, "timer": 2}
    world.clock.leap(DAY_MS)
    async with world.process() as identity, asyncio.timeout(CALL_SECONDS):
        while True:
            if live(world) == {"phone": 1, "timer": 0}:
                break
            await asyncio.sleep(0.02)
        again = await identity.sign_in(OTHER_PHONE, 2)
        assert (again.user_id, again.new_user) == (user.user_id, False)


def live(world: World) -> dict[str, int]:
    """How many phones and timers the store has."""
    documents = [
        key.kind
        for partition in range(PARTITIONS)
        for key, stored in world.tables.of(partition, None).documents.items()
        if stored.data is not None
    ]
    return {kind: documents.count(kind) for kind in ("phone", "timer")}
