"""How large a record of a stream may be: the same for all adapters."""

from __future__ import annotations

from collections.abc import Sequence

from chapar_sourcing.ports.journal import RECORD_BYTES_MAX


def check_sizes(records: Sequence[bytes]) -> None:
    """Raises `ValueError` before anything is sent that no adapter could store."""
    if any(len(data) > RECORD_BYTES_MAX for data in records):
        raise ValueError(f"a record has more than {RECORD_BYTES_MAX} bytes")
