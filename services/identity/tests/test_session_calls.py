from __future__ import annotations

import pytest

from chapar.identity.events.v1 import events_pb2 as public
from chapar.identity.v1 import identity_pb2 as api
from chapar_chassis.tokens import AccessToken
from chapar_identity.publishing import EVENTS_TOPIC, REVOCATIONS_TOPIC
from chapar_sourcing.requests import make_request_id

from .installation import Identity, Session, World

PHONE, OTHER_PHONE = "+989121234567", "+989351234567"


async def until_revoked(world: World, session: Session) -> None:
    """Waits until gateways can know that a session has ended."""
    revoked = public.Event(
        session_revoked=public.SessionRevoked(user_id=session.user_id, session_id=session.session_id)
    )
    for topic in (REVOCATIONS_TOPIC, EVENTS_TOPIC):
        await world.until_published(topic, revoked)


async def sessions_of(identity: Identity, session: Session) -> list[api.Session]:
    return list((await identity.call(api.ListSessionsRequest(), api.ListSessionsResponse, session)).sessions)


def revocation(identity: Identity, session_id: str) -> api.RevokeSessionRequest:
    return api.RevokeSessionRequest(request_id=identity.request_id(), session_id=session_id)


async def test_refreshing_gives_a_new_pair_and_a_repetition_the_same(identity: Identity) -> None:
    session = await identity.sign_in(PHONE)
    request = api.RefreshTokensRequest(request_id=identity.request_id(), refresh_token=session.tokens.refresh_token)
    first = await identity.call(request, api.RefreshTokensResponse)
    assert first.tokens.refresh_token != session.tokens.refresh_token
    assert await identity.call(request, api.RefreshTokensResponse) == first
    access = identity.verifier().verify(first.tokens.access_token, identity.world.clock.now_ms())
    assert isinstance(access, AccessToken)
    assert access.session_id == session.session_id
    assert (await identity.refresh(first.tokens.refresh_token)).refresh_token != first.tokens.refresh_token


async def test_a_reused_refresh_token_ends_its_family_and_gateways_hear_of_it(identity: Identity) -> None:
    session, other = await identity.sign_in(PHONE), await identity.sign_in(PHONE, 2)
    newest = await identity.refresh(session.tokens.refresh_token)
    stolen = api.RefreshTokensRequest(request_id=identity.request_id(), refresh_token=session.tokens.refresh_token)
    for _ in range(2):
        assert await identity.refused(stolen) == ("REFRESH_TOKEN_REUSED", {})
    after = api.RefreshTokensRequest(request_id=identity.request_id(), refresh_token=newest.refresh_token)
    assert await identity.refused(after) == ("REFRESH_TOKEN_INVALID", {})
    await until_revoked(identity.world, session)
    assert [each.session_id for each in await sessions_of(identity, other)] == [other.session_id]


async def test_a_forged_refresh_token_is_refused_and_makes_no_keys(identity: Identity) -> None:
    session = await identity.sign_in(PHONE)
    token = session.tokens.refresh_token
    rows = len(identity.world.keys.rows)
    for forged in (token[:-1] + ("A" if token[-1] != "A" else "B"), token.replace(".1.", ".2."), token[:6] + "x"):
        request = api.RefreshTokensRequest(request_id=identity.request_id(), refresh_token=forged)
        assert await identity.refused(request) == ("REFRESH_TOKEN_INVALID", {})
    assert len(identity.world.keys.rows) <= rows + 1


async def test_a_refresh_right_after_sign_in_waits_for_the_session(identity: Identity) -> None:
    session = await identity.sign_in(PHONE)
    assert (await identity.refresh(session.tokens.refresh_token)).refresh_token


async def test_ones_own_sessions_are_listed_newest_first_page_by_page(identity: Identity) -> None:
    sessions = [await identity.sign_in(PHONE, number, f"دستگاه {number}") for number in (1, 2, 3)]
    await identity.sign_in(OTHER_PHONE)
    listed = await sessions_of(identity, sessions[2])
    assert [each.session_id for each in listed] == [each.session_id for each in reversed(sessions)]
    assert [each.device for each in listed] == ["دستگاه 3", "دستگاه 2", "دستگاه 1"]
    assert [each.current for each in listed] == [True, False, False]
    page = await identity.call(api.ListSessionsRequest(page_size=2), api.ListSessionsResponse, sessions[0])
    assert [each.session_id for each in page.sessions] == [each.session_id for each in listed[:2]]
    rest = api.ListSessionsRequest(page_size=2, page_token=page.next_page_token)
    last = await identity.call(rest, api.ListSessionsResponse, sessions[0])
    assert [each.session_id for each in last.sessions] == [sessions[0].session_id]
    assert last.next_page_token == ""


@pytest.mark.parametrize(("size", "token"), [(-1, ""), (0, "x"), (0, "A" * 32), (0, "0" * 31)])
async def test_pages_that_do_not_exist_are_refused(identity: Identity, size: int, token: str) -> None:
    request = api.ListSessionsRequest(page_size=size, page_token=token)
    assert await identity.refused(request, await identity.sign_in(PHONE)) == ("PAGE_INVALID", {})


async def test_a_revoked_session_is_published_and_can_do_nothing_more(identity: Identity) -> None:
    session, other = await identity.sign_in(PHONE), await identity.sign_in(PHONE, 2)
    request = revocation(identity, session.session_id)
    await identity.call(request, api.RevokeSessionResponse, other)
    await identity.call(request, api.RevokeSessionResponse, other)
    await until_revoked(identity.world, session)
    assert len(identity.world.published(REVOCATIONS_TOPIC)) == 1
    assert await identity.refused(revocation(identity, other.session_id), session) == ("SESSION_ENDED", {})
    rename = api.UpdateProfileRequest(request_id=identity.request_id(), name="دزد")
    assert await identity.refused(rename, session) == ("SESSION_ENDED", {})
    refresh = api.RefreshTokensRequest(request_id=identity.request_id(), refresh_token=session.tokens.refresh_token)
    assert await identity.refused(refresh) == ("REFRESH_TOKEN_INVALID", {})
    assert await identity.refused(revocation(identity, session.session_id), other) == ("SESSION_UNKNOWN", {})


async def test_other_peoples_sessions_cannot_be_revoked(identity: Identity) -> None:
    victim, attacker = await identity.sign_in(PHONE), await identity.sign_in(OTHER_PHONE)
    for session_id in (victim.session_id, "0" * 32, "", "x", "0" * 10_000):
        refused = await identity.refused(revocation(identity, session_id), attacker)
        assert refused == ("SESSION_UNKNOWN", {})
    assert len(await sessions_of(identity, victim)) == 1
    assert identity.world.published(REVOCATIONS_TOPIC) == []


async def test_the_one_and_twentieth_session_ends_the_oldest(identity: Identity) -> None:
    sessions: list[Session] = []
    for number in range(1, 22):
        if number == 20:
            identity.world.clock.leap(24 * 3600 * 1000)
        sessions.append(await identity.sign_in(PHONE, number))
    listed = await sessions_of(identity, sessions[-1])
    assert [each.session_id for each in listed] == [each.session_id for each in reversed(sessions[1:])]
    await until_revoked(identity.world, sessions[0])


async def test_a_session_that_is_on_its_way_still_has_not_ended(identity: Identity) -> None:
    user_id = identity.context.user_ids.mint(bytes(10))

    async def said(session_id: str) -> str:
        session = Session(user_id, session_id, api.Tokens(), True)
        rename = api.UpdateProfileRequest(request_id=identity.request_id(), name="آرش")
        return (await identity.refused(rename, session))[0]

    now_ms = identity.world.clock.now_ms()
    assert await said(make_request_id(now_ms, bytes(10)).hex()) == "UNAVAILABLE"
    assert await said(make_request_id(now_ms - 61_000, bytes(10)).hex()) == "SESSION_ENDED"
