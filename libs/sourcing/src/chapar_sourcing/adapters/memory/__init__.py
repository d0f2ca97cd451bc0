"""Fakes of all ports for tests: everything in memory, faithful to the ports' promises.

Each takes a `fault`: a function that is called at the steps of every call and may raise or wait there, so that tests
make calls fail, hang or lose their answer without patching. What outlives a `close` is in objects that are handed in
(`MemoryLog`, `MemoryTopics`, `MemoryTables`, `MemoryKeys`, `MemoryDirectory`): open an adapter on one of them again
to restart, or twice to have two processes.
"""

from chapar_sourcing.adapters.memory._faults import Fault
from chapar_sourcing.adapters.memory._journal import MemoryJournal, MemoryLog
from chapar_sourcing.adapters.memory._keys import MemoryKeys, MemoryKeyStore
from chapar_sourcing.adapters.memory._members import MemoryDirectory, MemoryMembers
from chapar_sourcing.adapters.memory._store import MemoryStore, MemoryTables
from chapar_sourcing.adapters.memory._stream import MemoryStream, MemoryTopics

__all__ = [
    "Fault",
    "MemoryDirectory",
    "MemoryJournal",
    "MemoryKeyStore",
    "MemoryKeys",
    "MemoryLog",
    "MemoryMembers",
    "MemoryStore",
    "MemoryStream",
    "MemoryTables",
    "MemoryTopics",
]
