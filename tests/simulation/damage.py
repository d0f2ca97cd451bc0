"""The lane of damaged logs: acknowledged records are cut off, or a byte is flipped, and somebody must notice.

What can be noticed, and by whom, is in docs/adr/0014. Played here: an owner that has folded what is cut off alarms at
its next contact with the log, whether it is told an offset, none, or nothing, and acknowledges nothing before; a
process that starts at a checkpoint above the cut alarms at its first read; a flipped byte in any record that counts and
that a block follows stops the fold.
"""

from __future__ import annotations

from collections.abc import Container

from google.protobuf.wrappers_pb2 import StringValue

from chapar_sourcing.domain import Document, Key
from chapar_sourcing.fold import FoldState, LogDamaged, fold
from chapar_sourcing.owner import Applied, Outcome, Owner, OwnerPhase
from chapar_sourcing.ports import JournalRecord
from tests.simulation.clients import Client
from tests.simulation.faults import Rates
from tests.simulation.model import Model
from tests.simulation.node import Node
from tests.simulation.playing import Played, Violation
from tests.simulation.run import CLIENTS, NODES, WISHES, disturbed
from tests.simulation.steps import OwnerSteps
from tests.simulation.toy import Registers
from tests.simulation.world import World

LIVES_MS = 12_000
NOTICES_MS = 15_000
CUT_MAX = 6
CONTACTS = ("offset told", "no offset told", "nothing told")
DAMAGES = (*(f"cut, {contact}" for contact in CONTACTS), "cut below the checkpoint", "a bit flipped")
"""What is counted beside the faults."""


class AfterTheCut(OwnerSteps):
    """Follows an owner that remembers what the log has lost: it may give up, and that is all."""

    def applied(self, told: Applied) -> None:
        raise Violation(f"{self._name} takes the block at {told.offset} for durable after the cut")

    def replied(self, outcome: Outcome, scope: str, request_id: bytes) -> None:
        """Answers from memory wait for a confirmation, which never comes."""

    def refused(self, wish: StringValue, outcome: Outcome, since: int) -> None:
        if outcome.reason in ("REASON_NO_ITEM", "REASON_ODD"):
            raise Violation(f"{self._name} says {outcome.reason} after the cut")

    def read(self, key: Key, document: Document | None, since: int) -> None:
        raise Violation(f"{self._name} confirms a read after the cut")

    def stepped(self, owner: Owner) -> None:
        """What it remembers is of another log."""


def play(seed: int, suppressed: Container[int] = frozenset(), *, owner_class: type[Owner] = Owner) -> Played:
    """Plays one seed to its end and judges it."""
    world = World(seed, Rates(), suppressed)
    domain = Registers(journals_refusals=seed % 2 == 0)
    nodes = [Node(world, f"n{i}", domain, owner_class) for i in range(NODES)]
    clients = [Client(world, f"c{i}", nodes, WISHES, reactor=i == CLIENTS - 1) for i in range(CLIENTS)]
    try:
        disturbed(world, nodes, clients, limit_ms=LIVES_MS)
        world.heal()
        _damage(world, nodes)
    except Violation as broken:
        violation = str(broken)
    else:
        violation = ""
    return Played(seed, world.trace_hash, world.faults.fired, violation, world.steps, world.faults.numbered)


def _damage(world: World, nodes: list[Node]) -> None:
    for node in nodes:
        if node.up:
            node.crash()
    nodes[0].start()

    def quiet() -> list[Node]:
        """The owner, when nothing of its is under way: the first may have met a claim that was still on its way."""
        return [n for n in nodes if n.up and n.owner.phase is OwnerPhase.OWNING and not n.owner.undurable]

    if not world.run(lambda: bool(quiet()), limit_ms=60_000):
        raise Violation("no rest before the damage")
    owner = quiet()[0]
    _flip(world)
    if world.random.random() < 0.5:
        _cut_below_the_checkpoint(world, owner)
    else:
        _cut_under_the_owner(world, owner)


def _cut(world: World, first: int) -> None:
    """Cuts off everything from a record on; what was on its way is lost with it."""
    kept = world.journal.records[:first]
    world.journal.cut(kept)
    world.model = Model.of(kept)
    world.damaged = True
    world.note(f"the log is cut after {kept[-1].offset if kept else -1}")


def _cut_under_the_owner(world: World, node: Node) -> None:
    """At the next contact the owner notices; nothing is acknowledged before."""
    # Records that count and that it has folded: what nobody has read is missed by nobody.
    folded = [at for at, record in enumerate(world.journal.records) if _counts(node.owner.fold, record)]
    first = world.random.choice(folded[-CUT_MAX:])
    cut = len(world.journal.records) - first
    _cut(world, first)
    node.steps = AfterTheCut(node.name, world.model, -1)
    contact = world.random.choice(CONTACTS)
    world.journal.tells = contact
    world.faults.fired[f"cut, {contact}"] += 1
    if not world.run(lambda: node.owner.phase is OwnerPhase.ALARMED, limit_ms=NOTICES_MS):
        raise Violation(f"{node.name} has not noticed that {cut} records were cut off, {contact}")


def _cut_below_the_checkpoint(world: World, node: Node) -> None:
    """Whoever starts at the checkpoint notices at the first read."""
    node.crash()
    checkpoint = world.store.checkpoint_of(0)
    places = [at for at, record in enumerate(world.journal.records) if checkpoint and _counts(checkpoint.fold, record)]
    if not places:
        return
    _cut(world, world.random.choice(places))
    world.faults.fired["cut below the checkpoint"] += 1
    node.start()
    if not world.run(lambda: node.owner.phase is OwnerPhase.ALARMED, limit_ms=NOTICES_MS):
        raise Violation(f"{node.name} has not noticed that the log ends below its checkpoint")


def _counts(folded: FoldState, record: JournalRecord) -> bool:
    return 0 <= record.offset <= folded.valid_offset


def _flip(world: World) -> None:
    """Flips one bit of one record and folds the log from zero."""
    records, model = world.journal.records, world.model
    counting = {counted.offset for counted in model.chain}
    last_block = max((counted.offset for counted in model.blocks), default=-1)
    at = world.random.randrange(len(records))
    offset, data = records[at].offset, bytearray(records[at].data)
    data[world.random.randrange(len(data))] ^= 1 << world.random.randrange(8)
    damaged = _damaged([*records[:at], JournalRecord(offset, bytes(data)), *records[at + 1 :]])
    world.faults.fired["a bit flipped"] += 1
    if offset in counting and offset < last_block and not damaged:
        raise Violation(f"a flipped bit in the record at {offset} goes unnoticed")


def _damaged(records: list[JournalRecord]) -> bool:
    state = FoldState()
    try:
        for record in records:
            state, _, _ = fold(state, record.offset, record.data)
    except LogDamaged:
        return True
    return False
