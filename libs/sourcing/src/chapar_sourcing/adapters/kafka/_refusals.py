"""Why no broker lets us in, for the operator: aiokafka's clients tell it to nobody but their log."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import KafkaError, SaslAuthenticationFailed

from chapar_sourcing.adapters.kafka._cluster import Cluster

TRY_MS = 3_000


async def why_not(cluster: Cluster) -> str:
    """What each of the brokers named says to a connection now; never a password."""
    options = cluster.client_options()
    hosts = collect_hosts(options.pop("bootstrap_servers"), randomize=False)
    reasons = await asyncio.gather(*(_reason(host, port, options) for host, port, _ in hosts))
    return "; ".join(f"{host}:{port} {reason}" for (host, port, _), reason in zip(hosts, reasons, strict=True))


async def _reason(host: str, port: int, options: Mapping[str, Any]) -> str:
    try:
        connection = await create_conn(host, port, request_timeout_ms=TRY_MS, **options)
    except SaslAuthenticationFailed:
        return f"refuses us: the user {options['sasl_plain_username']} or the password is wrong"
    except ssl.SSLCertVerificationError:
        return "has a certificate that is not signed by any we trust"
    except ssl.SSLError:
        return "does not talk TLS, or no TLS that we do"
    except (KafkaError, OSError, TimeoutError) as error:
        refused = isinstance(error, ConnectionRefusedError) or isinstance(error.__cause__, ConnectionRefusedError)
        return "cannot be reached: nobody listens there" if refused else f"cannot be reached: {error!r}"
    await connection.close()
    return "answers again"
