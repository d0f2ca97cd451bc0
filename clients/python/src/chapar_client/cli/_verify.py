"""verify-log: recompute what the journals claim, from the files alone."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from chapar_client.cli._output import Output
from chapar_client.cli._reasons import MISMATCH
from chapar_client.cli._running import Json, run_plain
from chapar_client.home import data_folder
from chapar_client.sdk import InvalidInput
from chapar_client.toman import shown_toman
from chapar_client.verifier import ServiceReport, verify_folder

VOIDS_SHOWN_MAX = 20
"""Void records explained to a person, a service; programs get more of them."""


def verify_log(
    data: Annotated[Path | None, typer.Option("--data", help="The installation's data folder.")] = None,
    segments: Annotated[Path | None, typer.Option("--segments", help="An archive's folder, to be read, too.")] = None,
    json: Json = False,
) -> None:
    """Recompute chains and ledger from the journals' files; works beside running services. Changes nothing."""

    async def work(output: Output) -> None:
        folder = data_folder(os.environ, data)
        try:
            reports = verify_folder(folder, segments=segments)
        except (FileNotFoundError, ValueError) as error:
            raise InvalidInput(str(error)) from None
        for report in reports:
            _show(output, report)
        if any(report.findings for report in reports):
            raise typer.Exit(MISMATCH)

    run_plain(work, as_json=json)


def _show(output: Output, report: ServiceReport) -> None:
    blocks = sum(partition.blocks for partition in report.partitions)
    entries = sum(partition.entries for partition in report.partitions)
    verdict = f"{len(report.findings)} FINDINGS" if report.findings else "sound"
    sums = {name.removesuffix("_rials").replace("_", " "): rials for name, rials in report.totals.items()}
    money = "".join(f", {name} {shown_toman(rials)}" for name, rials in sums.items())
    lines = [f"{report.service:<10} {verdict}: {blocks} blocks, {entries} entries{money}"]
    if report.segments:
        lines.append(f"    {report.segments} segments hold the first {report.archived_records} of its records")
    lines += _voids(report)
    lines += [f"    partition {finding.partition}: {finding.problem}" for finding in report.findings]
    output.show("\n".join(lines), style="red" if report.findings else "green", **asdict(report))


def _voids(report: ServiceReport) -> list[str]:
    """How many records do not count, and the first of them with why."""
    reasons: Counter[str] = Counter()
    for partition in report.partitions:
        reasons.update(partition.voids)
    if not reasons:
        return []
    total = sum(reasons.values())
    counted = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(reasons.items()))
    records = [(one.partition, void) for one in report.partitions for void in one.void_records][:VOIDS_SHOWN_MAX]
    lines = [f"    {total} records do not count, as it should be: {counted}"]
    lines += [f"      {number}@{void.offset} ({void.writer}): {void.why}" for number, void in records]
    if total > len(records):
        lines.append(f"      and {total - len(records)} more")
    return lines
