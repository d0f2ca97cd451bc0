from __future__ import annotations

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar_identity.domain.content import Content
from chapar_identity.reactors.usernames import next_steps
from chapar_sourcing.erasures import FORCED_AHEAD_MS, LAST_PERIOD_MS

from .play import (
    ARASH,
    BAHAR,
    PHONE,
    Play,
    complete,
    confirm,
    kinds,
    open_session,
    reason,
    refresh,
    release,
    reserve,
    session_id,
    set_username,
    signed_in,
    start,
    update_profile,
)

PHONE_KEY = f"s0001.{PHONE}"


def erase(user_id: str = ARASH, *, caller_number: int | None = 1) -> pb.Command:
    """One's own wish, or an operator's."""
    caller = "" if caller_number is None else session_id(caller_number)
    grounds = "" if caller else "case 7"
    wanted = pb.EraseUser(user_id=user_id, caller_session_id=caller, phone_key=PHONE_KEY, grounds=grounds)
    return pb.Command(erase_user=wanted)


def release_phone(user_id: str = ARASH) -> pb.Command:
    return pb.Command(release_phone=pb.ReleasePhone(phone_hash=PHONE, user_id=user_id))


def test_an_erased_user_keeps_nothing_but_their_end() -> None:
    play = signed_in(ARASH).given(update_profile())
    assert kinds(play.when(erase())) == ["session_ended", "user_erased"]
    user = play.user()
    assert user is not None
    assert (user.name, user.phone, user.is_erased) == (None, Content(), True)
    assert play.sessions().sessions == ()
    assert play.events[-1].user_erased.erasure.period_ms == LAST_PERIOD_MS
    assert play.events[-2].session_ended.end == pb.SESSION_END_ERASED


def test_only_an_open_session_of_the_user_or_an_operator_erases() -> None:
    play = signed_in(ARASH, BAHAR)
    assert reason(play.when(erase(caller_number=2))) == "SESSION_ENDED"
    assert reason(play.when(erase("z" * 26, caller_number=None))) == "USER_UNKNOWN"
    assert kinds(play.when(erase(caller_number=None)))[-1] == "user_erased"
    assert play.events[-1].user_erased.grounds == "case 7"


def test_a_user_ends_once() -> None:
    play = signed_in(ARASH).given(erase())
    assert kinds(play.when(erase(caller_number=None))) == []
    assert reason(play.when(erase())) == "SESSION_ENDED"


def test_an_erased_user_can_do_nothing_more() -> None:
    play = signed_in(ARASH).given(erase())
    assert reason(play.when(update_profile())) == "SESSION_ENDED"
    assert reason(play.when(set_username("arash"))) == "SESSION_ENDED"
    assert reason(play.when(refresh(1))) == "REFRESH_TOKEN_INVALID"


def test_a_sign_in_that_arrives_after_the_end_is_revoked_and_moves_its_mark() -> None:
    play = signed_in(ARASH).given(erase())
    assert kinds(play.when(open_session(number=2, offset=2, previous=1))) == ["session_ended"]
    assert play.events[-1].session_ended.session_id == session_id(2)
    assert kinds(play.when(open_session(number=2, offset=2, previous=1))) == []
    assert kinds(play.when(open_session(BAHAR, 1, offset=3, previous=2))) == ["user_registered", "session_opened"]


def test_the_username_of_an_erased_user_is_released() -> None:
    play = signed_in(ARASH).given(set_username("arash_k"), reserve("arash_k"), confirm("arash_k"), erase())
    (step,) = next_steps(play.events[-1])
    assert step.command == release("arash_k")
    assert kinds(play.when(release("arash_k"))) == ["username_released"]
    assert play.naming().username == ""


def test_a_wish_that_was_open_at_the_end_is_declined_and_released() -> None:
    play = signed_in(ARASH).given(set_username("arash_k"), erase(), reserve("arash_k"))
    assert next_steps(play.events[-2]) == []
    assert kinds(play.when(confirm("arash_k"))) == ["username_declined"]
    (step,) = next_steps(play.events[-1])
    assert step.command == release("arash_k")


def test_a_released_phone_is_nobodys_and_keeps_what_bounds_its_codes() -> None:
    play = Play().given(start(), complete(), start(2))
    before = play.phone()
    assert kinds(play.when(release_phone())) == ["phone_released"]
    phone = play.phone()
    assert (phone.user_id, phone.phone, phone.challenge) == ("", Content(), None)
    assert (phone.run, phone.last_start_ms, phone.day_count) == (before.run, before.last_start_ms, before.day_count)
    assert play.events[-1].phone_released.erasure.period_ms == play.now_ms + FORCED_AHEAD_MS
    assert kinds(play.when(release_phone())) == []


def test_a_phone_that_is_anothers_by_now_is_not_released() -> None:
    play = Play().given(start(), complete(), release_phone()).later(60_000)
    play.given(start(2), complete(number=2, user_id=BAHAR))
    assert kinds(play.when(release_phone())) == []
    assert play.phone().user_id == BAHAR


def test_each_release_of_a_phone_forces_a_later_key() -> None:
    play = Play().given(start(), complete(), release_phone()).later(60_000)
    play.now_ms -= 60_000 * 5
    play.given(start(2), complete(number=2, user_id=BAHAR), release_phone(BAHAR))
    periods = [e.phone_released.erasure.period_ms for e in play.events if e.HasField("phone_released")]
    assert periods[1] > periods[0]
