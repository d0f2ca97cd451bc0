"""Carries money that left for another partition to its payee's side, many transfers in one command.

It keeps nothing: a batch is what left in one block's time, as the events say, and travels with its last transfer. The
receiving side applies exactly the next numbers, so that a repetition after a crash changes nothing. Refused as a hole
means that a batch before it was not delivered, and the engine delivers in order.
"""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import Message

from chapar.payments.journal.v1 import journal_pb2 as journal
from chapar_payments.domain.documents import DEPARTURE, Departure, departure_key
from chapar_payments.domain.rules import CREDITS_MAX
from chapar_payments.ledger import Ledger
from chapar_sourcing.domain import ordered
from chapar_sourcing.ports.errors import Unavailable
from chapar_sourcing.reactions import Outgoing, Source, Submit
from chapar_sourcing.view import View


class CarryTransits:
    """Implements `chapar_sourcing.reactions.Reaction` on the own journal."""

    name = "transits"
    topic: str | None = None
    event_type: type[Message] = journal.Event

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def react(self, event: Message, source: Source, view: View) -> Sequence[Outgoing]:
        """The batch that a transfer is the last of, as one command for its target; otherwise nothing."""
        if not isinstance(event, journal.Event):
            return ()
        self._ledger.take(source.partition, event)
        if event.WhichOneof("kind") != "transfer_sent":
            return ()
        sent = event.transfer_sent
        if await _travels_later(sent, view):
            return ()
        command = journal.ApplyCredits(
            source_partition=sent.source_partition,
            first_sequence=sent.batch_first_sequence,
            credits=await _credits(sent, view),
        )
        carried = sum(credit.amount_rials for credit in command.credits)
        return (Submit(sent.payee_user_id, journal.Command(apply_credits=command), carries=carried),)


async def _travels_later(sent: journal.TransferSent, view: View) -> bool:
    """Whether the next transfer of the pair belongs to the same batch, and takes this one along."""
    following = departure_key(sent.target_partition, sent.transit_sequence + 1)
    found = (await view.get(following)).get(following)
    return isinstance(found, Departure) and found.batch_first_sequence == sent.batch_first_sequence


async def _credits(sent: journal.TransferSent, view: View) -> list[journal.Credit]:
    """The batch up to this transfer. Raises `Unavailable` when what was read has a gap."""
    first, last = sent.batch_first_sequence, sent.transit_sequence
    found = await view.scan(
        DEPARTURE,
        ordered(sent.target_partition),
        after=ordered(first - 1),
        before=ordered(last + 1),
        limit=CREDITS_MAX,
    )
    if [key.id for key, _ in found] != [ordered(n) for n in range(first, last + 1)]:
        raise Unavailable(f"departures {first} to {last} to partition {sent.target_partition} cannot be read whole")
    return [journal.Credit.FromString(d.credit) for _, d in found if isinstance(d, Departure)]
