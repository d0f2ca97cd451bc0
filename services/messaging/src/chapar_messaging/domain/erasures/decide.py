"""Ending a user's words, at the user's partition: their keys are destroyed, wherever the messages stand."""

from __future__ import annotations

from collections.abc import Sequence

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar_sourcing.domain import Documents
from chapar_sourcing.erasures import last_erasure_of


def erase_content(documents: Documents, command: journal.EraseContent) -> Sequence[journal.Event]:
    """A user ends once; nothing is refused."""
    erasure = last_erasure_of(documents, command.user_id)
    if erasure is None:
        return []
    return [journal.Event(content_erased=journal.ContentErased(user_id=command.user_id, erasure=erasure))]
