"""The inboxes of an installation that has ended, against counting by hand through messaging's whole log.

Inboxes follow conversations: a conversation counts where the reactor's cursor says that everything of its partition has
arrived. The services end in an orderly way, so that is nearly all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack

from chapar.messaging.journal.v1 import journal_pb2 as journal
from chapar_chassis.ports import open_journal, open_store
from chapar_chassis.settings import CommonSettings
from chapar_messaging.inbox import is_live, row_of
from chapar_sourcing.fold import FoldState, Verdict, fold
from chapar_sourcing.partitions import partition_of
from chapar_sourcing.ports import Journal, Store
from chapar_sourcing.positions import NOWHERE
from chapar_sourcing.tail import ValidBlock
from services.messaging.tests.by_hand import Place, Seen, placed, seen_in

FAN_OUT = "reactor/fan_out"
SERVICE = "messaging"


async def shown_wrongly(settings: CommonSettings) -> tuple[list[str], int]:
    """What inboxes show otherwise than counting gives, and how many rows were compared."""
    async with AsyncExitStack() as closing:
        log = await open_journal(settings, SERVICE)
        closing.push_async_callback(log.close)
        store = await open_store(settings, SERVICE)
        closing.push_async_callback(store.close)
        blocks = [await _blocks(log, partition) for partition in range(log.partitions)]
        arrived = [await _has_arrived(store, partition, found) for partition, found in enumerate(blocks)]
        places = placed(
            (at.event, b.block.time_ms) for found in blocks for b in found for at in b.events(journal.Event)
        )
        problems, compared = [], 0
        for user_id in sorted({user_id for place in places.values() for user_id in place.members}):
            shown = await _shown(store, partition_of(user_id, log.partitions), user_id, places)
            for name, seen in seen_in(places, user_id).items():
                if arrived[partition_of(name, log.partitions)]:
                    compared += 1
                    if shown.get(name) != seen:
                        problems.append(f"{user_id} is shown {shown.get(name)} of {name}, not {seen}")
        return problems, compared


async def _blocks(log: Journal, partition: int) -> Sequence[ValidBlock]:
    state, found = FoldState(), []
    while records := await log.read(partition, state.offset + 1):
        for record in records:
            state, verdict, parsed = fold(state, record.offset, record.data)
            if verdict is Verdict.BLOCK:
                found.append(ValidBlock(record.offset, parsed.block, state.hash))
    return found


async def _has_arrived(store: Store, partition: int, blocks: Sequence[ValidBlock]) -> bool:
    cursor = (await store.read_cursors(partition)).get(FAN_OUT)
    ends = [block.end for block in blocks if block.end.event_index >= 0]
    return (cursor.position if cursor else NOWHERE) >= max(ends, default=NOWHERE)


async def _shown(store: Store, partition: int, user_id: str, places: Mapping[str, Place]) -> Mapping[str, Seen]:
    shown = {}
    for stored in await store.rows(partition, user_id):
        if is_live(stored.fields):
            marked = places[stored.row].marked.get(user_id, 0)
            row = row_of(stored.row, stored.fields, marked)
            shown[stored.row] = Seen(
                row.head_sequence, row.activity_time_ms, row.unread_count, row.read_sequence,
                row.first_visible_sequence, row.change_sequence,
            )  # fmt: skip
    return shown
