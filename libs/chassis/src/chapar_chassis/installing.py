"""`python -m chapar_chassis.installing DATA_DIR`: makes the secrets that an installation lacks; for `chapar up`.

Secrets that data needs are never made anew beside it, wherever it lies: files, and what the environment names of Kafka
and MongoDB, are looked at first. Where that cannot be looked at nothing is made.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from chapar_chassis.command_line import line_of
from chapar_chassis.holdings import truth_of
from chapar_chassis.secrets import create_installation, files_of
from chapar_chassis.settings import CommonSettings


def data_of(environ: Mapping[str, str], data_dir: Path, service: str) -> Sequence[str]:
    """What there is of a service that its secrets belong to. Raises what `truth_of` does, `SettingsInvalid`."""
    if not (environ.get("CHAPAR_KAFKA") or environ.get("CHAPAR_MONGO_URI")):
        return files_of(data_dir, service)
    own = {"CHAPAR_DATA_DIR": str(data_dir), "CHAPAR_SECRETS_DIR": str(data_dir / "secrets" / service)}
    return asyncio.run(truth_of(service, CommonSettings.from_environ({**environ, **own})))


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Does what the command line says; the exit status."""
    if len(arguments) != 1:
        print("usage: python -m chapar_chassis.installing DATA_DIR", file=sys.stderr)
        return 2
    try:
        create_installation(Path(arguments[0]).absolute(), partial(data_of, environ))
    except Exception as error:
        print(line_of(error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
