"""All calls of `IdentityService` and `IdentityOperatorService`, put together.

Read `sign_in`, `sessions`, `profiles`, `usernames`, `erasing`; `forms` has the canonical form of what people
type, `challenges` and `tokens` what only this service can make.
"""

from __future__ import annotations

from chapar.identity.v1 import identity_pb2
from chapar_chassis.api import ServiceApi
from chapar_chassis.process import ServiceContext
from chapar_chassis.tokens import AccessTokenSigner
from chapar_identity.api.challenges import Challenges
from chapar_identity.api.erasing import EraseCalls
from chapar_identity.api.profiles import ProfileCalls
from chapar_identity.api.sessions import SessionCalls
from chapar_identity.api.sign_in import SignIn
from chapar_identity.api.tokens import TokenMint
from chapar_identity.api.usernames import UsernameCalls
from chapar_identity.settings import IdentitySettings


def identity_api(context: ServiceContext) -> ServiceApi:
    """The service's calls over an installation's secrets."""
    settings: IdentitySettings = context.settings
    secrets = context.secrets
    mint = TokenMint(signer=AccessTokenSigner(secrets.key("access_token.key")), refresh_key=secrets.key("refresh.key"))
    challenges = Challenges(phone_key=secrets.key("phone.key"), codes_key=secrets.key("codes.key"))
    sign_in = SignIn(
        challenges=challenges,
        mint=mint,
        sealer=context.sealer,
        user_ids=context.user_ids,
        randomness=context.randomness,
        regions=settings.phone_regions,
    )
    sessions = SessionCalls(mint=mint, sealer=context.sealer)
    profiles = ProfileCalls(sealer=context.sealer, user_ids=context.user_ids)
    usernames = UsernameCalls()
    erasing = EraseCalls(challenges=challenges, sealer=context.sealer, user_ids=context.user_ids)
    return ServiceApi(
        proto_services=["chapar.identity.v1.IdentityService", "chapar.identity.v1.IdentityOperatorService"],
        reason_enum=identity_pb2.Reason,
        commands={
            **sign_in.commands(),
            **sessions.commands(),
            **profiles.commands(),
            **usernames.commands(),
            **erasing.commands(),
        },
        queries={**sessions.queries(), **profiles.queries(), **usernames.queries()},
    )
