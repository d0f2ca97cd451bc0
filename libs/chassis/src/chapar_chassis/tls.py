"""Mutual TLS between the processes of an installation.

Each process has a certificate that says which service it is, as the DNS name `<service>.chapar` among its subject
alternative names, signed by the installation's own authority. Callers check that they speak to the service they mean;
who is called checks that the caller is one it expects. Files are read again when they have changed, so that
certificates can be renewed while processes run: new connections use the new ones.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from chapar_chassis.settings import CommonSettings

log = logging.getLogger(__name__)

NAME_SUFFIX = ".chapar"
LOOK_S = 1.0
"""How often files are looked at for calls that go out."""


class CertificateInvalid(Exception):
    """A certificate, its key or the authority cannot be used. The text names the file and what is wrong with it."""


def name_of(service: str) -> str:
    """What certificates of a service's processes call it."""
    return service + NAME_SUFFIX


class ServerCertificate:
    """A certificate with its key, for a listener whose callers need none of their own."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Reads and checks the files. Raises `CertificateInvalid`."""
        self._files = _Files((certificate, key), lambda chain, private: _check_pair(certificate, key, chain, private))

    def credentials(self) -> grpc.ServerCredentials:
        """For one port; renewed certificates are served to whoever connects after that."""
        return _server_credentials(self._files, require_client=False)


class PeerCertificate:
    """Who a process is among its peers, and which authority speaks for the others."""

    def __init__(self, service: str, certificate: Path, key: Path, authority: Path) -> None:
        """Reads and checks the files: the certificate is for this service. Raises `CertificateInvalid`."""

        def check(chain: bytes, private: bytes, trusted: bytes) -> None:
            if name_of(service) not in _names(_check_pair(certificate, key, chain, private)):
                raise CertificateInvalid(
                    f"{certificate} must be for {name_of(service)}, which its names do not include"
                )
            _certificates(authority, trusted)

        self._files = _Files((certificate, key, authority), check)
        self._stamp = self._files.stamp
        self._look_at_s = time.monotonic() + LOOK_S

    @classmethod
    def of(cls, service: str, settings: CommonSettings) -> PeerCertificate | None:
        """The one that settings name; None where everything stays on this machine. Raises `CertificateInvalid`."""
        return None if settings.peer_files is None else cls(service, *settings.peer_files)

    def credentials(self) -> grpc.ServerCredentials:
        """For one port, which peers alone can connect to."""
        return _server_credentials(self._files, require_client=True)

    @property
    def stamp(self) -> object:
        """Changes within a second after the files do: connections made before hold what they were made with."""
        now_s = time.monotonic()
        if now_s >= self._look_at_s:
            self._stamp, self._look_at_s = self._files.stamp, now_s + LOOK_S
        return self._stamp

    @property
    def shown(self) -> tuple[bytes, bytes]:
        """The certificate with its chain, and its key, as PEM: for peers that are no process of the installation."""
        chain, private, _ = self._files.read()
        return chain, private

    def channel(self, address: str, service: str, options: Sequence[tuple[str, Any]]) -> grpc.aio.Channel:
        """A channel to a process that must be of this service, wherever it answers."""
        chain, private, trusted = self._files.read()
        credentials = grpc.ssl_channel_credentials(trusted, private, chain)
        named = ("grpc.ssl_target_name_override", name_of(service))
        return grpc.aio.secure_channel(address, credentials, options=[*options, named])


def authorities(path: Path) -> bytes:
    """A PEM file of authorities. Raises `CertificateInvalid`."""
    content = _content(path)
    _certificates(path, content)
    return content


def caller_names(context: Any) -> frozenset[str]:
    """The DNS names in the certificate that a caller has proven to hold; none without TLS."""
    names = context.auth_context().get("peer_dns", ())
    return frozenset(name.decode("ascii", "replace") for name in names)


class _Files:
    """Files that belong together, read anew after any of them has changed; those that do not fit together change
    nothing: they are in the middle of being renewed, or somebody has to mend them."""

    def __init__(self, paths: Sequence[Path], check: Callable[..., object]) -> None:
        """`check` is given the contents. Raises `CertificateInvalid`."""
        self._paths = paths
        self._check = check
        self._lock = threading.Lock()
        self._told = ""
        self._read_at = self.stamp
        self._content = self._checked()

    @property
    def stamp(self) -> object:
        """Equal while the files are the same; None where they cannot be looked at."""
        try:
            return tuple((found.st_mtime_ns, found.st_size, found.st_ino) for found in map(Path.stat, self._paths))
        except OSError:
            return None

    def read(self) -> tuple[bytes, ...]:
        """Their contents, in the order of their paths: the newest that were good."""
        with self._lock:
            stamp = self.stamp
            if stamp != self._read_at:
                try:
                    self._content = self._checked()
                    self._read_at = stamp
                except CertificateInvalid as error:
                    self._tell(str(error))
            return self._content

    def _tell(self, problem: str) -> None:
        """Once for each problem: what is served ends some day."""
        if problem != self._told:
            log.warning("renewed certificates are not used: %s", problem)
            self._told = problem

    def _checked(self) -> tuple[bytes, ...]:
        content = tuple(map(_content, self._paths))
        self._check(*content)
        return content


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateInvalid(f"{path} cannot be read ({type(error).__name__})") from None


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError as error:
        raise CertificateInvalid(f"{path} cannot be looked at ({type(error).__name__})") from None


def _server_credentials(files: _Files, *, require_client: bool) -> grpc.ServerCredentials:
    served: list[tuple[bytes, ...]] = [files.read()]

    def renewed() -> Any:
        """Called for each connection, on a thread of gRPC's."""
        content = files.read()
        if content == served[0]:
            return None
        served[0] = content
        return _configuration(content)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(served[0]), renewed, require_client_authentication=require_client
    )


def _configuration(content: tuple[bytes, ...]) -> Any:
    chain, private, *trusted = content
    return grpc.ssl_server_certificate_configuration([(private, chain)], *trusted)


def _check_pair(certificate: Path, key: Path, chain: bytes, private: bytes) -> x509.Certificate:
    """The certificate in front of the chain, once its key was compared and its time looked at."""
    leaf = _certificates(certificate, chain)[0]
    if _mode(key) & 0o007:
        raise CertificateInvalid(f"{key} can be read by everybody: give it mode 0600")
    try:
        public = load_pem_private_key(private, None).public_key()
    except (ValueError, TypeError):
        raise CertificateInvalid(f"{key} must hold a private key as PEM, without a password") from None
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if public.public_bytes(*form) != leaf.public_key().public_bytes(*form):
        raise CertificateInvalid(f"{key} is not the key of {certificate}")
    if leaf.not_valid_after_utc < datetime.now(UTC):
        raise CertificateInvalid(f"{certificate} ended at {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC: renew it")
    return leaf


def _certificates(path: Path, content: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise CertificateInvalid(f"{path} must hold certificates as PEM") from None


def _names(certificate: x509.Certificate) -> Sequence[str]:
    try:
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return held.value.get_values_for_type(x509.DNSName)
