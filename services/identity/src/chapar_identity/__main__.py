"""Starts the service: `python -m chapar_identity`."""

from __future__ import annotations

import os
import sys

from chapar_chassis.process import OwnerService, run_owner_service
from chapar_identity.api import identity_api
from chapar_identity.domain import IdentityDomain
from chapar_identity.publishing import REVOCATIONS_TOPIC, public_event
from chapar_identity.reactors import identity_reactions
from chapar_identity.settings import IdentitySettings

SERVICE = OwnerService(
    domain=IdentityDomain(),
    api=identity_api,
    settings=IdentitySettings,
    reactions=identity_reactions,
    public_event=public_event,
    beat_topics=[REVOCATIONS_TOPIC],
)

if __name__ == "__main__":
    sys.exit(run_owner_service(SERVICE, sys.argv[1:], os.environ))
