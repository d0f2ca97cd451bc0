"""What is known of a user."""

from __future__ import annotations

from chapar_identity.domain.content import Content
from chapar_sourcing.domain import Document, Key

USER_KIND = "user"


class User(Document, frozen=True, array_like=True):
    """A registered user."""

    phone: Content
    create_time_ms: int
    name: Content | None
    """None until set, and once erased."""
    erase_time_ms: int = 0
    """When the user ended, milliseconds since 1970; 0 while they live."""

    @property
    def is_erased(self) -> bool:
        """Whether the user has ended."""
        return self.erase_time_ms > 0


def user_key(user_id: str) -> Key:
    """The document of a user."""
    return Key(USER_KIND, user_id)
