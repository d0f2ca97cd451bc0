"""The `chapar` command: the five services on this machine, and everything a person does with them.

Exit codes are documented in `_reasons`.
"""

from importlib.metadata import version
from typing import Annotated

import typer

from chapar_client.cli import (
    _archive,
    _backup,
    _canary,
    _capacity,
    _database,
    _demo,
    _doctor,
    _erasing,
    _groups,
    _money,
    _moving,
    _owners,
    _pending,
    _rebuild,
    _sign_in,
    _status,
    _talk,
    _topics,
    _up,
    _verify,
)

app = typer.Typer(
    name="chapar",
    help="Chapar: messages and money. Start with `chapar up`, then `chapar login PHONE`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 1 refused, 2 wrong usage, 3 not signed in, 4 no answer and nothing done, 5 outcome unknown"
    " (see `chapar pending`), 6 a check found a mismatch, 7 the servers failed.",
)


def _show_version(asked_for: bool) -> None:
    if asked_for:
        print(f"chapar {version('chapar-client')}")
        raise typer.Exit


@app.callback()
def chapar(
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and end.")
    ] = False,
) -> None:
    """Chapar: messages and money. Start with `chapar up`, then `chapar login PHONE`."""


app.command()(_up.up)
app.command()(_demo.demo)
app.command()(_status.status)
app.command()(_doctor.doctor)
app.command()(_canary.canary)
app.command()(_capacity.capacity)
app.command("verify-log")(_verify.verify_log)
app.command()(_archive.archive)
app.command("backup")(_backup.backup_installation)
app.command("restore")(_backup.restore_installation)
owners = typer.Typer(cls=_owners.ShowsByDefault, help="Who owns which partition, and have it moved.")
owners.command("show")(_owners.show_owners)
owners.command("move")(_moving.move)
app.add_typer(owners, name="owners")
app.command("rebuild")(_rebuild.rebuild_store)
app.add_typer(_topics.topics, name="topics")
app.add_typer(_database.database, name="database")
app.command()(_sign_in.login)
app.command()(_sign_in.whoami)
app.add_typer(_sign_in.sessions, name="sessions")
app.command()(_erasing.erase)
app.command()(_talk.send)
app.command()(_talk.delete)
app.command()(_talk.tail)
app.command()(_talk.history)
app.command()(_talk.inbox)
app.command()(_talk.presence)
app.add_typer(_groups.groups, name="groups")
app.command()(_money.pay)
app.add_typer(_money.wallet, name="wallet")
app.add_typer(_money.operator, name="operator")
app.command()(_pending.pending)


def main() -> None:
    """The console script."""
    app()
