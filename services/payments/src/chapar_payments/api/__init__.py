"""The RPCs of payments: form, sealing and partitions here, rules in `domain`, reads in `queries`."""

from __future__ import annotations

from chapar.payments.v1 import payments_pb2 as public
from chapar_chassis.api import ServiceApi
from chapar_chassis.process import ServiceContext
from chapar_payments.api.cash_in import cash_in_rpc
from chapar_payments.api.transfer import transfer_rpc
from chapar_payments.memos import Memos
from chapar_payments.queries import get_wallet_rpc, list_statement_lines_rpc


def build_api(context: ServiceContext) -> ServiceApi:
    """All methods of both services, users' and operators'."""
    memos = Memos(context.sealer)
    return ServiceApi(
        proto_services=("chapar.payments.v1.PaymentsService", "chapar.payments.v1.PaymentsOperatorService"),
        reason_enum=public.Reason,
        commands={
            "Transfer": transfer_rpc(memos, context.user_ids, context.settings.partitions),
            "CashIn": cash_in_rpc(context.user_ids),
        },
        queries={"GetWallet": get_wallet_rpc(), "ListStatementLines": list_statement_lines_rpc(memos)},
    )
