from __future__ import annotations

import asyncio

import pytest

from chapar.identity.events.v1 import events_pb2 as public
from chapar.identity.v1 import identity_pb2 as api
from chapar_chassis.refusals import CallRefused
from chapar_identity.publishing import EVENTS_TOPIC

from .installation import Identity, Session, until

PHONE, OTHER_PHONE = "+989121234567", "+989351234567"


async def set_username(identity: Identity, username: str, session: Session) -> str:
    request = api.SetUsernameRequest(request_id=identity.request_id(), username=username)
    return (await identity.call(request, api.SetUsernameResponse, session)).username


async def resolved(identity: Identity, username: str, session: Session) -> str:
    request = api.ResolveUsernameRequest(username=username)
    return (await identity.call(request, api.ResolveUsernameResponse, session)).user_id


async def seen(identity: Identity, user_id: str, session: Session) -> api.GetUserResponse:
    return await identity.call(api.GetUserRequest(user_id=user_id), api.GetUserResponse, session)


async def test_a_name_is_canonical_and_seen_by_others(identity: Identity) -> None:
    arash, bahar = await identity.sign_in(PHONE), await identity.sign_in(OTHER_PHONE)
    request = api.UpdateProfileRequest(request_id=identity.request_id(), name="  آرش\u200cکمانگیر ")
    await identity.call(request, api.UpdateProfileResponse, arash)
    assert (await seen(identity, arash.user_id, bahar)).name == "آرش\u200cکمانگیر"


async def test_others_do_not_see_a_phone(identity: Identity) -> None:
    arash, bahar = await identity.sign_in(PHONE), await identity.sign_in(OTHER_PHONE)
    assert PHONE[1:].encode() not in (await seen(identity, arash.user_id, bahar)).SerializeToString()


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 65, "\u202ea"])
async def test_bad_names_change_nothing(identity: Identity, name: str) -> None:
    session = await identity.sign_in(PHONE)
    request = api.UpdateProfileRequest(request_id=identity.request_id(), name=name)
    assert await identity.refused(request, session) == ("NAME_INVALID", {})
    assert (await seen(identity, session.user_id, session)).name == ""


async def test_unknown_and_invented_users_are_unknown(identity: Identity) -> None:
    session = await identity.sign_in(PHONE)
    never_registered = identity.context.user_ids.mint(bytes(10))
    for user_id in ("a" * 26, session.user_id.upper(), "x", never_registered):
        assert await identity.refused(api.GetUserRequest(user_id=user_id), session) == ("USER_UNKNOWN", {})


async def test_a_username_is_taken_resolved_and_given_up(identity: Identity) -> None:
    arash, bahar = await identity.sign_in(PHONE), await identity.sign_in(OTHER_PHONE)
    assert await set_username(identity, "arash_k", arash) == "arash_k"
    assert await resolved(identity, "arash_k", bahar) == arash.user_id
    assert (await seen(identity, arash.user_id, bahar)).username == "arash_k"
    assert await set_username(identity, "kamangir", arash) == "kamangir"
    await until(lambda: is_unknown(identity, "arash_k", bahar))
    assert await set_username(identity, "arash_k", bahar) == "arash_k"


async def is_unknown(identity: Identity, username: str, session: Session) -> bool:
    try:
        await resolved(identity, username, session)
    except CallRefused as refusal:
        return refusal.reason == "REASON_USERNAME_UNKNOWN"
    return False


async def test_a_taken_username_is_refused_and_again_when_repeated(identity: Identity) -> None:
    arash, bahar = await identity.sign_in(PHONE), await identity.sign_in(OTHER_PHONE)
    await set_username(identity, "arash_k", arash)
    await set_username(identity, "bahar", bahar)
    request = api.SetUsernameRequest(request_id=identity.request_id(), username="arash_k")
    assert await identity.refused(request, bahar) == ("USERNAME_TAKEN", {})
    await set_username(identity, "bahar_2", bahar)
    assert await identity.refused(request, bahar) == ("USERNAME_TAKEN", {})
    assert (await seen(identity, bahar.user_id, bahar)).username == "bahar_2"


async def test_of_two_who_want_the_same_username_at_once_one_gets_it(identity: Identity) -> None:
    sessions = [await identity.sign_in(phone) for phone in (PHONE, OTHER_PHONE)]
    outcomes = await asyncio.gather(
        *(set_username(identity, "shirin", session) for session in sessions), return_exceptions=True
    )
    assert sorted(map(str, outcomes)) == ["REASON_USERNAME_TAKEN", "shirin"]
    winner = sessions[outcomes.index("shirin")]
    assert await resolved(identity, "shirin", winner) == winner.user_id


async def test_wishing_for_what_one_holds_is_answered_at_once(identity: Identity) -> None:
    session = await identity.sign_in(PHONE)
    await set_username(identity, "arash_k", session)
    assert await set_username(identity, "arash_k", session) == "arash_k"


@pytest.mark.parametrize("username", ["", "abcd", "Arash_k", "1arash", "آرش", "a" * 33, "a" * 2_000])
async def test_usernames_that_are_not_canonical_are_refused(identity: Identity, username: str) -> None:
    session = await identity.sign_in(PHONE)
    request = api.SetUsernameRequest(request_id=identity.request_id(), username=username)
    assert await identity.refused(request, session) == ("USERNAME_INVALID", {})
    asked = await identity.refused(api.ResolveUsernameRequest(username=username), session)
    assert asked[0] in ("USERNAME_INVALID", "KEY_INVALID")


async def test_a_username_that_nobody_has_is_unknown(identity: Identity) -> None:
    session = await identity.sign_in(PHONE)
    assert await identity.refused(api.ResolveUsernameRequest(username="nobody"), session) == ("USERNAME_UNKNOWN", {})


async def test_a_new_user_is_published_once(identity: Identity) -> None:
    session = await identity.sign_in(PHONE)
    await identity.sign_in(PHONE, 2)
    registered = public.Event(user_registered=public.UserRegistered(user_id=session.user_id))
    await identity.world.until_published(EVENTS_TOPIC, registered)
    assert identity.world.published(EVENTS_TOPIC) == [registered]
