"""The control plane: Debian's etcd, Kubernetes' API server, controllers and scheduler, on free ports of loopback."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.cluster import binaries
from tools.cluster.api import Api, ApiRefused
from tools.debian import program
from tools.server_process import ServerFailed, ServerProcess, answers, free_ports

START_S_MAX = 600.0


class ControlPlane:
    """All of it in one folder, which holds the data, the logs and `kubeconfig`; use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._token = secrets.token_hex(16)
        self._running: list[ServerProcess] = []

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            etcd = self._start_etcd()
            self._port = self._start_server(etcd)
            self.kubeconfig = self._write_kubeconfig()
            self._start_others()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._end()

    @property
    def api(self) -> Api:
        """A client that may do everything."""
        return Api(self._port, self._token, self._authority)

    @property
    def _authority(self) -> Path:
        """Made by the server, of its own certificate's authority."""
        return self._folder / "certificates" / "apiserver.crt"

    def _start_etcd(self) -> str:
        client, peer = free_ports(None, None)
        address, between = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
        process = self._start("etcd", (
            str(program("etcd")), f"--data-dir={self._folder / 'etcd'}", "--unsafe-no-fsync",
            f"--listen-client-urls={address}", f"--advertise-client-urls={address}",
            f"--listen-peer-urls={between}", f"--initial-advertise-peer-urls={between}",
            f"--initial-cluster=default={between}",
        ))  # fmt: skip
        self._wait(process, "etcd", lambda: answers(client))
        return address

    def _start_server(self, etcd: str) -> int:
        (port,) = free_ports(None)
        key, public, tokens = (self._folder / name for name in ("accounts.key", "accounts.pub", "tokens.csv"))
        _run("openssl", "genrsa", "-out", str(key), "2048")
        _run("openssl", "rsa", "-in", str(key), "-pubout", "-out", str(public))
        tokens.touch(mode=0o600)
        tokens.write_text(f"{self._token},admin,admin,system:masters\n")
        process = self._start("kube-apiserver", (
            str(binaries.program("kube-apiserver")), f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={port}",
            f"--cert-dir={self._authority.parent}", "--allow-privileged=true",
            f"--token-auth-file={tokens}", "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none",
            # It asks for what Debian's etcd does not know yet, and waits for it in vain.
            "--feature-gates=SizeBasedListCostEstimate=false",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={public}", f"--service-account-signing-key-file={key}",
        ))  # fmt: skip
        self._port = port
        self._wait(process, "kube-apiserver", self._is_ready)
        return port

    def _is_ready(self) -> bool:
        if not self._authority.exists() or not answers(self._port):
            return False
        try:
            return self.api.text("/readyz") == "ok"
        except (ApiRefused, OSError):
            return False

    def _start_others(self) -> None:
        told = (f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--secure-port=0")
        key = f"--service-account-private-key-file={self._folder / 'accounts.key'}"
        # Nodes that pretend share two cores with all else here: late is not dead.
        patient = "--node-monitor-grace-period=10m"
        name = "kube-controller-manager"
        self._start(name, (str(binaries.program(name)), *told, key, patient))
        name = "kube-scheduler"
        self._start(name, (str(binaries.program(name)), *told))

    def _write_kubeconfig(self) -> Path:
        path = self._folder / "kubeconfig"
        cluster = {"server": f"https://127.0.0.1:{self._port}", "certificate-authority": str(self._authority)}
        path.touch(mode=0o600)
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "this",
            "clusters": [{"name": "this", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": self._token}}],
            "contexts": [{"name": "this", "context": {"cluster": "this", "user": "admin"}}],
        }))  # fmt: skip
        return path

    def _start(self, name: str, command: Sequence[str]) -> ServerProcess:
        process = ServerProcess(name, self._folder / f"{name}.log")
        process.start(command)
        self._running.append(process)
        return process

    def _wait(self, process: ServerProcess, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_S_MAX
        while not ready():
            if process.ended or time.monotonic() > deadline:
                raise ServerFailed(f"{name} did not start: {process.said[-2000:]}")
            time.sleep(0.2)

    def _end(self) -> None:
        while self._running:
            self._running.pop().end(signal.SIGTERM)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerFailed(f"{command[0]}: {done.stderr[-1000:]}")
