"""Deleting an edition, in bounded steps."""

from __future__ import annotations

from chapar_sourcing.adapters.mongo._layout import CURSOR_ORDER, CURSORS, DOCUMENTS, ROWS, shelf_of
from chapar_sourcing.adapters.mongo._link import BULK_WRITES_MAX, Delete, Link
from chapar_sourcing.editions import edition_cursors


async def drop_some(link: Link, partition: int, edition: int, limit: int) -> bool:
    """Deletes at most `limit` documents and rows of an edition, and at last its cursors; True once all are gone.

    These deletes wait for no turn (see `_bulks`), and what was found goes out in one request: who waited for long might
    delete what others have built meanwhile, under the same number.
    """
    limit = min(limit, BULK_WRITES_MAX)
    shelf = shelf_of(partition, edition)
    for collection in (DOCUMENTS, ROWS):
        found = await link.find(collection, {"shelf": shelf}, fields=("_id",), limit=limit)
        if found:
            await link.write(collection, [Delete({"_id": one["_id"]}) for one in found])
        if len(found) == limit:
            return False
    prefix = edition_cursors(edition)
    names = await link.find(CURSORS, {"partition": partition}, fields=("name",), order=CURSOR_ORDER)
    gone = [Delete({"_id": one["_id"]}) for one in names if one["name"].startswith(prefix)]
    if gone:
        await link.write(CURSORS, gone)
    return True
