from __future__ import annotations

import pytest

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar_identity.domain.limits import (
    CHALLENGE_LIFE_MS,
    CHALLENGE_TRIES_MAX,
    CHALLENGES_A_DAY_MAX,
    DAY_MS,
    RESEND_DELAY_MS_MAX,
)
from chapar_identity.domain.sign_in.decide import refusal_of
from chapar_identity.domain.sign_in.documents import Phone, forget_key, phone_key
from chapar_identity.domain.sign_in.rules import resend_delay_ms
from chapar_sourcing.domain import Refused, When
from chapar_sourcing.timers import TIMER_KIND, DueTimer

from .play import ARASH, BAHAR, PHONE, RIGHT, WRONG, Play, complete, kinds, reason, start


def started(play: Play, number: int) -> pb.ChallengeStarted:
    decision = play.when(start(number))
    assert not isinstance(decision, Refused), decision
    (event,) = decision
    return event.challenge_started


def after_wrong_tries(count: int) -> Play:
    return Play().given(start(), *[complete(WRONG)] * count)


def test_a_first_challenge_lives_two_minutes_and_may_be_followed_after_thirty_seconds() -> None:
    play = Play()
    event = started(play, 1)
    assert event.expire_time_ms == play.now_ms + 120_000
    assert event.resend_after_ms == 30_000


@pytest.mark.parametrize("known", [False, True])
def test_the_answer_is_the_same_for_known_and_unknown_numbers(known: bool) -> None:
    play = Play()
    if known:
        play.given(start(1), complete()).later(DAY_MS)
    event = started(play, 2)
    assert (event.expire_time_ms - play.now_ms, event.resend_after_ms) == (120_000, 30_000)


@pytest.mark.parametrize(
    ("run", "delay_ms"), [(1, 30_000), (2, 60_000), (3, 120_000), (7, 1_920_000), (8, 3_600_000), (10_000, 3_600_000)]
)
def test_the_wait_doubles_up_to_an_hour(run: int, delay_ms: int) -> None:
    assert resend_delay_ms(run) == delay_ms


def test_a_resend_waits_for_its_time_and_says_how_long() -> None:
    play = Play().given(start(1)).later(29_999)
    decision = play.when(start(2))
    assert decision == Refused("REASON_RESEND_TOO_SOON", {"retry_after_ms": "1"})
    assert started(play.later(1), 2).resend_after_ms == 60_000


def test_a_resend_ends_the_challenge_before_it() -> None:
    play = Play().given(start(1)).later(30_000).given(start(2))
    assert reason(play.when(complete(number=1))) == "CHALLENGE_UNKNOWN"
    assert kinds(play.when(complete(number=2))) == ["signed_in"]


def test_a_completed_sign_in_makes_the_next_wait_short_again() -> None:
    play = Play().given(start(1)).later(30_000).given(start(2), complete(number=2))
    assert started(play, 3).resend_after_ms == 30_000


def test_a_quiet_day_makes_the_next_wait_short_again() -> None:
    play = Play().given(start(1)).later(30_000).given(start(2)).later(DAY_MS)
    assert started(play, 3).resend_after_ms == 30_000


def test_a_phone_gets_no_more_than_a_days_codes_within_a_day() -> None:
    play = Play()
    day_start_ms = play.now_ms
    for number in range(CHALLENGES_A_DAY_MAX):
        play.given(start(number), complete(number=number)).later(1_000)
    left_ms = day_start_ms + DAY_MS - play.now_ms
    assert play.when(start(99)) == Refused("REASON_RESEND_TOO_SOON", {"retry_after_ms": str(left_ms)})
    play.later(left_ms)
    for number in range(100, 100 + CHALLENGES_A_DAY_MAX):
        play.given(start(number), complete(number=number)).later(1_000)
    assert reason(play.when(start(200))) == "RESEND_TOO_SOON"


def test_of_two_waits_the_longer_one_counts() -> None:
    play = Play()
    for number in range(1, 9):
        play.given(start(number)).later(resend_delay_ms(number))
    assert reason(play.later(-1).when(start(9))) == "RESEND_TOO_SOON"
    assert started(play.later(1), 9).resend_after_ms == RESEND_DELAY_MS_MAX


def test_the_right_code_signs_a_new_phone_in_as_a_new_user() -> None:
    play = Play().given(start())
    decision = play.when(complete())
    assert not isinstance(decision, Refused)
    assert (decision[0].signed_in.session.user_id, decision[0].signed_in.new_user) == (ARASH, True)
    assert play.phone().user_id == ARASH


def test_a_known_phone_keeps_its_user() -> None:
    play = Play().given(start(1), complete(number=1), start(2))
    decision = play.when(complete(number=2, session_number=2))
    assert not isinstance(decision, Refused)
    assert (decision[0].signed_in.session.user_id, decision[0].signed_in.new_user) == (ARASH, False)


def test_a_session_prepared_for_another_user_than_the_phones_is_not_opened() -> None:
    play = Play().given(start(1), complete(number=1), start(2))
    assert reason(play.when(complete(number=2, user_id=BAHAR))) == "CHALLENGE_UNKNOWN"
    assert kinds(play.when(complete(number=2))) == ["signed_in"]


def test_a_right_code_without_a_prepared_session_changes_nothing() -> None:
    play = Play().given(start())
    command = complete()
    command.complete_sign_in.ClearField("session")
    assert reason(play.when(command)) == "CHALLENGE_UNKNOWN"
    assert kinds(play.when(complete())) == ["signed_in"]


def test_a_code_is_good_once() -> None:
    play = Play().given(start(), complete())
    assert reason(play.when(complete(session_number=2))) == "CHALLENGE_UNKNOWN"


def test_a_code_is_good_until_its_last_millisecond() -> None:
    assert kinds(Play().given(start()).later(CHALLENGE_LIFE_MS - 1).when(complete())) == ["signed_in"]
    assert reason(Play().given(start()).later(CHALLENGE_LIFE_MS).when(complete())) == "CHALLENGE_EXPIRED"


def test_an_unknown_challenge_is_refused() -> None:
    assert reason(Play().when(complete())) == "CHALLENGE_UNKNOWN"
    assert reason(Play().given(start(1)).when(complete(number=2))) == "CHALLENGE_UNKNOWN"


@pytest.mark.parametrize("before", range(CHALLENGE_TRIES_MAX))
def test_each_wrong_code_is_counted_and_answered_with_what_is_left(before: int) -> None:
    decision = after_wrong_tries(before).when(complete(WRONG))
    assert not isinstance(decision, Refused)
    assert decision[0].code_rejected.tries_left == CHALLENGE_TRIES_MAX - before - 1


def test_four_wrong_codes_leave_a_try_and_five_leave_none() -> None:
    assert kinds(after_wrong_tries(4).when(complete())) == ["signed_in"]
    assert reason(after_wrong_tries(5).when(complete())) == "CHALLENGE_EXHAUSTED"
    assert reason(after_wrong_tries(5).when(complete(WRONG))) == "CHALLENGE_EXHAUSTED"


def test_a_wrong_try_is_told_as_a_refusal() -> None:
    assert refusal_of(pb.CodeRejected(tries_left=3)) == Refused("REASON_CODE_WRONG", {"tries_left": "3"})
    assert refusal_of(pb.CodeRejected(tries_left=0)) == Refused("REASON_CHALLENGE_EXHAUSTED")


@pytest.mark.parametrize(
    ("play", "code_mac", "number", "expected"),
    [
        (after_wrong_tries(5).later(CHALLENGE_LIFE_MS), WRONG, 2, "CHALLENGE_UNKNOWN"),
        (after_wrong_tries(5).later(CHALLENGE_LIFE_MS), WRONG, 1, "CHALLENGE_EXPIRED"),
        (after_wrong_tries(5), WRONG, 1, "CHALLENGE_EXHAUSTED"),
        (after_wrong_tries(5), RIGHT, 1, "CHALLENGE_EXHAUSTED"),
    ],
)
def test_reasons_come_in_their_documented_order(play: Play, code_mac: bytes, number: int, expected: str) -> None:
    assert reason(play.when(complete(code_mac, number=number))) == expected


def test_a_new_challenge_has_all_its_tries() -> None:
    play = after_wrong_tries(5).later(30_000).given(start(2), *[complete(WRONG, number=2)] * 4)
    assert kinds(play.when(complete(number=2))) == ["signed_in"]


def test_a_day_after_the_last_code_a_number_without_a_user_is_forgotten_whole() -> None:
    play = Play().given(start(1)).later(30_000).given(start(2), complete(WRONG, number=2)).later(DAY_MS - 1)
    assert play.phone().day_count == 2
    play.later(1)
    assert play.documents == {}


def test_a_day_after_the_last_code_a_user_keeps_the_number_and_nothing_of_the_attempts() -> None:
    play = Play().given(start(1), complete()).later(30_000).given(start(2))
    assert play.phone().challenge is not None
    play.later(DAY_MS)
    phone = play.phone()
    assert (phone.user_id, bool(phone.phone)) == (ARASH, True)
    assert (phone.challenge, phone.run, phone.last_start_ms, phone.day_start_ms, phone.day_count) == (None, 0, 0, 0, 0)
    assert phone.forget_at_ms == 0
    assert not any(key.kind == TIMER_KIND for key in play.documents)


def test_each_code_moves_the_timer_of_its_number() -> None:
    play = Play().given(start(1)).later(30_000).given(start(2))
    assert [key for key in play.documents if key.kind == TIMER_KIND] == [forget_key(PHONE, play.now_ms + DAY_MS)]


def test_a_challenge_from_before_timers_sets_none_and_is_cancelled_by_none() -> None:
    started_before = pb.Event(challenge_started=pb.ChallengeStarted(phone_hash=PHONE, challenge_id="c"))
    domain = Play().domain
    assert domain.touches(started_before) == [phone_key(PHONE)]
    before = domain.evolve(phone_key(PHONE), None, started_before, When(1))
    assert isinstance(before, Phone)
    play = Play(documents={phone_key(PHONE): before}).given(start(1))
    assert play.events[-1].challenge_started.cancelled_forget_time_ms == 0


def test_a_timer_of_something_else_is_a_bug() -> None:
    with pytest.raises(ValueError, match="a timer about 'codes'"):
        Play().domain.due(DueTimer(1, "codes/x", b""))
