"""How live views of rooms and inboxes work in the simulated chat: what `HostRules.watch` wants, and its texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chapar_sourcing.domain import Key, ordered
from chapar_sourcing.view import View
from tests.simulation.path.chat import Room

ROOM = "room"


class ChatWatch:
    """Everybody may watch everything."""

    detaches_of = None

    async def authorise(self, key: str, user_id: str, basis: str, view: View) -> bool:
        """Yes."""
        return True

    async def snapshot(self, key: str, view: View) -> bytes:
        """A room's head, or an inbox's rows."""
        if key.startswith(ROOM):
            found = (await view.get(Key("room", key))).get(Key("room", key))
            return ordered(found.head if isinstance(found, Room) else 0).encode()
        return text_of(await view.rows(key))

    def hints_of(self, event: Any, time_ms: int) -> Sequence[tuple[str, bytes]]:
        """Each message is shown to its room."""
        return [(event.key, ordered(event.number).encode())] if event.kind == "said" else []


def lines_of(text: bytes) -> dict[bytes, bytes]:
    """What such a text says: b"row field" -> value."""
    return dict(line.split(b"=", 1) for line in text.split(b"\n") if line)


def text_of(rows: Mapping[str, Mapping[str, bytes]]) -> bytes:
    """Rows as lines "row field=value", in order."""
    return b"\n".join(
        b"%s %s=%s" % (row.encode(), name.encode(), value)
        for row, fields in sorted(rows.items())
        for name, value in sorted(fields.items())
    )
