"""backup, restore: an installation's journals and keys into a folder and back."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from chapar_client.cli._output import Output
from chapar_client.cli._running import Json, run_plain
from chapar_client.home import data_folder
from chapar_client.up import Installation, back_up, restore

Data = Annotated[Path | None, typer.Option("--data", help="The installation's data folder.")]
Kafka = Annotated[str, typer.Option(help="host:port of the Kafka broker that holds the journals.")]
KafkaReplicas = Annotated[int, typer.Option(min=1, max=9, help="Copies of each topic.")]
Partitions = Annotated[int, typer.Option(help="Of each journal.", min=1)]
Mongo = Annotated[str, typer.Option(help="mongodb://host:port/ of the database that holds the keys.")]

_PASSED_ON = ("CHAPAR_KAFKA_USER", "CHAPAR_KAFKA_CA", "CHAPAR_MONGO_DATABASE", "CHAPAR_MONGO_USER", "CHAPAR_MONGO_CA")
"""Who the operator is to brokers and database; passwords are secret files of each service."""


def passed_on() -> dict[str, str]:
    """Those of the settings of brokers and database that are given by the environment."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def backup_installation(
    to: Annotated[Path, typer.Option("--to", help="The backup's folder; one that is there is continued.")],
    data: Data = None,
    kafka: Kafka = "",
    partitions: Partitions = 16,
    mongo: Mongo = "",
    json: Json = False,
) -> None:
    """Copy the journals and keys of an installation into a folder; it may run.

    Secrets are not in it: keep <data>/secrets apart. Without them nobody can read the backup, and nobody restore it.
    """

    async def work(output: Output) -> None:
        installation = Installation(
            data_folder(os.environ, data), kafka=kafka, partitions=partitions, mongo=mongo,
            extra_environment=passed_on(),
        )  # fmt: skip
        begun = time.monotonic()

        def progress(service: str, done: int) -> None:
            output.note(f"{service}: {done} of {installation.partitions} partitions")

        manifest = await back_up(installation, to.absolute(), progress)
        seconds = time.monotonic() - begun
        services = manifest["services"].values()
        records, size, keys = (sum(service[name] for service in services) for name in ("records", "bytes", "keys"))
        output.show(
            f"Copied {records} records ({size / 1e6:.1f} MB) and {keys} keys into {to} in {seconds:.1f} s.\n"
            f"Keep {installation.data_dir / 'secrets'} apart from it: without those nobody can restore it.",
            records=records,
            bytes=size,
            keys=keys,
            seconds=round(seconds, 3),
            rounds=manifest["rounds"],
        )

    run_plain(work, as_json=json)


def restore_installation(
    source: Annotated[Path, typer.Option("--from", help="The backup's folder.")],
    data: Data = None,
    kafka: Kafka = "",
    kafka_replicas: KafkaReplicas = 1,
    mongo: Mongo = "",
    json: Json = False,
) -> None:
    """Restore a backup into an empty installation, with nothing running; then start it.

    The secrets of the installation that was backed up must be in <data>/secrets. Ended early, run it again.
    """

    async def work(output: Output) -> None:
        installation = Installation(
            data_folder(os.environ, data), kafka=kafka, kafka_replicas=kafka_replicas, mongo=mongo,
            extra_environment=passed_on(),
        )  # fmt: skip
        begun = time.monotonic()
        rows = await restore(installation, source.absolute(), lambda service: output.note(f"restoring {service}"))
        seconds = time.monotonic() - begun
        records, size = (sum(row[name] for part in rows.values() for row in part) for name in ("records", "bytes"))
        output.show(
            f"Restored and read back {records} records ({size / 1e6:.1f} MB) in {seconds:.1f} s."
            " Start with `chapar up`.",
            records=records,
            bytes=size,
            seconds=round(seconds, 3),
            services=rows,
        )

    run_plain(work, as_json=json)
