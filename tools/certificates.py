"""Certificates for servers and processes that tools and tests start."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAYS = 30


def make_certificate(keys: Path, ca: Path) -> None:
    """A key of its own and a certificate for loopback, signed by itself: both in `keys`, the certificate in `ca`."""
    authority = Authority.make("a server for tests", [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    _write_secret(keys, _pem(authority.key) + authority.pem)
    ca.write_bytes(authority.pem)


@dataclass(frozen=True, slots=True)
class Authority:
    """What signs the certificates of an installation's processes."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, name: str = "an authority for tests", names: list[x509.GeneralName] | None = None) -> Authority:
        """A new one; `names` are what it is itself a certificate for."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, names or []).issuer_name(_name(name)).public_key(key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return cls(key, builder.sign(key, hashes.SHA256()))

    @property
    def pem(self) -> bytes:
        """The certificate, for those who trust it."""
        return self.certificate.public_bytes(Encoding.PEM)

    def issue(self, certificate: Path, key: Path, name: str, *, days: int = DAYS) -> None:
        """Writes a new key and a certificate for a DNS name and for loopback; `days` below 0: one that has ended."""
        private = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = _builder(name, names, days).issuer_name(self.certificate.subject).public_key(private.public_key())
        signed = builder.sign(self.key, hashes.SHA256())
        _write_secret(key, _pem(private))
        certificate.write_bytes(signed.public_bytes(Encoding.PEM))


def _builder(name: str, names: list[x509.GeneralName], days: int = DAYS) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name)).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=DAYS)).not_valid_after(now + timedelta(days=days))
    )  # fmt: skip
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=False) if names else builder


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write_secret(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
