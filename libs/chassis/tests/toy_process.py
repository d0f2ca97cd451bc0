"""The toy as a process: `python -m tests.toy_process`, with `libs/chassis` as the working directory."""

from __future__ import annotations

import os
import sys

from chapar_chassis.process import OwnerService, run_owner_service

from . import toy

SERVICE = OwnerService(domain=toy.ToyDomain(), api=lambda _context: toy.toy_api())

if __name__ == "__main__":
    sys.exit(run_owner_service(SERVICE, sys.argv[1:], os.environ))
