"""Wallets and transfers. Amounts are integer rials here; people see toman."""

from __future__ import annotations

from collections.abc import AsyncIterator

from chapar.payments.v1 import payments_pb2 as pb
from chapar_client.sdk._calls import Calls


class Payments:
    """Calls of `chapar.payments.v1.PaymentsService`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def transfer(
        self, payee_user_id: str, amount_rials: int, *, memo: str = "", timeout_s: float | None = None
    ) -> pb.TransferResponse:
        """Pays another user; the answer means that the money has left and will arrive exactly once."""
        request = pb.TransferRequest(payee_user_id=payee_user_id, amount_rials=amount_rials, memo=memo)
        return await self._calls.call(request, pb.TransferResponse, timeout_s=timeout_s)

    async def get_wallet(self) -> pb.GetWalletResponse:
        """One's own wallet."""
        return await self._calls.call(pb.GetWalletRequest(), pb.GetWalletResponse)

    async def statement(self) -> AsyncIterator[pb.StatementLine]:
        """The lines of one's own statement, newest first, page by page."""
        token = ""  # nosec B105 # the first page
        while True:
            request = pb.ListStatementLinesRequest(page_token=token)
            page = await self._calls.call(request, pb.ListStatementLinesResponse)
            for line in page.lines:
                yield line
            token = page.next_page_token
            if not token:
                return
