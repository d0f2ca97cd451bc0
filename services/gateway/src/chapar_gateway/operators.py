"""Who operators are and what each may do."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from chapar_chassis.refusals import CallRefused
from chapar_chassis.secrets import OperatorSecret

ROLES: Mapping[str, str] = MappingProxyType(
    {
        "/chapar.identity.v1.IdentityOperatorService/EraseUser": "erase",
        "/chapar.payments.v1.PaymentsOperatorService/CashIn": "cash",
    }
)
"""The role that each operator method needs. A method that is not here can be called by nobody."""


class Operators:
    """The operators of an installation."""

    def __init__(self, operators: Iterable[OperatorSecret]) -> None:
        self._operators = tuple(operators)

    def authenticate(self, token: str, full_method: str) -> str:
        """The name of the operator who may call the method. Raises `CallRefused`.

        Every operator is compared, in constant time, whoever it is.
        """
        digest = hashlib.sha256(token.encode()).digest()
        found: OperatorSecret | None = None
        for operator in self._operators:
            if hmac.compare_digest(operator.token_sha256, digest):
                found = operator
        if found is None:
            raise CallRefused("REASON_OPERATOR_UNKNOWN")
        role = ROLES.get(full_method)
        if role is None or role not in found.roles:
            raise CallRefused("REASON_OPERATOR_ROLE_MISSING")
        return found.name
