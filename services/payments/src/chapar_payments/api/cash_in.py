"""CashIn: an operator brings money from outside into a wallet."""

from __future__ import annotations

from chapar.payments.journal.v1 import journal_pb2 as journal
from chapar.payments.v1 import payments_pb2 as public
from chapar_chassis.api import Accepted, Caller, CommandRpc
from chapar_chassis.user_ids import UserIds
from chapar_payments.api.transfer_ids import transfer_id_of
from chapar_payments.domain.rules import cash_in_form_refusal
from chapar_sourcing.domain import Refused
from chapar_sourcing.view import View


def cash_in_rpc(user_ids: UserIds) -> CommandRpc[public.CashInRequest, public.CashInResponse]:
    """The method."""

    async def prepare(request: public.CashInRequest, caller: Caller, _view: View) -> journal.Command | Refused:
        refused = cash_in_form_refusal(
            amount_rials=request.amount_rials,
            reference=request.reference,
            user_is_genuine=user_ids.is_genuine(request.user_id),
        )
        if refused is not None:
            return refused
        cash_in = journal.CashIn(
            transfer_id=transfer_id_of(caller),
            user_id=request.user_id,
            amount_rials=request.amount_rials,
            reference=request.reference,
        )
        return journal.Command(cash_in=cash_in)

    # The user's own key may be gone when an operator repeats the call.
    return CommandRpc(prepare=prepare, reply=_reply, key_subject=lambda _, caller: f"operator:{caller.operator}")


async def _reply(_request: public.CashInRequest, _caller: Caller, accepted: Accepted) -> public.CashInResponse:
    (event,) = accepted.events
    cashed = event.cashed_in
    return public.CashInResponse(transfer_id=cashed.transfer_id, balance_rials=cashed.line.balance_rials)
