"""DeleteMessage: its form; who may is for the rules to say."""

from __future__ import annotations

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar.messaging.v1 import messaging_pb2 as api
from chapar_chassis.api import Accepted, Caller
from chapar_messaging.ids import parse_conversation_id
from chapar_messaging.inbox import SEQUENCE_MAX
from chapar_sourcing.domain import Refused
from chapar_sourcing.view import View


async def prepare_delete_message(
    request: api.DeleteMessageRequest, caller: Caller, view: View
) -> journal.Command | Refused:
    """CONVERSATION_ID_INVALID, SEQUENCE_INVALID; then what the rules say."""
    if parse_conversation_id(request.conversation_id) is None:
        return Refused("REASON_CONVERSATION_ID_INVALID")
    if not 1 <= request.sequence <= SEQUENCE_MAX:
        return Refused("REASON_SEQUENCE_INVALID")
    command = journal.DeleteMessage(
        conversation_id=request.conversation_id, sequence=request.sequence, actor_user_id=caller.user_id
    )
    return journal.Command(delete_message=command)


async def reply_delete_message(
    request: api.DeleteMessageRequest, caller: Caller, accepted: Accepted
) -> api.DeleteMessageResponse:
    """Nothing to say."""
    return api.DeleteMessageResponse()
