"""The lane of owners: plays a seed."""

from __future__ import annotations

from collections.abc import Callable, Container
from functools import partial

from chapar.sourcing.journal.v1 import journal_pb2 as journal
from chapar_sourcing.owner import Owner, OwnerPhase
from tests.simulation.checks import check_history, check_state
from tests.simulation.chimes import Chime, check_chimes, chimes_of
from tests.simulation.clients import Client
from tests.simulation.faults import Rates, is_calm
from tests.simulation.node import TIMERS_PAGE, Node
from tests.simulation.playing import Played, Violation
from tests.simulation.toy import Registers
from tests.simulation.world import World

NODES = 3
CLIENTS = 8
WISHES = 7
REST_MS_MAX = 10_000
"""How long an owner to whom nothing happens any more may take to come to rest."""
CROWD = 4 * min(TIMERS_PAGE)
"""More chimes than that wait at once: more than the owner with the smallest pages remembers."""
CHIMES_LATE_MS = 4_000
"""How late a chime may be once all is well: an answer of the store that stalled before is still under way."""


def play(
    seed: int,
    suppressed: Container[int] = frozenset(),
    *,
    owner_class: type[Owner] = Owner,
    node_class: type[Node] = Node,
) -> Played:
    """Plays one seed to its end and judges it."""
    world = World(seed, Rates().of(seed), suppressed)
    domain = Registers(journals_refusals=seed % 2 == 0)
    nodes = [node_class(world, f"n{i}", domain, owner_class) for i in range(NODES)]
    clients = [Client(world, f"c{i}", nodes, WISHES, reactor=i == CLIENTS - 1) for i in range(CLIENTS)]
    try:
        disturbed(world, nodes, clients, limit_ms=120_000)
        for node in nodes:
            if node.up and not node.paused and world.faults.happens("connection_lost_last"):
                node.loads.lose_connection()
        world.heal()
        _settle(world, nodes, clients, domain)
    except Violation as broken:
        violation = str(broken)
    except Exception as broken:
        # Nothing else may be raised: an owner that fails takes its process with it.
        violation = f"{type(broken).__name__}: {broken}"
    else:
        violation = ""
    faults = world.faults
    faults.fired["calm_seeds"] += is_calm(seed)
    return Played(seed, world.trace_hash, faults.fired, violation, world.steps, faults.numbered)


def disturbed(world: World, nodes: list[Node], clients: list[Client], limit_ms: int) -> None:
    """Clients work while processes crash, sleep and take over from each other."""
    nodes[0].start()

    def disturb() -> None:
        up = [node for node in nodes if node.up]
        down = [node for node in nodes if not node.up]
        awake = [node for node in up if not node.paused]
        if not up:
            world.random.choice(nodes).start()
        elif world.faults.happens("crash"):
            world.random.choice(up).crash()
        elif awake and world.faults.happens("pause"):
            world.random.choice(awake).pause(world.random.choice((100, 1_000)))
        elif awake and world.faults.happens("long_pause"):
            world.random.choice(awake).pause(world.random.choice((6_000, 12_000)))
        elif (down and world.faults.happens("takeover")) or (down and not awake and world.random.random() < 0.01):
            world.random.choice(down).start()
        if not world.journal.down and world.faults.happens("journal_crash"):
            world.journal.crash()
        if world.faults.happens("fail_over"):
            world.store.fail_over(world.random.choice((0.0, 0.0, 0.5)))
        world.after(20, disturb)

    disturb()
    for client in clients:
        world.soon(0, 500, client.next, client.random)
    busy = list(clients)

    def done() -> bool:
        while busy and busy[-1].done:
            busy.pop()
        return not busy

    world.run(done, limit_ms=limit_ms)


def _settle(world: World, nodes: list[Node], clients: list[Client], domain: Registers) -> None:
    """Everything heals; one process stays, or a new one comes up; all wishes end; then the books are compared."""
    stays = _owner_that_stays(world, nodes)
    for node in nodes:
        if node.up and node is not stays:
            node.crash()
    if stays is None:
        nodes[0].start()

    def owning() -> list[Node]:
        return [node for node in nodes if node.up and node.owner.phase is OwnerPhase.OWNING]

    def quiet() -> bool:
        idle = all(not node.owner.undurable and node.owner.backlog == 0 for node in owning())
        return all(client.done for client in clients) and len(owning()) == 1 and idle

    if not world.run(quiet, limit_ms=120_000):
        waiting = [put.tag for client in clients for put in client.puts if not put.done]
        raise Violation(f"no rest: {[node.owner.phase.value for node in nodes]}, unanswered {waiting}")
    _wait_for_chimes(world, lambda: owning()[0] if quiet() else None)
    chimes = check_chimes(world.model.blocks)
    world.faults.fired.update(
        chimes_fired=chimes.fired,
        chimes_cancelled=chimes.cancelled,
        chimes_again=chimes.again,
        chimes_crowded=chimes.most > CROWD,
    )
    check_history(world, clients)
    check_state(world, owning()[0], domain)
    owning()[0].steps.rested()
    if not world.run(lambda: all(node.rests for node in owning()), limit_ms=REST_MS_MAX):
        raise Violation("somebody is never answered, or something is waited for that nobody brings")


def _owner_that_stays(world: World, nodes: list[Node]) -> Node | None:
    """The owner as the log has it, in half of all seeds, if it is awake."""
    claims = [journal.Record.FromString(record.data).claim for record in world.journal.records]
    epoch = max((claim.epoch for claim in claims), default=0)
    owners = [
        n for n in nodes if n.up and not n.paused and n.owner.phase is OwnerPhase.OWNING and n.owner.epoch == epoch
    ]
    return owners[0] if owners and world.random.random() < 0.5 else None


def _wait_for_chimes(world: World, at_rest: Callable[[], Node | None]) -> None:
    """Lets time pass until all chimes must have fired, those that chimes set included, by an owner that had the time
    to. `at_rest` is the process that owns; None while something moves."""
    due_ms, owner = 0, None
    known: frozenset[Chime] = frozenset()
    """Those that have had the time."""
    while True:
        past = partial(_is_past, at_rest, due_ms)
        world.run(past, limit_ms=120_000)
        world.run(lambda: False, limit_ms=CHIMES_LATE_MS)
        world.run(past, limit_ms=120_000)
        node, chimes = at_rest(), chimes_of(world.model.blocks)
        if node is None or (node.owner is owner and chimes.waiting <= known):
            return
        due_ms, owner, known = max(due_ms, chimes.last_due_ms), node.owner, frozenset(chimes.waiting)


def _is_past(at_rest: Callable[[], Node | None], time_ms: int) -> bool:
    node = at_rest()
    return node is not None and node.now_ms >= time_ms
