"""Renders the charts with each value set: what is committed in `deploy/helm/rendered`, and what tests look at.

A set is a folder of `deploy/helm/sets` with up to four files a service, each adding to those before it: `all.yaml`,
`owners.yaml`, the service's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tools.charts.helm import CHARTS, SERVICES, UMBRELLA, complete_charts, template

SETS = CHARTS / "sets"
SET_NAMES = ("default", "production", "external-secret", "development")
RENDERED = CHARTS / "rendered"


def values_files(name: str, service: str) -> Sequence[Path]:
    """The files of a set for a service, in the order in which helm reads them; none for the defaults."""
    wanted = ["all", "gateway"] if service == "gateway" else ["all", "owners", service]
    return [file for part in wanted if (file := SETS / name / f"{part}.yaml").exists()]


def release_of(service: str) -> str:
    """What the release of a service is called in all examples."""
    return f"chapar-{service}"


def rendered() -> dict[str, str]:
    """Path below `rendered` -> the objects, for every set and service, and for the umbrella as it comes."""
    with complete_charts() as charts:
        files = {
            f"{name}/{service}.yaml": template(charts / service, release_of(service), values_files(name, service))
            for name in SET_NAMES
            for service in SERVICES
        }
        files[f"umbrella/{UMBRELLA}.yaml"] = template(charts / UMBRELLA, "dev")
    return files
