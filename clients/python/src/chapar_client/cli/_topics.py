"""topics: what the services' topics on Kafka must be like; made, set right, or only looked at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from chapar_client.cli._output import Output
from chapar_client.cli._reasons import REFUSED
from chapar_client.cli._running import Json, run_plain
from chapar_client.home import data_folder
from chapar_client.up import Installation, ServiceFailed, TopicAction
from chapar_client.up import topics as run_topics

topics = typer.Typer(
    name="topics",
    help="Topics of journals and streams on Kafka. Processes look at theirs when they start and change nothing.",
    no_args_is_help=True,
)
Kafka = Annotated[str, typer.Option(help="host:port of a Kafka broker, or several separated by commas.")]
Partitions = Annotated[int, typer.Option(help="Of each journal and stream; never changed afterwards.", min=1)]
Replicas = Annotated[int, typer.Option(help="Copies of each; all but one must be in sync.", min=1, max=9)]
Data = Annotated[Path | None, typer.Option("--data", help="The installation's data folder.")]

_PASSED_ON = ("CHAPAR_KAFKA_USER", "CHAPAR_KAFKA_CA", "CHAPAR_SECRETS_DIR")
"""Who the operator is to the brokers."""


@topics.command()
def apply(
    kafka: Kafka, partitions: Partitions = 256, replicas: Replicas = 3, data: Data = None, json: Json = False
) -> None:
    """Create the topics that are missing and set right those that are not. Repeating it changes nothing."""
    _run("apply", kafka, partitions, replicas, data, as_json=json)


@topics.command()
def check(
    kafka: Kafka, partitions: Partitions = 256, replicas: Replicas = 3, data: Data = None, json: Json = False
) -> None:
    """Say all that is wrong with the topics, as the services would at their start; change nothing."""
    _run("check", kafka, partitions, replicas, data, as_json=json)


def _run(action: TopicAction, kafka: str, partitions: int, replicas: int, data: Path | None, *, as_json: bool) -> None:
    async def work(output: Output) -> None:
        installation = Installation(
            data_folder(os.environ, data), kafka=kafka, partitions=partitions, kafka_replicas=replicas,
            extra_environment={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        )  # fmt: skip
        try:
            rows = await run_topics(installation, action)
        except ServiceFailed as refused:
            for line in str(refused).splitlines():
                output.fail(line)
            raise typer.Exit(REFUSED) from None
        for row in rows:
            kept = "for ever" if row["kept_ms"] is None else f"{row['kept_ms'] // 60_000} minutes"
            said = f"{row['change']} ({', '.join(row['settings'])})" if row["settings"] else row["change"]
            output.show(f"{row['topic']:<28} {row['partitions']:>5} partitions, kept {kept:<12} {said}", **row)

    run_plain(work, as_json=as_json)
