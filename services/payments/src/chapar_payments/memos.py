"""Memos of transfers: sealed under the payer's key, bound to the transfer, readable on both sides until erased."""

from __future__ import annotations

from chapar.sourcing.journal.v1.journal_pb2 import Sealed
from chapar_sourcing.sealing import Sealer


class Memos:
    """Seals and opens memos."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def seal(self, payer_user_id: str, transfer_id: str, memo: str) -> Sealed | None:
        """The memo as it is stored; None for an empty one. Raises `Unavailable`."""
        if not memo:
            return None
        return await self._sealer.seal(payer_user_id, _bound_to(transfer_id), memo.encode())

    async def open(self, transfer_id: str, sealed: bytes) -> str:
        """The memo; empty when there is none or when it was erased. Raises `Unavailable`."""
        if not sealed:
            return ""
        content = await self._sealer.open(Sealed.FromString(sealed), _bound_to(transfer_id))
        return "" if content is None else content.decode()


def _bound_to(transfer_id: str) -> str:
    return f"memo:{transfer_id}"
