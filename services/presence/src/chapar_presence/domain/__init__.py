"""The rules of presence: pure functions over documents. Nothing in here waits, reads a clock or does I/O."""

from chapar_presence.domain.presence import PresenceDomain

__all__ = ["PresenceDomain"]
