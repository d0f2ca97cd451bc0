"""How many processes a service has, as an operator says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from chapar_client.up import ANY_PORT, Installation, ReplicasRefused, is_gateway, replicas, replicas_of, service_of


def test_replicas_are_named_after_their_service() -> None:
    installation = Installation(Path("/data"), replicas=replicas_of("messaging=3,payments=2"))
    wanted = ("identity", "messaging", "messaging-2", "messaging-3", "presence", "payments", "payments-2", "gateway")
    assert installation.processes == wanted
    assert [service_of(process) for process in wanted[1:4]] == ["messaging"] * 3
    assert Installation(Path("/data")).processes == ("identity", "messaging", "presence", "payments", "gateway")


def test_every_service_may_have_several() -> None:
    several = replicas_of("gateway=8,identity=3,messaging=3,presence=3,payments=3")
    installation = Installation(Path("/data"), kafka="127.0.0.1:9092", mongo="mongodb://127.0.0.1/", replicas=several)
    installation.check_replicas()
    assert [len(processes) for processes in replicas(installation.processes)] == [3, 3, 3, 3, 8]
    assert [*filter(is_gateway, installation.processes)] == ["gateway", *(f"gateway-{n}" for n in range(2, 9))]


def test_several_gateways_need_no_servers() -> None:
    Installation(Path("/data"), replicas={"gateway": 3}).check_replicas()


def test_processes_of_one_service_are_known_together_in_their_order() -> None:
    installation = Installation(Path("/data"), replicas=replicas_of("messaging=3,payments=2"))
    together = [["identity"], ["messaging", "messaging-2", "messaging-3"], ["presence"], ["payments", "payments-2"]]
    assert replicas(installation.processes) == [*together, ["gateway"]]


def test_each_process_is_told_where_others_call_it() -> None:
    installation = Installation(
        Path("/data"), replicas=replicas_of("messaging=2"), advertised={"messaging-2": "127.0.0.1:7"}
    )
    told = {name: installation.environment(name, listen=ANY_PORT) for name in installation.processes}
    assert {name for name, environment in told.items() if "CHAPAR_ADVERTISE" in environment} == {"messaging-2"}
    assert told["messaging-2"]["CHAPAR_ADVERTISE"] == "127.0.0.1:7"
    assert told["messaging"]["CHAPAR_SECRETS_DIR"] == told["messaging-2"]["CHAPAR_SECRETS_DIR"]


@pytest.mark.parametrize("text", ["shop=2", "messaging", "messaging=x", "messaging=0", "gateway=17", "presence=-2"])
def test_other_numbers_are_refused(text: str) -> None:
    with pytest.raises(ReplicasRefused):
        replicas_of(text)


@pytest.mark.parametrize(("kafka", "mongo"), [("", ""), ("127.0.0.1:9092", ""), ("", "mongodb://127.0.0.1:27017/")])
def test_several_processes_on_files_are_refused(kafka: str, mongo: str) -> None:
    several = Installation(Path("/data"), kafka=kafka, mongo=mongo, replicas={"presence": 2, "messaging": 2})
    with pytest.raises(ReplicasRefused, match="several processes of messaging and presence need --kafka and --mongo"):
        several.check_replicas()
    Installation(Path("/data"), kafka=kafka, mongo=mongo, replicas={"messaging": 1}).check_replicas()
