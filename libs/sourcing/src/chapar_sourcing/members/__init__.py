"""Which process should own which partition: a state machine without awaits, clocks or chance.

`machine` is fed what the two logs of members say and what this process owns, and says when to beat, what to take, what
to release, and when a claim may be sent; `fixed` does so where it is given who owns what. `peers` judges who is alive,
`fitness` whether this member can own anything, `standing` and `ranking` who should own what, `placements` what
operators want of that, `pace` when to beat.
`messages` has the inputs and effects, `records` what is stored. The asyncio around it is `chapar_sourcing.membership`.

Nothing here is needed for safety, and all of it may be wrong: whoever claims without right deposes a healthy owner,
which costs a take-over and nothing else.
"""

from chapar_sourcing.members.fixed import FixedMachine
from chapar_sourcing.members.machine import MembersMachine
from chapar_sourcing.members.messages import (
    Alarmed,
    Announce,
    AnnouncementRead,
    BeatEnded,
    BeatRead,
    ClaimAsked,
    Doubt,
    Drained,
    DrainStarted,
    Effect,
    Hindrance,
    Input,
    MayClaim,
    Owning,
    PlacementRead,
    Quit,
    Release,
    SendBeat,
    Take,
    Tick,
)
from chapar_sourcing.members.peers import Seen
from chapar_sourcing.members.placements import PlacementRefused, check_placement

__all__ = [
    "Alarmed",
    "Announce",
    "AnnouncementRead",
    "BeatEnded",
    "BeatRead",
    "ClaimAsked",
    "Doubt",
    "DrainStarted",
    "Drained",
    "Effect",
    "FixedMachine",
    "Hindrance",
    "Input",
    "MayClaim",
    "MembersMachine",
    "Owning",
    "PlacementRead",
    "PlacementRefused",
    "Quit",
    "Release",
    "Seen",
    "SendBeat",
    "Take",
    "Tick",
    "check_placement",
]
