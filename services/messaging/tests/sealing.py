"""The real keyring on a key store in memory."""

from __future__ import annotations

import os

from chapar_sourcing.adapters.memory import MemoryKeys, MemoryKeyStore
from chapar_sourcing.clock import SystemClock
from chapar_sourcing.keyring import Keyring


def make_sealer(keys: MemoryKeys | None = None) -> Keyring:
    """A sealer; on the same `keys` another one opens what it sealed."""
    return Keyring(MemoryKeyStore(keys), master_key=bytes(32), clock=SystemClock(), randomness=os.urandom)
