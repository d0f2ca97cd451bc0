"""The listeners' certificate, and what settings say of listening beyond the machine."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chapar_chassis.settings import SettingsInvalid
from chapar_chassis.tls import ServerCertificate
from chapar_gateway.settings import GatewaySettings
from tools.certificates import Authority

from .rig import running

NEEDED = {"CHAPAR_DATA_DIR": "/data", "CHAPAR_SECRETS_DIR": "/secrets"}
TLS = {"CHAPAR_PUBLIC_TLS_CERT": "/public.crt", "CHAPAR_PUBLIC_TLS_KEY": "/public.key"}
IN_THE_CLEAR = "CHAPAR_PUBLIC_TLS_CERT must be set to listen beyond this machine: nothing is sent in the clear"
WAIT_S = 20.0


async def checked(channel: grpc.aio.Channel) -> int:
    """What health says on a channel; UNAVAILABLE raises."""
    stub = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service="ready"), timeout=WAIT_S)
    return int(answer.status)


async def test_clients_are_shown_the_certificate_and_nobody_is_heard_in_the_clear(tmp_path: Path) -> None:
    authority = Authority.make()
    certificate, key = tmp_path / "public.crt", tmp_path / "public.key"
    authority.issue(certificate, key, "chapar.example")
    async with running(certificate=ServerCertificate(certificate, key)) as rig:
        trusting = grpc.ssl_channel_credentials(authority.pem)
        async with grpc.aio.secure_channel(str(rig.address), trusting) as channel:
            assert await checked(channel) == health_pb2.HealthCheckResponse.SERVING
        others = grpc.ssl_channel_credentials(Authority.make().pem)
        for stranger in (
            grpc.aio.insecure_channel(str(rig.address), options=[("grpc.use_local_subchannel_pool", 1)]),
            grpc.aio.secure_channel(str(rig.address), others, options=[("grpc.use_local_subchannel_pool", 1)]),
        ):
            async with stranger as channel:
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await checked(channel)
                assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"CHAPAR_LISTEN": "0.0.0.0:7400"}, [IN_THE_CLEAR]),
        ({"CHAPAR_OPERATOR_LISTEN": "10.0.0.7:7401"}, [IN_THE_CLEAR]),
        ({"CHAPAR_LISTEN": "0.0.0.0:7400", "CHAPAR_DEVELOPMENT": "1"}, []),
        ({"CHAPAR_LISTEN": "0.0.0.0:7400", **TLS}, []),
        (
            {"CHAPAR_PUBLIC_TLS_CERT": "/public.crt"},
            ["CHAPAR_PUBLIC_TLS_CERT and CHAPAR_PUBLIC_TLS_KEY must be set together"],
        ),
    ],
)
def test_a_gateway_listens_beyond_the_machine_with_a_certificate_alone(
    environ: dict[str, str], said: list[str]
) -> None:
    found: list[str] = []
    try:
        GatewaySettings.from_environ({**NEEDED, **environ})
    except SettingsInvalid as invalid:
        found = invalid.problems
    assert found == said
