"""Transfer: a user pays another."""

from __future__ import annotations

from chapar.payments.journal.v1 import journal_pb2 as journal
from chapar.payments.v1 import payments_pb2 as public
from chapar_chassis.api import Accepted, Caller, CommandRpc
from chapar_chassis.user_ids import UserIds
from chapar_payments.api.transfer_ids import transfer_id_of
from chapar_payments.domain.rules import transfer_form_refusal
from chapar_payments.memos import Memos
from chapar_sourcing.domain import Refused
from chapar_sourcing.partitions import partition_of
from chapar_sourcing.view import View


def transfer_rpc(
    memos: Memos, user_ids: UserIds, partitions: int
) -> CommandRpc[public.TransferRequest, public.TransferResponse]:
    """The method. `partitions` tells on which of them the payee lives."""

    async def prepare(request: public.TransferRequest, caller: Caller, _view: View) -> journal.Command | Refused:
        refused = transfer_form_refusal(
            payer_user_id=caller.user_id,
            payee_user_id=request.payee_user_id,
            amount_rials=request.amount_rials,
            memo=request.memo,
            payee_is_genuine=user_ids.is_genuine(request.payee_user_id),
        )
        if refused is not None:
            return refused
        transfer_id = transfer_id_of(caller)
        transfer = journal.Transfer(
            transfer_id=transfer_id,
            payer_user_id=caller.user_id,
            payee_user_id=request.payee_user_id,
            amount_rials=request.amount_rials,
            memo=await memos.seal(caller.user_id, transfer_id, request.memo),
            payer_partition=caller.partition,
            payee_partition=partition_of(request.payee_user_id, partitions),
        )
        return journal.Command(transfer=transfer)

    return CommandRpc(prepare=prepare, reply=_reply)


async def _reply(_request: public.TransferRequest, _caller: Caller, accepted: Accepted) -> public.TransferResponse:
    (event,) = accepted.events
    paid = event.transferred if event.WhichOneof("kind") == "transferred" else event.transfer_sent
    return public.TransferResponse(
        transfer_id=paid.transfer_id,
        balance_rials=paid.payer_line.balance_rials,
        create_time_ms=accepted.time_ms,
    )
