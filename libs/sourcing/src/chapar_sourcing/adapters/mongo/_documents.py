"""Documents of a shelf: guarded writes, and reads in order of (kind, parent, id)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chapar_sourcing.adapters.mongo._bulks import Bulks
from chapar_sourcing.adapters.mongo._layout import DOCUMENT_ORDER, DOCUMENTS, document_id, ordered_position, position_of
from chapar_sourcing.adapters.mongo._link import Delete, Link, Session, Upsert
from chapar_sourcing.domain import ANSWER_KIND, Key, Stored
from chapar_sourcing.ports import DocumentWrite, Expiry, Purged, Unavailable
from chapar_sourcing.positions import Position

TRIES_MAX = 20
"""How often writes are tried that others get ahead of."""
KEYS_MAX = 200
"""Keys in one question, so that a slow database answers it within the deadline, too."""
_POSITIONS = ("kind", "parent", "id", "position")
_AGES = (*_POSITIONS, "time_ms", "tombstone")


async def write_documents(link: Link, bulks: Bulks, shelf: str, documents: Sequence[DocumentWrite]) -> None:
    """Stores each document whose stored position is lower.

    A duplicate key tells one of two things: something as new is there, or somebody inserted something older since we
    looked. What a majority has tells them apart: returns once it has all of `documents` or newer ones.
    """
    newest: dict[Key, DocumentWrite] = {}
    for write in documents:
        if write.key not in newest or newest[write.key].position < write.position:
            newest[write.key] = write
    left = list(newest.values())
    async with link.session() as session:
        for _ in range(TRIES_MAX):
            written = await bulks.write(DOCUMENTS, [_upsert(shelf, write) for write in left], session=session)
            if not written.duplicates:
                return
            met = [left[place] for place in written.duplicates]
            stored = await _positions(link, shelf, [write.key for write in met], session)
            left = [write for write in met if write.key not in stored or stored[write.key] < write.position]
            if not left:
                return
    raise Unavailable(f"others keep writing {len(left)} of the documents")


async def load(link: Link, shelf: str, keys: Sequence[Key], session: Session) -> dict[Key, Stored]:
    """The stored ones among `keys`."""
    return {_key(found): _stored(found) for found in await _find(link, shelf, keys, None, session)}


async def _positions(link: Link, shelf: str, keys: Sequence[Key], session: Session) -> dict[Key, Position]:
    found = await _find(link, shelf, keys, _POSITIONS, session)
    return {_key(document): position_of(document["position"]) for document in found}


async def _find(
    link: Link, shelf: str, keys: Sequence[Key], fields: Sequence[str] | None, session: Session
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for at in range(0, len(keys), KEYS_MAX):
        ids = [document_id(shelf, key) for key in keys[at : at + KEYS_MAX]]
        found += await link.find(DOCUMENTS, {"_id": {"$in": ids}}, fields=fields, session=session)
    return found


async def read_group(
    link: Link, shelf: str, kind: str, parent: str, after: str, before: str | None, *, descending: bool, limit: int,
    session: Session,
) -> list[tuple[Key, Stored]]:  # fmt: skip
    """Live documents of one group between two ids."""
    bounds = {"$gt": after} if before is None else {"$gt": after, "$lt": before}
    where = {"shelf": shelf, "kind": kind, "parent": parent, "id": bounds, "tombstone": False}
    found = await link.find(DOCUMENTS, where, order=DOCUMENT_ORDER, descending=descending, limit=limit, session=session)
    return [(_key(document), _stored(document)) for document in found]


async def read_all(link: Link, shelf: str, after: Key | None, limit: int, session: Session) -> list[tuple[Key, Stored]]:
    """All documents above `after`, in order, at most `limit`."""
    found = await _above(link, shelf, after, limit, fields=None, session=session)
    return [(_key(document), _stored(document)) for document in found]


async def purge(link: Link, bulks: Bulks, shelf: str, expiry: Expiry, after: Key | None, limit: int) -> Purged:
    """Deletes what is too old among the next ones, unless it was written meanwhile."""
    page = await _above(link, shelf, after, limit, fields=_AGES, session=None)
    gone = [Delete({"_id": one["_id"], "position": one["position"]}) for one in page if _too_old(one, expiry)]
    deleted = (await bulks.write(DOCUMENTS, gone)).deleted if gone else 0
    return Purged(deleted, _key(page[-1]) if len(page) == limit else None)


async def _above(
    link: Link, shelf: str, after: Key | None, limit: int, *, fields: Sequence[str] | None, session: Session | None
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for where in _ranges(after):
        if len(found) < limit:
            found += await link.find(
                DOCUMENTS, {"shelf": shelf, **where}, fields=fields, order=DOCUMENT_ORDER, limit=limit - len(found),
                session=session,
            )  # fmt: skip
    return found


def _ranges(after: Key | None) -> Iterator[Mapping[str, Any]]:
    """What lies above a key, in order, each as one range of the index."""
    if after is None:
        yield {}
        return
    yield {"kind": after.kind, "parent": after.parent, "id": {"$gt": after.id}}
    yield {"kind": after.kind, "parent": {"$gt": after.parent}}
    yield {"kind": {"$gt": after.kind}}


def _upsert(shelf: str, write: DocumentWrite) -> Upsert:
    position = ordered_position(write.position)
    return Upsert(
        {"_id": document_id(shelf, write.key), "position": {"$lt": position}},
        {
            "$set": {
                "shelf": shelf, "kind": write.key.kind, "parent": write.key.parent, "id": write.key.id,
                "position": position, "time_ms": write.time_ms, "data": write.data, "tombstone": write.data is None,
            }
        },
    )  # fmt: skip


def _key(document: Mapping[str, Any]) -> Key:
    return Key(document["kind"], document["parent"], document["id"])


def _stored(document: Mapping[str, Any]) -> Stored:
    return Stored(position_of(document["position"]), document["data"])


def _too_old(document: Mapping[str, Any], expiry: Expiry) -> bool:
    if document["tombstone"]:
        return bool(document["time_ms"] < expiry.tombstones_before_ms)
    of_answers = document["kind"] == ANSWER_KIND and expiry.answers_before_ms is not None
    return of_answers and document["time_ms"] < expiry.answers_before_ms
