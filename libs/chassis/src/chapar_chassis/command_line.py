"""Runs a process's command and turns every way it can fail to start into one clear line and an exit status."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TextIO, TypeAlias

from chapar_chassis.routing import RoutingInvalid
from chapar_chassis.secrets import SecretsInvalid
from chapar_chassis.settings import SettingsInvalid
from chapar_chassis.telemetry import LibraryLogs, make_logger, places_of
from chapar_chassis.tls import CertificateInvalid
from chapar_sourcing.fold import LogDamaged
from chapar_sourcing.ports.errors import Unavailable
from chapar_sourcing.segments import SegmentRefused

Command: TypeAlias = Callable[..., Coroutine[Any, Any, int]]
"""Runs with the command's parameters and says the exit status."""

EXIT_FAILED = 1
EXIT_USAGE = 2
_CLEAR = (
    SecretsInvalid,
    CertificateInvalid,
    RoutingInvalid,
    LogDamaged,
    SegmentRefused,
    Unavailable,
    RuntimeError,
    OSError,
)
"""Errors whose text is written for an operator; ports raise kinds of `RuntimeError` for files they refuse."""


def run_command(
    service: str,
    arguments: Sequence[str],
    commands: Mapping[str, Command],
    *,
    errors: TextIO = sys.stderr,
) -> int:
    """Runs the command that the arguments name ("" without any) and returns the exit status.

    Commands are named with their parameters, such as "archive FOLDER".
    """
    named = {tuple(name.split()[:1]): (run, len(name.split())) for name, run in commands.items()}
    run, words = named.get(tuple(arguments[:1]), (None, 0))
    if run is None or len(arguments) != words:
        choices = " | ".join(sorted(choice for choice in commands if choice))
        print(f"usage: python -m chapar_{service} [{choices}]", file=errors)
        return EXIT_USAGE
    logging.getLogger().addHandler(LibraryLogs(make_logger(service, "warning")))
    try:
        return asyncio.run(run(*arguments[1:]))
    except SettingsInvalid as invalid:
        print(f"chapar-{service}: {invalid}", file=errors)
        return EXIT_USAGE
    except Exception as error:
        print(f"chapar-{service}: {line_of(error)}", file=errors)
        return EXIT_FAILED


def line_of(error: BaseException) -> str:
    """One line for an operator: the text of an error that was written for one, else its type and place."""
    cause = first_cause(error)
    if isinstance(cause, _CLEAR):
        return " ".join(str(cause).split()) or type(cause).__name__
    places = places_of(cause)
    return f"unexpected {type(cause).__name__} at {places[-1] if places else 'an unknown place'}"


def first_cause(error: BaseException) -> BaseException:
    """The first error of a group of groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
