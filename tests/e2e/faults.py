"""What is done to several processes on brokers and a database: the kinds, and a plan of them for a seed."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from chapar_client.up import OWNERS, is_gateway
from tests.e2e.disturbing import STOP_S_MAX, STOP_S_MIN

FENCED = (*OWNERS, *("messaging", "payments") * 2)
"""Services of which a process is fenced: more often those that always have something under way."""
DELAY_S_MIN = 0.1
DELAY_S_MAX = 1.5


class Fault(Enum):
    """What is done to a process, to a broker, to the database, or to the connections to one of them."""

    KILL = "kill -9"
    STOP = "stop, continue"
    FENCE = "stop until succeeded"
    END = "asked to end"
    KILL_BROKER = "broker kill -9"
    STOP_BROKER = "broker stop, continue"
    FILL_BROKER = "broker disk full"
    CUT_BROKER = "broker cut off"
    DELAY_BROKER = "broker delayed"
    MUTE_BROKER = "broker answers held"
    KILL_DATABASE = "database kill -9"
    STOP_DATABASE = "database stop, continue"
    CUT_DATABASE = "database cut off"
    DELAY_DATABASE = "database delayed"
    MUTE_DATABASE = "database answers held"
    CUT_GATEWAY = "gateway cut off"
    DELAY_GATEWAY = "gateway delayed"
    MUTE_GATEWAY = "gateway answers held"
    CUT_OWNER = "owner cut off"
    DELAY_OWNER = "owner delayed"
    MUTE_OWNER = "owner answers held"


CUTS = (Fault.CUT_BROKER, Fault.CUT_DATABASE, Fault.CUT_GATEWAY, Fault.CUT_OWNER)
"""All connections from outside, each in mid-request, by a reset or by its end."""
DELAYS = (Fault.DELAY_BROKER, Fault.DELAY_DATABASE, Fault.DELAY_GATEWAY, Fault.DELAY_OWNER)
"""Everything that passes, both ways."""
MUTES = (Fault.MUTE_BROKER, Fault.MUTE_DATABASE, Fault.MUTE_GATEWAY, Fault.MUTE_OWNER)
"""Requests arrive and are carried out; their answers come when it is over."""
AT_PROCESS = (Fault.KILL, Fault.STOP, Fault.END)
AT_BROKER = (
    Fault.KILL_BROKER, Fault.STOP_BROKER, Fault.FILL_BROKER, Fault.CUT_BROKER, Fault.DELAY_BROKER, Fault.MUTE_BROKER,
)  # fmt: skip
AT_DATABASE = (
    Fault.KILL_DATABASE, Fault.STOP_DATABASE, Fault.CUT_DATABASE, Fault.DELAY_DATABASE, Fault.MUTE_DATABASE,
)  # fmt: skip
AT_GATEWAY = (Fault.CUT_GATEWAY, Fault.DELAY_GATEWAY, Fault.MUTE_GATEWAY)
AT_OWNER = (Fault.CUT_OWNER, Fault.DELAY_OWNER, Fault.MUTE_OWNER)
"""Between a process that owns and the gateways and processes that call it."""
CALLED_OFTEN = ("messaging", "payments")
"""Services of which somebody wants something at every moment of the load."""
AT_WHO_OWNS_MOST = (Fault.FENCE, *AT_OWNER)
OFTEN = (Fault.KILL, Fault.END)
"""As there are so many processes."""
LASTING = (Fault.STOP, Fault.STOP_BROKER, Fault.STOP_DATABASE, *DELAYS, *MUTES)


class Disturbance(NamedTuple):
    """One of them."""

    fault: Fault
    process: str = ""
    """To which process, or to whose clients; a service: of it whoever owns most; empty for all else."""
    broker: int = 0
    """To which broker; 0 for none."""
    lasts_s: float = 0.0
    delay_s: float = 0.0
    """Each way."""
    reset: bool = False
    """Connections are cut by a reset, not by their end."""

    def __str__(self) -> str:
        at = self.process or (f"number {self.broker}" if self.broker else "")
        by = f"by {self.delay_s:.1f} s" if self.delay_s else "by resets" if self.reset else ""
        return " ".join(filter(None, (self.fault.value, at, by, f"{self.lasts_s:.1f} s" if self.lasts_s else "")))


def plan(
    faults: Collection[Fault], count: int, processes: Collection[str], seed: int, *, brokers: int = 1
) -> Iterator[Disturbance]:
    """The same for the same seed: turns in which each kind comes once and some come twice, in any order, at any
    process or any of so many brokers that it is for."""
    chance = random.Random(seed)
    turn = [*faults, *(fault for fault in OFTEN if fault in faults)]
    kinds = [fault for _ in range(-(-count // len(turn))) for fault in chance.sample(turn, len(turn))]
    for number, fault in enumerate(kinds[:count]):
        yield _one(fault, random.Random(f"{seed} {number}"), processes, brokers)


def _one(fault: Fault, chance: random.Random, processes: Collection[str], brokers: int) -> Disturbance:
    lasts_s = STOP_S_MIN * (STOP_S_MAX / STOP_S_MIN) ** chance.random()
    delay_s = chance.uniform(DELAY_S_MIN, DELAY_S_MAX)
    reset = chance.random() < 0.5
    return Disturbance(
        fault,
        process=chance.choice(_names(fault, processes)),
        broker=chance.randint(1, brokers) if fault in AT_BROKER else 0,
        lasts_s=lasts_s if fault in LASTING else 0.0,
        delay_s=delay_s if fault in DELAYS else 0.0,
        reset=reset and fault in CUTS,
    )


def _names(fault: Fault, processes: Collection[str]) -> Sequence[str]:
    if fault in AT_GATEWAY:
        return [*filter(is_gateway, processes)]
    if fault in AT_OWNER:
        return CALLED_OFTEN
    return FENCED if fault is Fault.FENCE else [*processes] if fault in AT_PROCESS else [""]
