"""Renders the charts with each value set: what is committed in `deploy/helm/rendered`, and what tests look at.

A set is a folder of `deploy/helm/sets` with up to four files a service, each adding to those before it: `all.yaml`,
`owners.yaml`, the service's own. Rules and dashboards take none of these values; two sets show all there is of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tools.charts.helm import CHARTS, SERVICES, UMBRELLA, WATCH, complete_charts, template

SETS = CHARTS / "sets"
SET_NAMES = ("default", "production", "external-secret", "development")
RENDERINGS = (
    *((name, service) for name in SET_NAMES for service in SERVICES),
    ("default", WATCH),
    ("production", WATCH),
)
"""Each set with each chart that it is for."""
RENDERED = CHARTS / "rendered"
PARTS = {"gateway": ("all", "gateway"), WATCH: (WATCH,)}


def values_files(name: str, chart: str) -> Sequence[Path]:
    """The files of a set for a chart, in the order in which helm reads them; none for the defaults."""
    wanted = PARTS.get(chart, ("all", "owners", chart))
    return [file for part in wanted if (file := SETS / name / f"{part}.yaml").exists()]


def release_of(chart: str) -> str:
    """What the release of a chart is called in all examples."""
    return f"chapar-{chart}"


def rendered() -> dict[str, str]:
    """Path below `rendered` -> the objects, for every set and chart, and for the umbrella as it comes."""
    with complete_charts() as charts:
        files = {
            f"{name}/{chart}.yaml": template(charts / chart, release_of(chart), values_files(name, chart))
            for name, chart in RENDERINGS
        }
        files[f"umbrella/{UMBRELLA}.yaml"] = template(charts / UMBRELLA, "dev")
    return files
