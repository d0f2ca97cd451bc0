"""Both ends of a username: the home of its user, and the place where it is unique."""

from __future__ import annotations

import msgspec

from chapar_sourcing.domain import Document, Key

NAMING_KIND = "naming"
USERNAME_KIND = "username"


class Decided(msgspec.Struct, frozen=True, array_like=True):
    """How a wish ended."""

    wish: int
    granted: bool


class Naming(Document, frozen=True, array_like=True):
    """The home's side: what a user holds and wishes for."""

    username: str = ""
    """Held now; empty for none."""
    username_wish: int = 0
    """Number of the wish that it was reserved for."""
    pending: str = ""
    """Wished for and not decided; empty for none."""
    last_wish: int = 0
    """Number of the newest wish; of the pending one while there is one."""
    decided: tuple[Decided, ...] = ()
    """The newest outcomes, oldest first."""

    def is_pending(self, username: str, wish: int) -> bool:
        """Whether this is the wish that waits for its decision."""
        return bool(self.pending) and (self.pending, self.last_wish) == (username, wish)

    def holds(self, username: str, wish: int) -> bool:
        """Whether the user holds the username by this very wish."""
        return (self.username, self.username_wish) == (username, wish)

    def is_decided(self, wish: int) -> bool:
        """Whether a wish has been decided."""
        return wish < self.last_wish or (wish == self.last_wish and not self.pending)

    def was_refused(self, wish: int) -> bool:
        """Whether a wish is remembered as refused."""
        return any(each.wish == wish and not each.granted for each in self.decided)


class Username(Document, frozen=True, array_like=True):
    """The username's side: for whom it is reserved. There is no document while it is free."""

    user_id: str
    wish: int


def naming_key(user_id: str) -> Key:
    """The document of a user's naming."""
    return Key(NAMING_KIND, user_id)


def username_key(username: str) -> Key:
    """The document of a username."""
    return Key(USERNAME_KIND, username)
