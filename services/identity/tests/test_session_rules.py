from __future__ import annotations

import pytest

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar_identity.domain.limits import ENDED_SESSIONS_MAX, SESSIONS_MAX
from chapar_sourcing.creations import HOLE_REASON
from chapar_sourcing.domain import Refused

from .play import (
    ARASH,
    BAHAR,
    CYRUS,
    Play,
    kinds,
    open_session,
    reason,
    refresh,
    revoke,
    session_id,
    signed_in,
    update_profile,
)


def end_of(play: Play) -> tuple[str, pb.SessionEnd.ValueType]:
    ended = play.events[-1].session_ended
    return ended.session_id, ended.end


def test_the_first_session_registers_its_user() -> None:
    play = Play()
    assert kinds(play.when(open_session())) == ["user_registered", "session_opened"]
    user = play.user()
    assert user is not None
    assert (user.create_time_ms, user.name) == (5, None)
    assert [session.session_id for session in play.sessions().sessions] == [session_id(1)]


def test_a_further_session_registers_nobody() -> None:
    play = signed_in(ARASH)
    assert kinds(play.when(open_session(number=2, offset=2, previous=1))) == ["session_opened"]


def test_a_repeated_sign_in_opens_nothing() -> None:
    play = signed_in(ARASH)
    assert kinds(play.when(open_session())) == []
    assert len(play.sessions().sessions) == 1


def test_a_repeated_sign_in_does_not_bring_back_an_ended_session() -> None:
    play = signed_in(ARASH).given(revoke(1))
    assert kinds(play.when(open_session())) == []
    assert play.sessions().sessions == ()


def test_a_sign_in_whose_predecessor_is_missing_is_sent_back() -> None:
    assert signed_in(ARASH).when(open_session(number=3, offset=3, previous=2)) == Refused(HOLE_REASON)


def test_one_session_too_many_ends_the_oldest() -> None:
    play = Play()
    for number in range(1, SESSIONS_MAX + 1):
        play.given(open_session(number=number, offset=number, previous=number - 1 or None))
    assert len(play.sessions().sessions) == SESSIONS_MAX
    decision = play.when(open_session(number=SESSIONS_MAX + 1, offset=SESSIONS_MAX + 1, previous=SESSIONS_MAX))
    assert kinds(decision) == ["session_ended", "session_opened"]
    ended = play.events[-2].session_ended
    assert (ended.session_id, ended.end) == (session_id(1), pb.SESSION_END_OVERFLOW)
    assert [each.session_id for each in play.sessions().sessions] == [
        session_id(number) for number in range(2, SESSIONS_MAX + 2)
    ]


def test_refreshing_moves_to_the_next_generation() -> None:
    play = signed_in(ARASH).later(7)
    assert kinds(play.when(refresh(1))) == ["tokens_refreshed"]
    assert play.events[-1].tokens_refreshed.generation == 2
    assert play.sessions().sessions[0].refresh_time_ms == play.now_ms
    assert kinds(play.when(refresh(2))) == ["tokens_refreshed"]


@pytest.mark.parametrize("old", [1, 2])
def test_a_reused_token_ends_the_session_and_all_its_tokens(old: int) -> None:
    play = signed_in(ARASH).given(refresh(1), refresh(2), refresh(old))
    assert end_of(play) == (session_id(1), pb.SESSION_END_TOKEN_REUSED)
    assert reason(play.when(refresh(3))) == "REFRESH_TOKEN_INVALID"
    assert reason(play.when(refresh(old))) == "REFRESH_TOKEN_INVALID"


def test_a_reused_token_leaves_other_sessions_alone() -> None:
    play = signed_in(ARASH).given(open_session(number=2, offset=2, previous=1), refresh(1), refresh(1))
    assert kinds(play.when(refresh(1, number=2))) == ["tokens_refreshed"]


@pytest.mark.parametrize(
    "command", [refresh(2), refresh(1, number=2), refresh(1, user_id=BAHAR)], ids=["ahead", "no session", "no user"]
)
def test_tokens_of_no_open_session_are_invalid(command: pb.Command) -> None:
    assert reason(signed_in(ARASH).when(command)) == "REFRESH_TOKEN_INVALID"


def test_revoking_ends_the_session() -> None:
    play = signed_in(ARASH).given(open_session(number=2, offset=2, previous=1))
    assert kinds(play.when(revoke(2))) == ["session_ended"]
    assert end_of(play) == (session_id(2), pb.SESSION_END_REVOKED)
    assert reason(play.when(refresh(1, number=2))) == "REFRESH_TOKEN_INVALID"


def test_a_session_may_end_itself_and_nothing_after() -> None:
    play = signed_in(ARASH).given(open_session(number=2, offset=2, previous=1), revoke(1))
    assert reason(play.when(revoke(2))) == "SESSION_ENDED"
    assert reason(play.when(update_profile())) == "SESSION_ENDED"


@pytest.mark.parametrize("number", [2, 3])
def test_sessions_that_are_not_ones_own_or_not_there_cannot_be_revoked(number: int) -> None:
    play = signed_in(ARASH).given(open_session(BAHAR, 2, offset=2, previous=1))
    assert reason(play.when(revoke(number))) == "SESSION_UNKNOWN"
    assert len(play.sessions(BAHAR).sessions) == 1


def test_the_ended_caller_comes_before_the_unknown_session() -> None:
    assert reason(signed_in(ARASH).given(revoke(1)).when(revoke(9))) == "SESSION_ENDED"


def test_a_name_is_changed_by_an_open_session_only() -> None:
    play = signed_in(ARASH)
    assert kinds(play.when(update_profile())) == ["profile_updated"]
    user = play.user()
    assert user is not None
    assert user.name is not None
    assert reason(play.when(update_profile(CYRUS))) == "SESSION_ENDED"
    assert reason(play.when(update_profile(caller_number=2))) == "SESSION_ENDED"


def test_ended_sessions_are_remembered_up_to_a_bound() -> None:
    play = Play()
    for number in range(1, ENDED_SESSIONS_MAX + 2):
        play.given(open_session(number=number, offset=number, previous=number - 1 or None))
        play.given(revoke(number, caller_number=number))
    sessions = play.sessions()
    assert len(sessions.ended) == ENDED_SESSIONS_MAX
    assert [sessions.has_seen(session_id(number)) for number in (1, 2, ENDED_SESSIONS_MAX + 1)] == [False, True, True]
