from __future__ import annotations

import pytest

from chapar.messaging.v1 import messaging_pb2 as api
from chapar_messaging.domain.conversations.documents import GROUP_MEMBERS_MAX
from chapar_sourcing.domain import Refused

from .play import (
    ARASH,
    BAHAR,
    CYRUS,
    DARYA,
    DIRECT,
    GROUP,
    Play,
    add,
    create_group,
    kinds,
    leave,
    remove,
    send,
    set_role,
)

OWNER, ADMIN, MEMBER = api.ROLE_OWNER, api.ROLE_ADMIN, api.ROLE_MEMBER
UNKNOWN, NOT_A_GROUP, TOO_LOW, EXISTS, ALREADY, NOT_A_MEMBER, HAND_OVER = (
    Refused(f"REASON_{name}")
    for name in (
        "CONVERSATION_UNKNOWN",
        "NOT_A_GROUP",
        "ROLE_TOO_LOW",
        "GROUP_EXISTS",
        "ALREADY_MEMBER",
        "NOT_A_MEMBER",
        "OWNER_MUST_HAND_OVER",
    )
)
STAFF = [create_group(others=[BAHAR, CYRUS]), set_role(ARASH, BAHAR, ADMIN)]
"""Arash owns, Bahar is an admin, Cyrus a member."""
TWO_ADMINS = [*STAFF, set_role(ARASH, CYRUS, ADMIN)]


def roles(play: Play) -> dict[str, int]:
    return {user_id: member.role for user_id, member in play.members(GROUP).items()}


def user(number: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return "z" * 23 + letters[number // 676] + letters[number // 26 % 26] + letters[number % 26]


def test_a_group_starts_with_its_creator_as_owner() -> None:
    play = Play()
    decision = play.when(create_group(others=[BAHAR, CYRUS]))
    assert kinds(decision) == ["conversation_opened", "member_added", "member_added", "member_added"]
    assert roles(play) == {ARASH: OWNER, BAHAR: MEMBER, CYRUS: MEMBER}
    assert {member.first_visible_sequence for member in play.members(GROUP).values()} == {1}
    assert (play.head(GROUP).member_count, play.head(GROUP).change_sequence) == (3, 3)


def test_a_new_member_sees_what_comes_after_joining() -> None:
    play = Play().given(create_group(), send(ARASH, GROUP), send(ARASH, GROUP), add(ARASH, BAHAR))
    assert play.members(GROUP)[BAHAR].first_visible_sequence == 3


def test_who_comes_back_starts_anew() -> None:
    play = Play().given(
        *STAFF, send(BAHAR, GROUP), leave(BAHAR), send(ARASH, GROUP), add(ARASH, BAHAR)
    )  # fmt: skip
    assert play.members(GROUP)[BAHAR].role == MEMBER
    assert play.members(GROUP)[BAHAR].first_visible_sequence == 3


def test_handing_over_makes_the_old_owner_an_admin() -> None:
    play = Play().given(*STAFF)
    assert kinds(play.when(set_role(ARASH, CYRUS, OWNER))) == ["member_role_changed", "member_role_changed"]
    assert roles(play) == {ARASH: ADMIN, BAHAR: ADMIN, CYRUS: OWNER}


def test_the_last_one_may_leave_though_owner_and_the_id_stays_taken() -> None:
    play = Play().given(create_group(), leave(ARASH))
    assert play.members(GROUP) == {}
    assert play.head(GROUP).member_count == 0
    assert play.when(create_group()) == EXISTS


@pytest.mark.parametrize(
    "command",
    [set_role(ARASH, BAHAR, ADMIN), set_role(ARASH, CYRUS, MEMBER), set_role(ARASH, ARASH, OWNER)],
)
def test_giving_the_role_that_somebody_has_changes_nothing(command: object) -> None:
    play = Play().given(*STAFF)
    before = dict(play.documents)
    assert play.when(command) == []
    assert play.documents == before


@pytest.mark.parametrize(
    ("given", "command", "refused"),
    [
        pytest.param(STAFF, create_group(), EXISTS, id="create: taken"),
        pytest.param([], add(ARASH, BAHAR), UNKNOWN, id="add: no such group"),
        pytest.param(STAFF, add(DARYA, DARYA), UNKNOWN, id="add: a stranger lets themselves in"),
        pytest.param([send(ARASH)], add(ARASH, CYRUS, DIRECT), NOT_A_GROUP, id="add: a direct conversation"),
        pytest.param([send(ARASH)], add(CYRUS, CYRUS, DIRECT), UNKNOWN, id="add: unknown before not a group"),
        pytest.param(STAFF, add(CYRUS, DARYA), TOO_LOW, id="add: by a plain member"),
        pytest.param(STAFF, add(CYRUS, BAHAR), TOO_LOW, id="add: role before membership"),
        pytest.param(STAFF, add(BAHAR, CYRUS), ALREADY, id="add: in already"),
        pytest.param(STAFF, remove(DARYA, CYRUS), UNKNOWN, id="remove: by a stranger"),
        pytest.param([send(ARASH)], remove(ARASH, BAHAR, DIRECT), NOT_A_GROUP, id="remove: a direct conversation"),
        pytest.param(STAFF, remove(CYRUS, DARYA), TOO_LOW, id="remove: by a plain member, before membership"),
        pytest.param(STAFF, remove(BAHAR, DARYA), NOT_A_MEMBER, id="remove: not in"),
        pytest.param(STAFF, remove(BAHAR, ARASH), TOO_LOW, id="remove: the owner by an admin"),
        pytest.param(TWO_ADMINS, remove(BAHAR, CYRUS), TOO_LOW, id="remove: an admin by an admin"),
        pytest.param(STAFF, remove(ARASH, ARASH), TOO_LOW, id="remove: oneself"),
        pytest.param(STAFF, set_role(DARYA, CYRUS, ADMIN), UNKNOWN, id="role: by a stranger"),
        pytest.param([send(ARASH)], set_role(ARASH, BAHAR, ADMIN, DIRECT), NOT_A_GROUP, id="role: direct"),
        pytest.param(STAFF, set_role(BAHAR, CYRUS, ADMIN), TOO_LOW, id="role: by an admin"),
        pytest.param(STAFF, set_role(BAHAR, BAHAR, OWNER), TOO_LOW, id="role: an admin takes over"),
        pytest.param(STAFF, set_role(ARASH, DARYA, ADMIN), NOT_A_MEMBER, id="role: not in"),
        pytest.param(STAFF, set_role(ARASH, ARASH, MEMBER), HAND_OVER, id="role: the owner steps down"),
        pytest.param(STAFF, leave(DARYA), UNKNOWN, id="leave: a stranger"),
        pytest.param([send(ARASH)], leave(ARASH, DIRECT), NOT_A_GROUP, id="leave: a direct conversation"),
        pytest.param(STAFF, leave(ARASH), HAND_OVER, id="leave: the owner"),
        pytest.param([*STAFF, leave(CYRUS)], leave(CYRUS), UNKNOWN, id="leave: twice"),
    ],
)
def test_a_group_command_is_refused(given: list, command: object, refused: Refused) -> None:
    play = Play().given(*given)
    before = dict(play.documents)
    assert play.when(command) == refused
    assert play.documents == before


@pytest.mark.parametrize(
    ("command", "left"),
    [
        (remove(ARASH, BAHAR), {ARASH, CYRUS}),
        (remove(ARASH, CYRUS), {ARASH, BAHAR}),
        (remove(BAHAR, CYRUS), {ARASH, BAHAR}),
        (leave(BAHAR), {ARASH, CYRUS}),
        (leave(CYRUS), {ARASH, BAHAR}),
        (add(ARASH, DARYA), {ARASH, BAHAR, CYRUS, DARYA}),
        (add(BAHAR, DARYA), {ARASH, BAHAR, CYRUS, DARYA}),
    ],
)
def test_a_group_command_is_accepted(command: object, left: set[str]) -> None:
    play = Play().given(*STAFF)
    change = play.head(GROUP).change_sequence
    assert len(kinds(play.when(command))) == 1
    assert set(play.members(GROUP)) == left
    assert play.head(GROUP).member_count == len(left)
    assert play.head(GROUP).change_sequence == change + 1


def test_a_group_is_full_at_five_hundred_and_being_in_comes_before_that() -> None:
    play = Play().given(create_group(), *(add(ARASH, user(number)) for number in range(GROUP_MEMBERS_MAX - 1)))
    assert play.head(GROUP).member_count == GROUP_MEMBERS_MAX == 500
    assert play.when(add(ARASH, BAHAR)) == Refused("REASON_GROUP_FULL", {"members_max": "500"})
    assert play.when(add(ARASH, user(1))) == ALREADY
    play.given(leave(user(1)))
    assert kinds(play.when(add(ARASH, BAHAR))) == ["member_added"]
