import asyncio
import io
import json
import logging
import time
import urllib.request
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from chapar_chassis.settings import Address
from chapar_chassis.telemetry import (
    PROCESS,
    REDACTED,
    LibraryLogs,
    Metrics,
    MetricsServer,
    Shown,
    make_logger,
    watch_event_loop,
)
from chapar_chassis.tokens import AccessTokenSigner


def logged(level: str = "info", /, **values: Any) -> dict[str, Any]:
    """One log line as JSON."""
    output = io.StringIO()
    make_logger("toy", level, output).info("happened", **values)
    line: dict[str, Any] = json.loads(output.getvalue())
    return line


def test_a_log_line_is_one_json_object() -> None:
    line = logged(name_of_it="سلام\nدنیا", count=3)
    assert (line["event"], line["service"], line["level"]) == ("happened", "toy", "info")
    assert (line["name_of_it"], line["count"]) == ("سلام\nدنیا", 3)


def test_levels_below_the_chosen_one_are_not_logged() -> None:
    output = io.StringIO()
    make_logger("toy", "warning", output).info("happened")
    assert output.getvalue() == ""


@pytest.mark.parametrize("name", ["phone", "text", "code", "token", "refresh_token", "memo", "title", "authorization"])
def test_values_of_telling_names_are_dropped(name: str) -> None:
    assert logged(**{name: "swordfish"})[name] == REDACTED
    assert logged(inner={name: ["swordfish"]})["inner"] == {name: REDACTED}


@pytest.mark.parametrize(
    "secret",
    [
        "+989121234567",
        AccessTokenSigner(bytes(32)).sign("u", "s", issued_ms=1),
        "ab" * 32,
        "s1a2b.abcdefghijklmnopqrstuvwxyz.7.mac",
    ],
)
def test_values_that_look_like_a_secret_are_masked_wherever_they_stand(secret: str) -> None:
    line = logged(problem=f"cannot reach {secret} now", inner=[{"deep": secret}])
    assert line["problem"] == f"cannot reach {REDACTED} now"
    assert secret not in json.dumps(line)


def test_bytes_are_never_shown() -> None:
    assert logged(payload=b"swordfish")["payload"] == REDACTED


def test_what_is_shown_on_purpose_is_shown() -> None:
    assert logged(phone=Shown("+989121234567"), code=Shown("123456"))["code"] == "123456"


def test_an_error_is_told_by_type_and_place_and_not_by_its_text() -> None:
    try:
        raise ValueError("swordfish")
    except ValueError as error:
        line = logged(error=error)
    assert line["error"] == "ValueError"
    assert line["where"][0].startswith("test_telemetry.py:")
    assert "swordfish" not in json.dumps(line)


def test_what_libraries_log_comes_in_our_format() -> None:
    output = io.StringIO()
    library = logging.Logger("library")
    library.addHandler(LibraryLogs(make_logger("toy", "info", output)))
    library.info("chatter")
    library.warning("cannot reach %s", "+989121234567")
    line = json.loads(output.getvalue())
    assert (line["logger"], line["message"], line["level"]) == ("library", f"cannot reach {REDACTED}", "warning")


def test_the_engines_measures_become_metrics_of_the_registry_given() -> None:
    registry, other = CollectorRegistry(), CollectorRegistry()
    metrics = Metrics(registry)
    Metrics(other)
    metrics.count("events_published", 2, topic="toy.events.v1")
    metrics.count("events_published", topic="toy.events.v1")
    metrics.count("alarms")
    metrics.gauge("projection_lag_offsets", 7.5, partition="1")
    metrics.observe("append_seconds", 0.004)
    assert registry.get_sample_value("chapar_events_published_total", {"topic": "toy.events.v1"}) == 3
    assert registry.get_sample_value("chapar_alarms_total") == 1
    assert registry.get_sample_value("chapar_projection_lag_offsets", {"partition": "1"}) == 7.5
    assert registry.get_sample_value("chapar_append_seconds_bucket", {"le": "0.005"}) == 1
    assert registry.get_sample_value("chapar_append_seconds_bucket", {"le": "0.0025"}) == 0
    assert other.get_sample_value("chapar_alarms_total") == 0


def test_what_the_system_says_of_the_process_is_what_the_catalogue_says() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    found = {family.name: family.type for family in registry.collect() if family.name.startswith("process_")}
    assert found == {name: measure.kind.value for name, measure in PROCESS.items()}


def test_no_series_are_served_but_those_of_catalogues() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.rpc_seconds.labels("/toy/Add", "OK").observe(0.1)
    metrics.count("events_published", 1, topic="toy.events.v1")
    served = {sample.name for family in registry.collect() for sample in family.samples}
    assert "chapar_rpc_seconds_bucket" in served
    assert [name for name in served if name.endswith("_created")] == []


def test_a_measure_of_no_catalogue_is_refused() -> None:
    metrics = Metrics(CollectorRegistry())
    with pytest.raises(KeyError):
        metrics.count("surprises")
    with pytest.raises(ValueError, match="label"):
        metrics.count("alarms", user="u1")


async def test_a_loop_that_is_held_up_is_noticed() -> None:
    registry = CollectorRegistry()
    watching = asyncio.create_task(watch_event_loop(Metrics(registry)))
    await asyncio.sleep(0)
    time.sleep(0.6)  # noqa: ASYNC251 - what holds the loop up.
    async with asyncio.timeout(20):
        # The registry has no event to wait for.
        while not registry.get_sample_value("chapar_event_loop_lag_seconds_count"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    watching.cancel()
    assert registry.get_sample_value("chapar_event_loop_lag_seconds_bucket", {"le": "0.25"}) == 0


def test_metrics_are_served_on_their_own_port_until_closed() -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.count("alarms")
    server = MetricsServer(metrics.registry, Address("127.0.0.1", 0))
    with urllib.request.urlopen(f"http://{server.address}/metrics", timeout=20) as page:
        assert b"chapar_alarms_total 1.0" in page.read()
    server.close()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://{server.address}/metrics", timeout=20)
