"""Store and KeyStore in a database of MongoDB's protocol.

Every write waits for a majority of the servers and their logs, every read sees what a majority has, from the primary,
so that no fail-over takes back what was told. `_link` is the connection and the one file that knows the driver,
`_layout` what lies in which collection under which index, `_partitions` a partition's editions and checkpoints in one
document, `_documents` and `_rows` what editions hold.
"""

from chapar_sourcing.adapters.mongo._keys import MongoKeyStore
from chapar_sourcing.adapters.mongo._layout import check, collections_with_documents, prepare
from chapar_sourcing.adapters.mongo._link import Credentials, Database, DatabaseRefused
from chapar_sourcing.adapters.mongo._store import MongoStore

__all__ = [
    "Credentials",
    "Database",
    "DatabaseRefused",
    "MongoKeyStore",
    "MongoStore",
    "check",
    "collections_with_documents",
    "prepare",
]
