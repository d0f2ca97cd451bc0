"""All methods of `chapar.messaging.v1.MessagingService`: which handler prepares, answers and replies."""

from __future__ import annotations

from chapar.messaging.v1 import messaging_pb2
from chapar_chassis.api import CommandRpc, QueryRpc, ServiceApi
from chapar_chassis.user_ids import UserIds
from chapar_messaging.api import groups
from chapar_messaging.api.deleting import prepare_delete_message, reply_delete_message
from chapar_messaging.api.groups import Groups
from chapar_messaging.api.reading import INBOX_WATCH, prepare_mark_read, reply_mark_read
from chapar_messaging.api.sending import Sending
from chapar_messaging.queries.conversations import ConversationQueries
from chapar_messaging.queries.history import HistoryQueries
from chapar_messaging.queries.inboxes import list_inbox
from chapar_sourcing.sealing import Sealer


def messaging_api(sealer: Sealer, user_ids: UserIds) -> ServiceApi:
    """The public face of messaging."""
    sending, group = Sending(sealer, user_ids), Groups(sealer, user_ids)
    conversations, history = ConversationQueries(sealer), HistoryQueries(sealer)
    return ServiceApi(
        proto_services=["chapar.messaging.v1.MessagingService"],
        reason_enum=messaging_pb2.Reason,
        commands={
            "SendMessage": CommandRpc(prepare=sending.prepare, reply=sending.reply),
            "DeleteMessage": CommandRpc(prepare=prepare_delete_message, reply=reply_delete_message),
            "CreateGroup": CommandRpc(prepare=group.prepare_create_group, reply=groups.reply_create_group),
            "AddMember": CommandRpc(prepare=group.prepare_add_member, reply=groups.reply_add_member),
            "RemoveMember": CommandRpc(prepare=group.prepare_remove_member, reply=groups.reply_remove_member),
            "SetMemberRole": CommandRpc(prepare=group.prepare_set_member_role, reply=groups.reply_set_member_role),
            "LeaveGroup": CommandRpc(prepare=group.prepare_leave_group, reply=groups.reply_leave_group),
            "MarkRead": CommandRpc(prepare=prepare_mark_read, reply=reply_mark_read),
        },
        queries={
            "ListMessages": QueryRpc(answer=history.list_messages),
            "GetConversation": QueryRpc(answer=conversations.get_conversation),
            "ListMembers": QueryRpc(answer=conversations.list_members),
            "ListInbox": QueryRpc(answer=list_inbox),
        },
        watch=INBOX_WATCH,
    )
