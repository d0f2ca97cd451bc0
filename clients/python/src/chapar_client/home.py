"""Where things are kept: `$CHAPAR_HOME`, or ~/.local/state/chapar."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from chapar_client.sdk import InvalidInput

_PROFILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def home_folder(environ: Mapping[str, str]) -> Path:
    """The folder that holds profiles and, unless told otherwise, the data of `chapar up`."""
    given = environ.get("CHAPAR_HOME", "")
    if given:
        return Path(given).absolute()
    return Path(environ.get("HOME", str(Path.home()))) / ".local" / "state" / "chapar"


def profile_folder(environ: Mapping[str, str], name: str) -> Path:
    """The folder of one profile; raises `InvalidInput`."""
    if not _PROFILE.fullmatch(name):
        raise InvalidInput(f"not a profile name: {name!r} (letters, digits, - and _)")
    return home_folder(environ) / "profiles" / name


def data_folder(environ: Mapping[str, str], given: Path | None) -> Path:
    """The data folder of an installation on this machine."""
    return (given or home_folder(environ) / "data").absolute()
