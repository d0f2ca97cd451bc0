"""Sealing content so that destroying one key erases it everywhere: the interface.

The implementation on a KeyStore is `chapar_sourcing.keyring`.
"""

from __future__ import annotations

from typing import Protocol

from chapar.sourcing.journal.v1 import journal_pb2 as journal


class Sealer(Protocol):
    """Seals and opens content with data keys of subjects; used in the shell, never while deciding."""

    async def seal(self, subject: str, bound_to: str, content: bytes) -> journal.Sealed:
        """Seals content with the subject's current key. `bound_to` names the document it belongs to and is
        authenticated: the same text is needed to open it. Raises `Unavailable`."""

    async def open(self, sealed: journal.Sealed, bound_to: str) -> bytes | None:
        """The content, or None when its key was destroyed ("erased").

        Raises `ValueError` when it was tampered with or is bound to something else, `Unavailable` when keys are away.
        """

    async def content_key(self, subject: str) -> tuple[str, bytes]:
        """Id and bytes of the key that fingerprints this subject's requests."""

    async def content_key_by_id(self, key_id: str) -> bytes | None:
        """The bytes of such a key, None when it was destroyed."""


class KeyDestroyer(Protocol):
    """Ends data keys; used by whoever owns the partition of an erasure. Both calls raise `Unavailable`."""

    async def force(self, subject: str, period: int) -> bool:
        """Gives the subject a key of this period or a later one, which seals from now on; whether it had one."""

    async def destroy(self, subject: str, period_below: int) -> int:
        """Destroys the subject's keys of earlier periods for ever; how many there were."""
