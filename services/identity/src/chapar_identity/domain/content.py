"""Sealed content as documents hold it: opaque to rules."""

from __future__ import annotations

import msgspec

from chapar.sourcing.journal.v1 import journal_pb2 as engine


class Content(msgspec.Struct, frozen=True, array_like=True):
    """The fields of a `Sealed`, kept apart so that equal content has equal bytes."""

    key_id: str = ""
    nonce: bytes = b""
    ciphertext: bytes = b""

    def sealed(self) -> engine.Sealed:
        """As the message that a `Sealer` opens."""
        return engine.Sealed(key_id=self.key_id, nonce=self.nonce, ciphertext=self.ciphertext)


def content_of(sealed: engine.Sealed) -> Content:
    """As documents hold it."""
    return Content(sealed.key_id, sealed.nonce, sealed.ciphertext)
