"""A whole installation on one machine: the five services as children of one supervisor.

The services are started as processes; nothing of theirs is imported here.
"""

from chapar_client.up._asking import Action as TopicAction
from chapar_client.up._asking import DatabaseAction, databases, report_of, topics
from chapar_client.up._backing_up import back_up
from chapar_client.up._child import Addresses, LogLine, ServiceFailed
from chapar_client.up._codes import SignInCodes
from chapar_client.up._installation import (
    ANY_PORT,
    GATEWAY,
    OWNERS,
    SERVICES,
    Installation,
    ReplicasRefused,
    is_gateway,
    replicas,
    replicas_of,
    service_of,
)
from chapar_client.up._lock import FolderInUse, FolderUnusable, locked_folder
from chapar_client.up._restoring import restore
from chapar_client.up._running import run_to_end
from chapar_client.up._supervisor import Supervisor

__all__ = [
    "ANY_PORT",
    "GATEWAY",
    "OWNERS",
    "SERVICES",
    "Addresses",
    "DatabaseAction",
    "FolderInUse",
    "FolderUnusable",
    "Installation",
    "LogLine",
    "ReplicasRefused",
    "ServiceFailed",
    "SignInCodes",
    "Supervisor",
    "TopicAction",
    "back_up",
    "databases",
    "is_gateway",
    "locked_folder",
    "replicas",
    "replicas_of",
    "report_of",
    "restore",
    "run_to_end",
    "service_of",
    "topics",
]
