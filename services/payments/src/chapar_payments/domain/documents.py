"""What payments knows of one partition, document by document.

Wallets and lines live at the partition of their user. The accounts `cash` and `transit` exist once a partition, or
once a pair of partitions; they only ever grow in one direction, so their totals are kept as text, without a limit.
"""

from __future__ import annotations

from functools import lru_cache

from chapar_sourcing.domain import Document, Key, ordered
from chapar_sourcing.erasures import ERASURE_KIND, ErasureMark

WALLET = "wallet"
LINE = "line"
CASH = "cash"
TRANSIT_OUT = "transit_out"
TRANSIT_IN = "transit_in"
DEPARTURE = "departure"


class Wallet(Document, frozen=True, array_like=True):
    """A user's money. A user without the document has an empty wallet."""

    balance_rials: int = 0
    line_sequence: int = 0
    """Number of the newest line of the statement."""


class StatementLine(Document, frozen=True, array_like=True):
    """One line of a wallet's statement; never changes."""

    kind: int
    """A `LineKind` of the public protos."""
    amount_rials: int
    """Signed: what came in is positive."""
    balance_rials: int
    """After it."""
    transfer_id: str
    counterparty_user_id: str
    time_ms: int
    memo: bytes = b""
    """A serialised `Sealed`; empty when there is no memo."""


class Cash(Document, frozen=True, array_like=True):
    """Minus what operators have brought into this partition."""

    total_text: str = "0"

    @property
    def balance_rials(self) -> int:
        """Never positive."""
        return int(self.total_text)


class TransitOut(Document, frozen=True, array_like=True):
    """All that ever left for one target partition."""

    total_text: str = "0"
    last_sequence: int = 0
    """Number of the last transfer that left."""
    batch_first_sequence: int = 0
    """First transfer of the batch that the last one belongs to."""
    batch_time_ms: int = 0
    """The block's time that the batch shares."""

    @property
    def balance_rials(self) -> int:
        """Never negative."""
        return int(self.total_text)


class TransitIn(Document, frozen=True, array_like=True):
    """Minus all that ever arrived from one source partition."""

    total_text: str = "0"
    last_sequence: int = 0
    """Number of the last transfer applied."""

    @property
    def balance_rials(self) -> int:
        """Never positive."""
        return int(self.total_text)


class Departure(Document, frozen=True, array_like=True):
    """One transfer that left for another partition: what the payee's side needs to credit it."""

    credit: bytes
    """A serialised `Credit` of the journal protos."""
    amount_rials: int
    batch_first_sequence: int


@lru_cache(maxsize=65_536)
def wallet_key(user_id: str) -> Key:
    """A user's wallet."""
    return Key(WALLET, user_id)


def line_key(user_id: str, sequence: int) -> Key:
    """A line of a user's statement, in order of their numbers."""
    return Key(LINE, user_id, ordered(sequence))


def cash_key() -> Key:
    """The partition's cash account."""
    return Key(CASH, "")


def transit_out_key(target_partition: int) -> Key:
    """The account of what left for a partition."""
    return Key(TRANSIT_OUT, "", ordered(target_partition))


def transit_in_key(source_partition: int) -> Key:
    """The account of what arrived from a partition."""
    return Key(TRANSIT_IN, "", ordered(source_partition))


def departure_key(target_partition: int, sequence: int) -> Key:
    """A transfer that left for a partition, in the order in which they left."""
    return Key(DEPARTURE, ordered(target_partition), ordered(sequence))


DOCUMENT_TYPES: dict[str, type[Document]] = {
    WALLET: Wallet,
    LINE: StatementLine,
    CASH: Cash,
    TRANSIT_OUT: TransitOut,
    TRANSIT_IN: TransitIn,
    DEPARTURE: Departure,
    ERASURE_KIND: ErasureMark,
}
