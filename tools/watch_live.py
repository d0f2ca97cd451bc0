"""Asks every query of every dashboard of a real Prometheus that watches the five services and a canary under load.

    python -m tools.watch_live [--seconds 180] [--kafka] [--report docs/dashboards.json]

Passes when no query is refused, 95 % of those that should have data have some, every series that the services serve is
one that the catalogues know, each service level is measured over each window, and no alert pages. Queries that are
marked as healthy when empty are asked, too, and counted apart. With --kafka journals and streams lie on a real broker
with an exporter inside of it, and the queries of its own figures count as all others; otherwise they are counted apart.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from chapar_client.canary import Account, CanaryMeasures, MeasuresServer, Rounds, keep_flying
from chapar_client.demo import Stage
from chapar_client.up import service_of
from tools.kafka_jars import exporter
from tools.kafka_server import KafkaServer
from tools.prometheus_server import PrometheusServer, QueryRefused
from tools.server_process import free_ports
from tools.watch.__main__ import DASHBOARDS, RULES
from tools.watch.known import BROKERS, CANARY_JOB, SCRAPED
from tools.watch.levels import ERRORS, LEVELS, WINDOWS
from tools.watch.panels import NO_EXPORTER, NOTHING_IS_WELL
from tools.watch_load import Crowd

EXPORTER_RULES = RULES.parent / "kafka-jmx.yaml"
SHARE_MIN = 0.95
RATE_INTERVAL = "15s"
LOOKED_BACK_S = 60
EVERYTHING = ".+"
CANARY_RIALS = 100_000


@dataclass(frozen=True, slots=True)
class Asked:
    """One query and what came of it."""

    board: str
    panel: str
    query: str
    mark: str
    """Why it may be empty; "" where it may not."""
    values: int
    refused: str = ""


def queries() -> Iterator[tuple[str, str, str, str]]:
    """Board, panel, query and mark of all that the committed dashboards ask."""
    for path in sorted(DASHBOARDS.glob("*.json")):
        board = json.loads(path.read_text(encoding="utf-8"))
        variables = [variable["name"] for variable in board["templating"]["list"]]
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                query = target["expr"].replace("$__rate_interval", RATE_INTERVAL)
                for variable in variables:
                    query = query.replace(f"${variable}", EVERYTHING)
                mark = panel["fieldConfig"]["defaults"].get("noValue", "")
                yield board["uid"], panel["title"], query, mark


def ask(prometheus: PrometheusServer) -> Sequence[Asked]:
    """Asks everything."""
    asked = []
    for board, panel, query, mark in queries():
        try:
            asked.append(Asked(board, panel, query, mark, prometheus.values(query, LOOKED_BACK_S)))
        except QueryRefused as refused:
            asked.append(Asked(board, panel, query, mark, 0, str(refused)))
    return asked


def unknown(names: set[str]) -> Sequence[str]:
    """Series that our processes serve and no catalogue has."""
    ours = {name for name in names if name.startswith(("chapar_", "process_"))}
    return sorted(ours - {*SCRAPED})


def measured(prometheus: PrometheusServer) -> Mapping[str, int]:
    """Of each service level, how many windows have numbers."""
    return {
        level.name: sum(
            prometheus.values(f'{ERRORS}{window}{{slo="{level.name}"}}', LOOKED_BACK_S) > 0 for window in WINDOWS
        )
        for level in LEVELS
    }


def judged(
    asked: Sequence[Asked], strangers: Sequence[str], alerts: Sequence[Mapping[str, str]],
    levels: Mapping[str, int], *, on_kafka: bool = False,
) -> Mapping[str, object]:  # fmt: skip
    """The report."""
    excused = {NOTHING_IS_WELL} if on_kafka else {NOTHING_IS_WELL, NO_EXPORTER}
    due = [one for one in asked if one.mark not in excused]
    with_data = [one for one in due if one.values]
    refused = [one for one in asked if one.refused]
    pages = sorted({f"{alert['alertname']} {alert.get('job', '')}" for alert in alerts if alert["severity"] == "page"})
    share = len(with_data) / len(due)
    measured_all = all(windows == len(WINDOWS) for windows in levels.values())
    return {
        "well": share >= SHARE_MIN and not refused and not strangers and not pages and measured_all,
        "queries": len(asked), "due": len(due), "with_data": len(with_data), "share": round(share, 4),
        "healthy_when_empty": _counted(asked, NOTHING_IS_WELL), "of_brokers": _counted(asked, NO_EXPORTER),
        "empty": [asdict(one) for one in due if not one.values], "refused": [asdict(one) for one in refused],
        "windows_measured": dict(levels), "unknown_series": [*strangers], "pages": pages,
        "tickets": sorted({alert["alertname"] for alert in alerts if alert["severity"] == "ticket"}),
    }  # fmt: skip


def _counted(asked: Sequence[Asked], mark: str) -> Mapping[str, int]:
    marked = [one for one in asked if one.mark == mark]
    return {"queries": len(marked), "with_data": sum(one.values > 0 for one in marked)}


@contextmanager
def broker(folder: Path) -> Iterator[tuple[str, str]]:
    """A broker with an exporter inside: where clients call it, and where its figures are."""
    (port,) = free_ports(None)
    figures = f"127.0.0.1:{port}"
    with KafkaServer(folder, java_options=(f"-javaagent:{exporter()}={figures}:{EXPORTER_RULES}",)) as server:
        yield server.bootstrap, figures


@asynccontextmanager
async def canary(stage: Stage) -> AsyncIterator[str]:
    """A canary flies while the block runs; where its metrics are. What ends it ends the block."""
    one, other = await stage.person("canary 1"), await stage.person("canary 2")
    await stage.cash_in(one, CANARY_RIALS)
    accounts, measures = (Account(one.client), Account(other.client)), CanaryMeasures()
    for account in accounts:
        await account.open()
    rounds = Rounds(
        accounts, measures, lambda stage, error: print(f"canary: {stage}: {error}", file=sys.stderr), within_s=5.0,
        rials=1_000,
    )  # fmt: skip
    server, stopping = MeasuresServer(measures, "127.0.0.1", 0), asyncio.Event()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_flying(accounts, rounds, stopping, every_s=10), name="canary")
            try:
                yield server.address
            finally:
                stopping.set()
    finally:
        server.close()


async def watched(folder: Path, seconds: float, kafka: str, figures: str) -> Mapping[str, object]:
    """Runs everything once."""
    async with Stage(folder, kafka=kafka) as stage:
        jobs = {f"chapar-{service_of(name)}": [at.metrics_address] for name, at in stage.up.addresses.items()}
        if figures:
            jobs[BROKERS] = [figures]
        async with canary(stage) as flying:
            jobs[CANARY_JOB] = [flying]
            with PrometheusServer(folder / "prometheus", jobs) as prometheus:
                crowd = await Crowd.open(stage)
                print(f"watch: the load runs for {seconds:.0f} s", file=sys.stderr, flush=True)
                async with crowd.busy():
                    await asyncio.sleep(seconds)
                    asked = await asyncio.to_thread(ask, prometheus)
                    names = await asyncio.to_thread(prometheus.names)
                    alerts = await asyncio.to_thread(prometheus.series, 'ALERTS{alertstate="firing"}')
                    levels = await asyncio.to_thread(measured, prometheus)
    report = judged(asked, unknown(names), alerts, levels, on_kafka=bool(kafka))
    return {**report, "kafka": bool(kafka), "seconds": seconds, "done": dict(sorted(crowd.done.items()))}


def main() -> int:
    """Runs what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=180, help="of load before anything is asked")
    parser.add_argument("--kafka", action="store_true", help="journals and streams on a real broker")
    parser.add_argument("--report", type=Path, help="where the report is written as well")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="chapar-watch-") as folder,
        broker(Path(folder) / "kafka") if given.kafka else nullcontext(("", "")) as (kafka, figures),
    ):
        report = asyncio.run(watched(Path(folder), given.seconds, kafka, figures))
    text = json.dumps(report, indent=1, ensure_ascii=False)
    print(text)
    if given.report:
        given.report.write_text(text + "\n", encoding="utf-8")
    return 0 if report["well"] else 1


if __name__ == "__main__":
    sys.exit(main())
