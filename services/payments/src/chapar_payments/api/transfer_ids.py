"""Names of transfers: derived, so that every try of a request means the same transfer."""

from __future__ import annotations

import hashlib

from chapar_chassis.api import Caller
from chapar_sourcing.requests import scope_of


def transfer_id_of(caller: Caller) -> str:
    """32 hexadecimal digits from who asks and the request id; two callers never share one."""
    named = f"{scope_of(caller.actor)}\0".encode() + caller.request_id
    return hashlib.blake2b(named, digest_size=16, person=b"transfer").hexdigest()
