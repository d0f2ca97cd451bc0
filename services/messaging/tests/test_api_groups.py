from __future__ import annotations

import pytest

from chapar.messaging.v1 import messaging_pb2 as api
from chapar_sourcing.domain import Refused

from .office import ALI, INVENTED, MINA, REZA, USER_IDS, Office, direct, group_of

GROUP = group_of(ALI)


async def made(*others: str) -> Office:
    office = Office()
    request = api.CreateGroupRequest(conversation_id=GROUP, title="خانواده", member_user_ids=others)
    await office.must(ALI, "CreateGroup", request)
    return office


async def test_a_group_is_shown_to_its_members_with_its_title() -> None:
    office = await made(MINA)
    await office.send(ALI, GROUP, "سلام")
    answer = await office.must(MINA, "GetConversation", api.GetConversationRequest(conversation_id=GROUP))
    assert answer == api.GetConversationResponse(
        conversation=api.Conversation(
            conversation_id=GROUP,
            kind=api.CONVERSATION_KIND_GROUP,
            title="خانواده",
            member_count=2,
            role=api.ROLE_MEMBER,
            head_sequence=1,
            change_sequence=2,
            first_visible_sequence=1,
        )
    )
    assert all("خانواده".encode() not in event.SerializeToString() for event, _ in office.play.events)


async def test_naming_a_member_twice_or_oneself_does_no_harm() -> None:
    office = await made(MINA, ALI, MINA)
    assert set(office.play.members(GROUP)) == {ALI, MINA}


async def test_members_page_in_order_of_their_ids() -> None:
    office = await made(MINA, REZA)
    first = await office.must(REZA, "ListMembers", api.ListMembersRequest(conversation_id=GROUP, page_size=2))
    assert isinstance(first, api.ListMembersResponse)
    request = api.ListMembersRequest(conversation_id=GROUP, page_size=2, page_token=first.next_page_token)
    second = await office.must(REZA, "ListMembers", request)
    assert isinstance(second, api.ListMembersResponse)
    shown = [*first.members, *second.members]
    assert [member.user_id for member in shown] == sorted([ALI, MINA, REZA])
    assert {member.user_id: member.role for member in shown}[ALI] == api.ROLE_OWNER
    assert second.next_page_token == ""


async def test_a_removed_member_sees_nothing_any_more() -> None:
    office = await made(MINA)
    await office.send(ALI, GROUP, "x")
    await office.must(ALI, "RemoveMember", api.RemoveMemberRequest(conversation_id=GROUP, user_id=MINA))
    unknown = Refused("REASON_CONVERSATION_UNKNOWN")
    for method, request in [
        ("GetConversation", api.GetConversationRequest(conversation_id=GROUP)),
        ("ListMembers", api.ListMembersRequest(conversation_id=GROUP)),
        ("ListMessages", api.ListMessagesRequest(conversation_id=GROUP)),
        ("SendMessage", api.SendMessageRequest(conversation_id=GROUP, text="x")),
        ("MarkRead", api.MarkReadRequest(conversation_id=GROUP, sequence=1)),
    ]:
        assert await office.call(MINA, method, request) == unknown, method
    assert await office.inbox(MINA) == []


async def test_roles_are_given_and_groups_left() -> None:
    office = await made(MINA)
    request = api.SetMemberRoleRequest(conversation_id=GROUP, user_id=MINA, role=api.ROLE_OWNER)
    await office.must(ALI, "SetMemberRole", request)
    await office.must(ALI, "LeaveGroup", api.LeaveGroupRequest(conversation_id=GROUP))
    assert {user: member.role for user, member in office.play.members(GROUP).items()} == {MINA: api.ROLE_OWNER}


TOO_MANY = [USER_IDS.mint(bytes([number] * 10)) for number in range(101)]


@pytest.mark.parametrize(
    ("method", "request_", "refused"),
    [
        ("CreateGroup", api.CreateGroupRequest(conversation_id=group_of(MINA)), "CONVERSATION_ID_INVALID"),
        ("CreateGroup", api.CreateGroupRequest(conversation_id=direct(ALI, MINA)), "CONVERSATION_ID_INVALID"),
        ("CreateGroup", api.CreateGroupRequest(conversation_id=GROUP), "TITLE_INVALID"),
        (
            "CreateGroup",
            api.CreateGroupRequest(conversation_id=GROUP, title="t", member_user_ids=[INVENTED]),
            "USER_UNKNOWN",
        ),
        ("CreateGroup", api.CreateGroupRequest(conversation_id=GROUP, title="t"), "GROUP_EXISTS"),
        ("AddMember", api.AddMemberRequest(conversation_id="x", user_id=INVENTED), "CONVERSATION_ID_INVALID"),
        ("AddMember", api.AddMemberRequest(conversation_id=GROUP, user_id=INVENTED), "USER_UNKNOWN"),
        ("AddMember", api.AddMemberRequest(conversation_id=GROUP, user_id="\0"), "USER_UNKNOWN"),
        ("AddMember", api.AddMemberRequest(conversation_id=GROUP, user_id=MINA), "ALREADY_MEMBER"),
        ("RemoveMember", api.RemoveMemberRequest(conversation_id=GROUP, user_id=INVENTED), "USER_UNKNOWN"),
        ("RemoveMember", api.RemoveMemberRequest(conversation_id=GROUP, user_id=REZA), "NOT_A_MEMBER"),
        ("SetMemberRole", api.SetMemberRoleRequest(conversation_id=GROUP, user_id=MINA), "ROLE_INVALID"),
        ("SetMemberRole", api.SetMemberRoleRequest(conversation_id=GROUP, user_id=MINA, role=9), "ROLE_INVALID"),
        ("LeaveGroup", api.LeaveGroupRequest(conversation_id="x"), "CONVERSATION_ID_INVALID"),
        ("LeaveGroup", api.LeaveGroupRequest(conversation_id=GROUP), "OWNER_MUST_HAND_OVER"),
        ("GetConversation", api.GetConversationRequest(conversation_id="x"), "CONVERSATION_ID_INVALID"),
        ("ListMembers", api.ListMembersRequest(conversation_id=GROUP, page_size=501), "PAGE_INVALID"),
        ("ListMembers", api.ListMembersRequest(conversation_id=GROUP, page_token="x"), "PAGE_INVALID"),
    ],
)
async def test_a_group_request_is_refused_and_changes_nothing(method: str, request_: object, refused: str) -> None:
    office = await made(MINA)
    before = dict(office.play.documents)
    assert await office.call(ALI, method, request_) == Refused(f"REASON_{refused}")
    assert office.play.documents == before


async def test_a_group_starts_with_a_hundred_others_at_most() -> None:
    office = Office()
    request = api.CreateGroupRequest(conversation_id=GROUP, title="t", member_user_ids=TOO_MANY)
    assert await office.call(ALI, "CreateGroup", request) == Refused("REASON_TOO_MANY_MEMBERS", {"members_max": "100"})
    request.member_user_ids.pop()
    await office.must(ALI, "CreateGroup", request)
    assert office.play.head(GROUP).member_count == len({ALI, *request.member_user_ids})
