"""How much of what has just happened a partition keeps at hand. All of it can be had otherwise: older blocks from the
journal, older rows from the store, and a watcher who asks for older frames is shown a snapshot."""

from __future__ import annotations

from dataclasses import dataclass

BLOCKS_MAX = 1_024
RING_FRAMES_MAX = 256
QUEUE_FRAMES_MAX = 256
IDLE_KEYS_MAX = 10_000
ROW_KEYS_MAX = 4_000


@dataclass(frozen=True, slots=True)
class RecentBounds:
    """The bounds of one partition."""

    blocks_max: int = BLOCKS_MAX
    """Newest blocks, for relays and reactors. A digest is made where they reach back to the checkpoint, which follows
    blocks without documents 256 records behind."""
    ring_frames_max: int = RING_FRAMES_MAX
    """Newest frames of a watched key, for those who come back."""
    queue_frames_max: int = QUEUE_FRAMES_MAX
    """Frames that wait for one watcher; more become a gap."""
    idle_keys_max: int = IDLE_KEYS_MAX
    """Keys nobody watches whose frames are kept for those who come back."""
    row_keys_max: int = ROW_KEYS_MAX
    """Keys whose rows are held in memory."""
