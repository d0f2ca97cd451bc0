"""How long Hypothesis plays: as each test says in `make test`, and at length with `--hypothesis-profile soak`."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("soak", max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))
