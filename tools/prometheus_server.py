"""A Prometheus of Debian's on this machine, with the project's own rules, for trying out what is asked of it."""

from __future__ import annotations

import json
import math
import signal
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tools.debian import program
from tools.server_process import ServerFailed, ServerProcess, answers, free_ports
from tools.watch.__main__ import RULES

START_DEADLINE_S = 60.0
ANSWER_S_MAX = 30.0
SCRAPE_S = 1


class QueryRefused(Exception):
    """Prometheus does not understand a query, or cannot answer it. The text is its own."""


class PrometheusServer:
    """One that scrapes each second; use as a context manager."""

    def __init__(self, folder: Path, jobs: Mapping[str, Sequence[str]]) -> None:
        """`jobs` has the addresses of each."""
        self._folder = folder
        self._jobs = jobs
        (self._port,) = free_ports(None)
        self._process = ServerProcess("prometheus", folder / "prometheus.log")

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "prometheus.yaml"
        config.write_text(yaml.safe_dump({
            "global": {"scrape_interval": f"{SCRAPE_S}s", "scrape_timeout": f"{SCRAPE_S}s"},
            "rule_files": [str(RULES / "*.yaml")],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [*addresses]}]}
                for job, addresses in self._jobs.items()
            ],
        }))  # fmt: skip
        self._process.start((
            str(program("prometheus")), f"--config.file={config}", f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ))  # fmt: skip
        deadline = time.monotonic() + START_DEADLINE_S
        while not answers(self._port):
            if self._process.ended or time.monotonic() > deadline:
                raise ServerFailed(f"prometheus did not start: {self._process.said[-2000:]}")
            time.sleep(0.1)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._process.end(signal.SIGTERM)

    def values(self, query: str, seconds: int) -> int:
        """How many numbers a query gives over the last seconds, one each 5 s. Raises `QueryRefused`."""
        now = time.time()
        found = self._get("query_range", query=query, start=f"{now - seconds}", end=f"{now}", step="5s")
        return sum(not math.isnan(float(value)) for series in found["result"] for _, value in series["values"])

    def names(self) -> set[str]:
        """Names of all series there are."""
        return {*self._get("label/__name__/values")}

    def series(self, query: str) -> list[dict[str, str]]:
        """Labels of what a query gives now."""
        return [found["metric"] for found in self._get("query", query=query)["result"]]

    def _get(self, what: str, **parameters: str) -> Any:
        url = f"http://127.0.0.1:{self._port}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=ANSWER_S_MAX) as answer:  # nosec B310 # http, to this machine
                return json.load(answer)["data"]
        except urllib.error.HTTPError as refused:
            raise QueryRefused(refused.read().decode(errors="replace")) from refused
