"""Finding typed documents among those that were asked for."""

from __future__ import annotations

from typing import TypeVar

from chapar_sourcing.domain import Document, Documents, Key

DocumentT = TypeVar("DocumentT", bound=Document)


def document(documents: Documents, key: Key, kind: type[DocumentT]) -> DocumentT | None:
    """The document under `key`, or None when there is none. Raises `TypeError` for one of another type: a bug."""
    found = documents.get(key)
    if found is None:
        return None
    return existing(key, found, kind)


def existing(key: Key, found: Document | None, kind: type[DocumentT]) -> DocumentT:
    """The document as what it must be; raises `TypeError` otherwise: an event was applied to the wrong state."""
    if not isinstance(found, kind):
        raise TypeError(f"{key.kind} should be a {kind.__name__}, not {type(found).__name__}")
    return found
