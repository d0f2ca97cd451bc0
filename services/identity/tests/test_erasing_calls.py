from __future__ import annotations

from chapar.identity.events.v1 import events_pb2 as public
from chapar.identity.v1 import identity_pb2 as api
from chapar_chassis.refusals import CallRefused
from chapar_identity.publishing import EVENTS_TOPIC, REVOCATIONS_TOPIC
from chapar_sourcing.erasures import LAST_PERIOD_MS

from .installation import Identity, Session, until
from .test_profile_calls import OTHER_PHONE, PHONE, resolved, seen, set_username

NAME = "آرش کمانگیر"


def account(identity: Identity, session: Session) -> api.EraseAccountRequest:
    return api.EraseAccountRequest(request_id=identity.request_id(), confirm_user_id=session.user_id)


def user(identity: Identity, user_id: str, grounds: str = "case 7") -> api.EraseUserRequest:
    return api.EraseUserRequest(request_id=identity.request_id(), user_id=user_id, grounds=grounds)


async def named(identity: Identity, phone: str = PHONE) -> Session:
    session = await identity.sign_in(phone)
    request = api.UpdateProfileRequest(request_id=identity.request_id(), name=NAME)
    await identity.call(request, api.UpdateProfileResponse, session)
    return session


async def is_destroyed(identity: Identity, user_id: str) -> bool:
    periods = [period for subject, period in identity.world.keys.rows if subject == user_id]
    return periods == [LAST_PERIOD_MS]


async def test_an_erased_account_has_no_name_no_sessions_and_no_keys(identity: Identity) -> None:
    arash, bahar = await named(identity), await identity.sign_in(OTHER_PHONE)
    assert (await seen(identity, arash.user_id, bahar)).name == NAME
    assert (await identity.call(account(identity, arash), api.EraseAccountResponse, arash)).erase_time_ms > 0
    shown = await seen(identity, arash.user_id, bahar)
    assert (shown.name, shown.erased) == ("", True)
    assert not (await seen(identity, bahar.user_id, bahar)).erased
    await until(lambda: is_destroyed(identity, arash.user_id))
    revoked = public.SessionRevoked(user_id=arash.user_id, session_id=arash.session_id)
    await identity.world.until_published(REVOCATIONS_TOPIC, public.Event(session_revoked=revoked))
    erased = public.UserErased(user_id=arash.user_id)
    await identity.world.until_published(EVENTS_TOPIC, public.Event(user_erased=erased))


async def test_an_account_is_not_erased_without_its_own_name(identity: Identity) -> None:
    arash, bahar = await named(identity), await identity.sign_in(OTHER_PHONE)
    assert await identity.refused(account(identity, bahar), arash) == ("CONFIRMATION_WRONG", {})
    empty = api.EraseAccountRequest(request_id=identity.request_id())
    assert await identity.refused(empty, arash) == ("CONFIRMATION_WRONG", {})
    assert (await seen(identity, arash.user_id, bahar)).name == NAME


async def test_an_operator_erases_on_grounds_and_may_repeat_it(identity: Identity) -> None:
    arash, bahar = await named(identity), await identity.sign_in(OTHER_PHONE)
    assert await identity.refused(user(identity, arash.user_id, ""), operator="mina") == ("GROUNDS_INVALID", {})
    assert await identity.refused(user(identity, "z" * 26), operator="mina") == ("USER_UNKNOWN", {})
    stranger = identity.context.user_ids.mint(bytes(10))
    assert await identity.refused(user(identity, stranger), operator="mina") == ("USER_UNKNOWN", {})
    request = user(identity, arash.user_id)
    first = await identity.call(request, api.EraseUserResponse, operator="mina")
    await until(lambda: is_destroyed(identity, arash.user_id))
    assert await identity.call(request, api.EraseUserResponse, operator="mina") == first
    assert identity.replayed
    await identity.call(user(identity, arash.user_id), api.EraseUserResponse, operator="mina")
    assert (await seen(identity, arash.user_id, bahar)).erased


async def test_phone_and_username_of_an_erased_account_are_free_again(identity: Identity) -> None:
    arash, bahar = await named(identity), await identity.sign_in(OTHER_PHONE)
    await set_username(identity, "arash_k", arash)
    assert await resolved(identity, "arash_k", bahar) == arash.user_id
    await identity.call(account(identity, arash), api.EraseAccountResponse, arash)

    async def is_free() -> bool:
        try:
            await resolved(identity, "arash_k", bahar)
        except CallRefused as refusal:
            return refusal.reason == "REASON_USERNAME_UNKNOWN"
        return False

    await until(is_free)
    assert await set_username(identity, "arash_k", bahar) == "arash_k"
    identity.world.clock.leap(60_000)
    again = await identity.sign_in(PHONE, number=2)
    assert again.new_user
    assert again.user_id != arash.user_id
    profile = (await identity.call(api.GetProfileRequest(), api.GetProfileResponse, again)).profile
    assert (profile.phone, profile.name) == (PHONE, "")
