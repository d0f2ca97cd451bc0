"""Runs a process's command and turns every way it can fail to start into one clear line and an exit status."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TextIO

from chapar_chassis.routing import RoutingInvalid
from chapar_chassis.secrets import SecretsInvalid
from chapar_chassis.settings import SettingsInvalid
from chapar_chassis.telemetry import LibraryLogs, make_logger, places_of
from chapar_sourcing.fold import LogDamaged
from chapar_sourcing.ports.errors import Unavailable

EXIT_FAILED = 1
EXIT_USAGE = 2
_CLEAR = (SecretsInvalid, RoutingInvalid, LogDamaged, Unavailable, RuntimeError, OSError)
"""Errors whose text is written for an operator; ports raise kinds of `RuntimeError` for files they refuse."""


def run_command(
    service: str,
    arguments: Sequence[str],
    commands: Mapping[str, Callable[[], Coroutine[Any, Any, int]]],
    *,
    errors: TextIO = sys.stderr,
) -> int:
    """Runs the command that the arguments name ("" without any) and returns the exit status."""
    name = arguments[0] if arguments else ""
    if len(arguments) > 1 or name not in commands:
        choices = " | ".join(sorted(choice for choice in commands if choice))
        print(f"usage: python -m chapar_{service} [{choices}]", file=errors)
        return EXIT_USAGE
    logging.getLogger().addHandler(LibraryLogs(make_logger(service, "warning")))
    try:
        return asyncio.run(commands[name]())
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
