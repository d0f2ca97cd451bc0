"""What users may read: their wallet and the lines of its statement. Nobody reads another's."""

from __future__ import annotations

from collections.abc import Sequence

from chapar.payments.v1 import payments_pb2 as public
from chapar_chassis.api import Caller, QueryRpc
from chapar_payments.domain.documents import LINE, StatementLine, Wallet, wallet_key
from chapar_payments.memos import Memos
from chapar_sourcing.domain import Document, Key, Refused, ordered
from chapar_sourcing.view import View

PAGE_SIZE_MAX = 200
PAGE_SIZE = 50
TOKEN_DIGITS_MAX = 15


class StatementDamaged(Exception):
    """A line in the middle of a statement is missing: what was read was undone meanwhile, or the store is damaged."""


def get_wallet_rpc() -> QueryRpc[public.GetWalletRequest, public.GetWalletResponse]:
    """The caller's wallet; an empty one for whoever never had money."""

    async def answer(_request: public.GetWalletRequest, caller: Caller, view: View) -> public.GetWalletResponse:
        key = wallet_key(caller.user_id)
        wallet = (await view.get(key)).get(key)
        if not isinstance(wallet, Wallet):
            return public.GetWalletResponse()
        return public.GetWalletResponse(balance_rials=wallet.balance_rials, line_sequence=wallet.line_sequence)

    return QueryRpc(answer=answer)


def list_statement_lines_rpc(
    memos: Memos,
) -> QueryRpc[public.ListStatementLinesRequest, public.ListStatementLinesResponse]:
    """The caller's statement, newest first. A page token is the sequence of the last line of the page before."""

    async def answer(
        request: public.ListStatementLinesRequest, caller: Caller, view: View
    ) -> public.ListStatementLinesResponse | Refused:
        page_size = request.page_size or PAGE_SIZE
        before = _sequence_of(request.page_token)
        if not 1 <= page_size <= PAGE_SIZE_MAX or (request.page_token and before is None):
            return Refused("REASON_PAGE_INVALID")
        found = await view.scan(
            LINE,
            caller.user_id,
            before=None if before is None else ordered(before),
            descending=True,
            limit=page_size,
        )
        _check_dense(found)
        lines = [await _shown(key, line, memos) for key, line in found if isinstance(line, StatementLine)]
        more = bool(lines) and lines[-1].sequence > 1
        return public.ListStatementLinesResponse(lines=lines, next_page_token=str(lines[-1].sequence) if more else "")

    return QueryRpc(answer=answer)


def _sequence_of(token: str) -> int | None:
    """The line that a token stands for, or None when this service made no such token."""
    canonical = token.isascii() and token.isdigit() and not token.startswith("0")
    return int(token) if canonical and len(token) <= TOKEN_DIGITS_MAX else None


def _check_dense(found: Sequence[tuple[Key, Document]]) -> None:
    """A statement with a line missing in its middle is worse than none: raises `StatementDamaged`."""
    sequences = [int(key.id) for key, _ in found]
    if sequences and sequences != list(range(sequences[0], sequences[0] - len(sequences), -1)):
        raise StatementDamaged("lines of a statement are not all there")


async def _shown(key: Key, line: StatementLine, memos: Memos) -> public.StatementLine:
    return public.StatementLine(
        sequence=int(key.id),
        kind=public.LineKind.ValueType(line.kind),
        amount_rials=line.amount_rials,
        balance_rials=line.balance_rials,
        transfer_id=line.transfer_id,
        counterparty_user_id=line.counterparty_user_id,
        create_time_ms=line.time_ms,
        memo=await memos.open(line.transfer_id, line.memo),
    )
