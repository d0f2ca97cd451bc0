"""The rules of payments: pure functions over documents. Nothing in here waits, reads a clock or does I/O.

`documents` and `accounts` are what there is, `rules` when something is refused, `needs`, `decide` and `evolve` what
happens, `invariants` what holds always.
"""

from chapar_payments.domain.payments import PaymentsDomain

__all__ = ["PaymentsDomain"]
