"""What operators may do, on the operators' listener."""

from __future__ import annotations

from pathlib import Path

from chapar.identity.v1 import identity_pb2 as identity
from chapar.payments.v1 import payments_pb2 as pb
from chapar_client.sdk._errors import OutcomeUnknown, Unavailable
from chapar_client.sdk._methods import method_of
from chapar_client.sdk._request_ids import Clock, new_request_id
from chapar_client.sdk._transport import Transport
from chapar_client.sdk._tries import Attempt, Tries


class OperatorClient:
    """Calls with an operator's token.

    Request ids are not kept on disk: `OutcomeUnknown` names the one with which to repeat a call whose answer was
    lost.
    """

    def __init__(self, address: str, token: str, *, ca: Path | None = None, timeout_s: float = 30.0) -> None:
        """`address` and `ca` are as a `Client`'s. Raises `InvalidInput`."""
        self._transport = Transport(address, ca)
        self._tries = Tries(self._transport)
        self._token = token
        self._timeout_s = timeout_s
        self._clock = Clock()

    async def close(self) -> None:
        """Closes the channel."""
        await self._transport.close()

    async def cash_in(
        self, user_id: str, amount_rials: int, reference: str, *, request_id: str = ""
    ) -> pb.CashInResponse:
        """Brings money from outside into a wallet; the same `request_id` again does it once only."""
        request = pb.CashInRequest(
            request_id=request_id or new_request_id(self._clock.now_ms()),
            user_id=user_id,
            amount_rials=amount_rials,
            reference=reference,
        )
        return pb.CashInResponse.FromString(await self._run(request))

    async def erase_user(self, user_id: str, grounds: str, *, request_id: str = "") -> identity.EraseUserResponse:
        """Ends an account for good; again for one that has ended it changes nothing."""
        request = identity.EraseUserRequest(
            request_id=request_id or new_request_id(self._clock.now_ms()), user_id=user_id, grounds=grounds
        )
        return identity.EraseUserResponse.FromString(await self._run(request))

    async def _run(self, request: pb.CashInRequest | identity.EraseUserRequest) -> bytes:
        metadata = (("authorization", f"Bearer {self._token}"),)
        attempt = Attempt.within(self._timeout_s)
        try:
            content, _ = await self._tries.run(method_of(request), request.SerializeToString(), metadata, attempt)
        except Unavailable as failure:
            if attempt.ambiguous:
                raise OutcomeUnknown(str(failure), request_id=request.request_id, reason=failure.reason) from None
            raise
        return content
