"""SendMessage: from a caller's text to a complete command, and from its events to the answer."""

from __future__ import annotations

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar.messaging.v1 import messaging_pb2 as api
from chapar_chassis.api import Accepted, Caller
from chapar_chassis.user_ids import UserIds
from chapar_messaging.content import seal_text
from chapar_messaging.forms import text_problem
from chapar_messaging.ids import Direct, parse_conversation_id
from chapar_messaging.inbox import SEQUENCE_MAX
from chapar_sourcing.domain import Refused
from chapar_sourcing.sealing import Sealer
from chapar_sourcing.view import View


class Sending:
    """The handler of SendMessage."""

    def __init__(self, sealer: Sealer, user_ids: UserIds) -> None:
        self._sealer = sealer
        self._user_ids = user_ids

    async def prepare(self, request: api.SendMessageRequest, caller: Caller, view: View) -> journal.Command | Refused:
        """CONVERSATION_ID_INVALID, CONVERSATION_UNKNOWN, USER_UNKNOWN, TEXT_EMPTY, TEXT_TOO_LONG, TEXT_INVALID,
        SEQUENCE_INVALID; then what the rules say."""
        if refused := self._place_problem(request.conversation_id, caller.user_id):
            return refused
        if problem := text_problem(request.text):
            return Refused(problem)
        if not 0 <= request.reply_to_sequence <= SEQUENCE_MAX:
            return Refused("REASON_SEQUENCE_INVALID")
        text = await seal_text(
            self._sealer, request.conversation_id, caller.user_id, caller.request_id, request.text
        )  # fmt: skip
        command = journal.SendMessage(
            conversation_id=request.conversation_id,
            sender_user_id=caller.user_id,
            message_id=caller.request_id,
            text=text,
            reply_to_sequence=request.reply_to_sequence,
        )
        return journal.Command(send_message=command)

    async def reply(
        self, request: api.SendMessageRequest, caller: Caller, accepted: Accepted
    ) -> api.SendMessageResponse:
        """The number it got; the events of a conversation that it opened stand before it."""
        sent = accepted.events[-1].message_sent
        return api.SendMessageResponse(sequence=sent.sequence, create_time_ms=accepted.time_ms)

    def _place_problem(self, conversation_id: str, user_id: str) -> Refused | None:
        form = parse_conversation_id(conversation_id)
        if form is None:
            return Refused("REASON_CONVERSATION_ID_INVALID")
        if isinstance(form, Direct):
            if user_id not in form.user_ids:
                return Refused("REASON_CONVERSATION_UNKNOWN")
            if not all(map(self._user_ids.is_genuine, form.user_ids)):
                return Refused("REASON_USER_UNKNOWN")
        return None
