"""Images: what their files say, and, where there is an engine, what they do: built, confined, ready, ended in order."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator

import pytest

from tests.deploy.kit import containers, facts, pods
from tools.charts.helm import ROOT, SERVICES
from tools.images import Engine, engine

START_S = 180.0
CONFINED = ("--read-only", "--network", "none", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
PYTHON = "/opt/chapar/bin/python"
COMPILERS = ("gcc", "cc", "g++", "c++", "clang", "ld", "make", "cargo", "go")
ASK = (
    "import grpc, sys; from grpc_health.v1 import health_pb2 as pb, health_pb2_grpc as rpc; "
    "stub = rpc.HealthStub(grpc.insecure_channel('127.0.0.1:7403')); "
    "sys.exit(stub.Check(pb.HealthCheckRequest(service='ready'), timeout=5).status != pb.HealthCheckResponse.SERVING)"
)
built = pytest.mark.usefixtures("images")
with_engine = [pytest.mark.images, pytest.mark.xdist_group("images"), pytest.mark.timeout(900)]


def dockerfile(service: str) -> str:
    return (ROOT / "services" / service / "Dockerfile").read_text()


def test_files_differ_in_the_name_only() -> None:
    """A file a service, one pattern."""
    found = {re.sub(rf"\b(chapar_)?{service}\b", "SERVICE", dockerfile(service)) for service in SERVICES}
    assert len(found) == 1


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_installed_but_wheels_of_the_lock(service: str) -> None:
    text = " ".join(dockerfile(service).replace("\\\n", " ").split())
    (install,) = re.findall(r"pip install (.*?) &&", text)
    assert {"--require-hashes", "--only-binary=:all:", "--no-deps"} <= set(install.split())
    assert f"COPY services/{service}/requirements.lock /build/requirements.lock" in text
    assert "apt" not in text


def test_users_and_ports_are_those_of_the_charts() -> None:
    for service in SERVICES:
        text = dockerfile(service)
        (user,) = re.findall(r"^USER (\d+):\d+$", text, re.MULTILINE)
        (exposed,) = re.findall(r"^EXPOSE (.*)$", text, re.MULTILINE)
        for pod in pods("default", service):
            assert pod["spec"]["securityContext"]["runAsUser"] == int(user)
            ports = {port["containerPort"] for one in containers(pod) for port in one.get("ports", [])}
            assert ports <= {int(port) for port in exposed.split()}


def test_no_file_leaves_its_folder() -> None:
    """Secrets, data and tests are no part of what an engine is sent."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    sent = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {part for service in SERVICES for line in re.findall(r"^COPY (?!--)(.*) \S+$", dockerfile(service), re.M)
              for part in line.split()}  # fmt: skip
    assert {re.sub(rf"services/({'|'.join(SERVICES)})/", "services/*/", part) for part in copied} == sent


@pytest.fixture(scope="module")
def docker() -> Iterator[Engine]:
    with engine() as running:
        yield running


@pytest.fixture(scope="module")
def images(docker: Engine) -> dict[str, str]:
    return {service: docker.build(service) for service in SERVICES}


class TestImages:
    """With an engine."""

    pytestmark = with_engine

    @pytest.mark.parametrize("service", SERVICES)
    def test_there_is_no_compiler_and_nobody_is_root(
        self, service: str, docker: Engine, images: dict[str, str]
    ) -> None:
        look = f"id -u; command -v {' '.join(COMPILERS)} pip; {PYTHON} -m pip --version; touch /opt/chapar/x; true"
        done = docker.run("run", "--rm", *CONFINED, "--entrypoint", "/bin/sh", images[service], "-c", look)
        assert done.stdout.split() == ["10001"]
        assert "No module named pip" in done.stderr
        assert "Read-only file system" in done.stderr

    @pytest.mark.parametrize("service", SERVICES)
    def test_without_an_environment_it_says_what_is_missing(
        self, service: str, docker: Engine, images: dict[str, str]
    ) -> None:
        done = docker.run("run", "--rm", *CONFINED, images[service], check=False)
        assert done.returncode == 2
        assert done.stderr.splitlines() == [
            f"chapar-{service}: CHAPAR_DATA_DIR must be set; CHAPAR_SECRETS_DIR must be set"
        ]

    def test_all_five_become_ready_and_end_in_order(self, docker: Engine, images: dict[str, str]) -> None:
        """On one folder, without a network; the gateway last, since it waits for identity's first words."""
        mark = secrets.token_hex(4)
        volume, data = f"chapar-{mark}", "/var/lib/chapar"
        mounted = (*CONFINED, "--volume", f"{volume}:{data}")
        order = (*(service for service in SERVICES if service != "gateway"), "gateway")
        started: list[str] = []
        try:
            make = (PYTHON, images["identity"], "-m", "chapar_chassis.installing", data)
            docker.run("run", "--rm", *mounted, "--entrypoint", *make)
            for service in order:
                told = {"DATA_DIR": data, "SECRETS_DIR": f"{data}/secrets/{service}", "HEALTH_LISTEN": "127.0.0.1:7403"}
                variables = [part for name, value in told.items() for part in ("--env", f"CHAPAR_{name}={value}")]
                name = f"{service}-{mark}"
                docker.run("run", "--detach", "--name", name, *mounted, *variables, images[service])
                started.append(name)
                self._wait_ready(docker, name)
            for service, name in zip(reversed(order), reversed(started), strict=True):
                docker.run("stop", "--time", str(facts(service)["endSeconds"] + 5), name)
                state = json.loads(docker.run("inspect", "--format", "{{json .State}}", name).stdout)
                assert state["ExitCode"] == 0, docker.run("logs", name).stdout[-2000:]
        finally:
            for name in started:
                docker.run("rm", "--force", name, check=False)
            docker.run("volume", "rm", volume, check=False)

    def _wait_ready(self, docker: Engine, name: str) -> None:
        deadline = time.monotonic() + START_S
        while docker.run("exec", name, PYTHON, "-c", ASK, check=False).returncode:
            assert time.monotonic() < deadline, docker.run("logs", name).stdout[-2000:]
