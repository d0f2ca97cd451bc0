from __future__ import annotations

import pytest

from chapar.identity.journal.v1 import journal_pb2 as pb
from chapar_identity.domain.limits import DECIDED_WISHES_MAX
from chapar_identity.domain.usernames.documents import Naming, username_key

from .play import ARASH, BAHAR, Play, confirm, kinds, reason, reject, release, reserve, revoke, set_username, signed_in


def holding(username: str = "arash_1") -> Play:
    return signed_in(ARASH, BAHAR).given(set_username(username), reserve(username), confirm(username))


def test_a_wish_that_is_reserved_and_confirmed_comes_true() -> None:
    play = signed_in(ARASH)
    assert kinds(play.when(set_username("arash_1"))) == ["username_wished"]
    assert not play.naming().is_decided(1)
    assert kinds(play.when(reserve("arash_1"))) == ["username_reserved"]
    assert kinds(play.when(confirm("arash_1"))) == ["username_set"]
    assert play.naming().username == "arash_1"
    assert play.naming().is_decided(1)


def test_a_username_of_somebody_else_is_refused_and_the_old_one_kept() -> None:
    play = holding("first").given(set_username("second", BAHAR), reserve("second", BAHAR), confirm("second", BAHAR))
    play.given(set_username("second"))
    assert kinds(play.when(reserve("second", wish=2))) == ["username_found_taken"]
    assert kinds(play.when(reject("second", wish=2))) == ["username_refused"]
    assert play.naming().was_refused(2)
    assert play.naming().username == "first"


def test_a_wish_for_what_one_holds_changes_nothing() -> None:
    assert kinds(holding().when(set_username("arash_1"))) == []


@pytest.mark.parametrize("username", ["arash_1", "arash_2"])
def test_one_wish_at_a_time(username: str) -> None:
    play = signed_in(ARASH).given(set_username("arash_1"))
    assert reason(play.when(set_username(username))) == "USERNAME_PENDING"


def test_an_ended_session_wishes_for_nothing_even_while_another_wish_is_open() -> None:
    play = signed_in(ARASH).given(set_username("arash_1"), revoke(1))
    assert reason(play.when(set_username("arash_2"))) == "SESSION_ENDED"


def test_the_old_username_is_released_by_name_and_wish() -> None:
    play = holding("first").given(set_username("second"), reserve("second", wish=2), confirm("second", wish=2))
    event = play.events[-1].username_set
    assert (event.released_username, event.released_wish) == ("first", 1)
    assert kinds(play.when(release("first"))) == ["username_released"]
    assert username_key("first") not in play.documents


@pytest.mark.parametrize("command", [reserve("arash_1"), confirm("arash_1"), reject("arash_1")])
def test_repeated_steps_change_nothing(command: pb.Command) -> None:
    play = holding()
    documents = dict(play.documents)
    assert kinds(play.when(command)) == []
    assert play.documents == documents


@pytest.mark.parametrize(
    "command", [release("arash_1", BAHAR, 1), release("arash_1", ARASH, 2), release("free", ARASH)]
)
def test_a_release_frees_only_the_reservation_of_its_wish(command: pb.Command) -> None:
    play = holding()
    assert kinds(play.when(command)) == []
    assert username_key("arash_1") in play.documents


def test_a_reservation_that_nobody_wishes_for_is_declined_and_released() -> None:
    play = holding("first").given(
        set_username("second"), reserve("second", wish=2), confirm("second", wish=2), release("first")
    )
    play.given(reserve("first"))  # A late repetition.
    assert kinds(play.when(confirm("first"))) == ["username_declined"]
    assert play.naming().username == "second"
    assert kinds(play.when(release("first"))) == ["username_released"]


def test_a_late_refusal_leaves_the_open_wish_alone() -> None:
    play = signed_in(ARASH).given(set_username("first"), reject("first"), set_username("second"))
    assert kinds(play.when(reject("first"))) == []
    assert kinds(play.when(reject("second"))) == []
    assert kinds(play.when(reject("first", wish=2))) == []
    assert play.naming().is_pending("second", 2)


def test_a_username_taken_back_before_its_release_arrives_stays_reserved() -> None:
    play = holding("first").given(set_username("second"), reserve("second", wish=2), confirm("second", wish=2))
    play.given(set_username("first"))
    assert kinds(play.when(reserve("first", wish=3))) == ["username_reserved"]
    play.given(confirm("first", wish=3))
    assert kinds(play.when(release("first", wish=1))) == []
    assert play.naming().username == "first"


def test_outcomes_are_remembered_up_to_a_bound() -> None:
    play = signed_in(ARASH, BAHAR).given(set_username("taken", BAHAR), reserve("taken", BAHAR), confirm("taken", BAHAR))
    wishes = range(1, DECIDED_WISHES_MAX + 2)
    for wish in wishes:
        play.given(set_username("taken"), reserve("taken", wish=wish), reject("taken", wish=wish))
    naming = play.naming()
    assert len(naming.decided) == DECIDED_WISHES_MAX
    assert [naming.was_refused(wish) for wish in wishes] == [False] + [True] * DECIDED_WISHES_MAX
    assert naming.is_decided(DECIDED_WISHES_MAX + 1)
    assert not naming.is_decided(DECIDED_WISHES_MAX + 2)


def test_nobody_holds_the_empty_username() -> None:
    assert not Naming().is_pending("", 0)
