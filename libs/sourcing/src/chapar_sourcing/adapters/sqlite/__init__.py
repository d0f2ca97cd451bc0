"""All ports on SQLite files of one machine.

One process holds a file and writes it from one thread, which commits all waiting writes together with one fsync;
reads are short transactions on other threads, and in other processes for streams and owners. `_hold` says who may open
what, `_files` and `_cuts` whether it is what it must be, `_writes` and `_reads` are the two ways in, `_sums` tells a
damaged row; the rest is one module a port.
"""

from chapar_sourcing.adapters.sqlite._edition_reader import stored_editions
from chapar_sourcing.adapters.sqlite._hold import FileRefused
from chapar_sourcing.adapters.sqlite._journal import SqliteJournal
from chapar_sourcing.adapters.sqlite._journal_reader import SqliteJournalReader
from chapar_sourcing.adapters.sqlite._key_reader import SqliteKeyReader
from chapar_sourcing.adapters.sqlite._keys import SqliteKeyStore
from chapar_sourcing.adapters.sqlite._members import SqliteMembers
from chapar_sourcing.adapters.sqlite._store import SqliteStore
from chapar_sourcing.adapters.sqlite._stream import SqliteStream

__all__ = [
    "FileRefused",
    "SqliteJournal",
    "SqliteJournalReader",
    "SqliteKeyReader",
    "SqliteKeyStore",
    "SqliteMembers",
    "SqliteStore",
    "SqliteStream",
    "stored_editions",
]
