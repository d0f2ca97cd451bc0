"""A dashboard for each service: what all have, and a section of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tools.watch.panels import NOTHING_IS_WELL, Board, Choice, Panel, Section
from tools.watch.sections import calls, deciding, following, gauge, of_job, owning, process, rate, storing


def gateway() -> Board:
    """Clients, streams and admission."""
    scope = of_job("chapar-gateway")
    own = Section("Clients", [
        Panel("Subscriptions", "Live inboxes that clients have open.", "short",
              [(gauge("chapar_subscriptions_open", scope, "instance"), "{{instance}}")]),
        Panel("Calls in flight", "Calls of clients that are being forwarded.", "short",
              [(gauge("chapar_calls_in_flight", scope, "instance"), "{{instance}}")]),
        Panel("Refused for load", "Calls refused because too much waits, or asked for too often.", "reqps",
              [(rate("chapar_rpc_seconds_count", scope, "rpc", ',code="RESOURCE_EXHAUSTED"'), "{{rpc}}")],
              NOTHING_IS_WELL),
        Panel("Age of what is known of revocations", "Older than 1 s: money and changes of identity are refused; older "
              "than 60 s: everything is.", "s",
              [(gauge("chapar_revocations_age_seconds", scope, "instance", "max"), "{{instance}}")]),
        Panel("Sessions revoked", "Sessions known to have been ended within the last hour.", "short",
              [(gauge("chapar_sessions_revoked", scope, "instance", "max"), "{{instance}}")]),
        Panel("Tokens refused", "Calls without a token that counts.", "reqps",
              [(rate("chapar_rpc_seconds_count", scope, "rpc", ',code="UNAUTHENTICATED"'), "{{rpc}}")],
              NOTHING_IS_WELL),
    ])  # fmt: skip
    return _board("gateway", "Clients: their calls, streams and admission.", [calls(scope), own, process(scope)])


def identity() -> Board:
    """Sign-ins and accounts."""
    scope = of_job("chapar-identity")
    rpcs = ',rpc=~"/chapar[.]identity[.]v1[.]IdentityService/(StartSignIn|CompleteSignIn|RefreshTokens)"'
    own = Section("Accounts", [
        Panel("Sign-ins", "Codes asked for, sign-ins completed and tokens refreshed, by outcome.", "reqps",
              [(rate("chapar_rpc_seconds_count", scope, "rpc, code", rpcs), "{{code}} {{rpc}}")]),
        Panel("Keys destroyed", "Data keys destroyed by erasures.", "cps",
              [(rate("chapar_keys_destroyed_total", scope, "instance"), "{{instance}}")]),
    ])  # fmt: skip
    return _board("identity", "Phone numbers, users, sessions, usernames.", [own, *_owner(scope)])


def messaging() -> Board:
    """Conversations and inboxes."""
    scope = of_job("chapar-messaging")
    fan_out = ',reactor="reactor/fan_out"'
    own = Section("Inboxes", [
        Panel("Age of deliveries", "The oldest message that is not in all inboxes, of the worst partition.",
              "s", [(gauge("chapar_reactor_lag_seconds", scope, "instance", "max", fan_out), "{{instance}}")]),
        Panel("Advances under way", "Advances of inboxes that nobody has acknowledged.", "short",
              [(gauge("chapar_reactor_items", scope, "instance", "sum", fan_out), "{{instance}}")]),
        Panel("Rows merged", "Rows of inboxes merged.", "cps",
              [(rate("chapar_rows_merged_total", scope, "instance"), "{{instance}}")]),
        Panel("Watchers", "Live views of inboxes that gateways have open.", "short",
              [(gauge("chapar_watchers", scope, "instance"), "{{instance}}")]),
    ])  # fmt: skip
    return _board("messaging", "Conversations, messages and inboxes.", [own, *_owner(scope)])


def presence() -> Board:
    """Who is online."""
    scope = of_job("chapar-presence")
    own = Section("Presence", [
        Panel("Watchers", "Live views of somebody's presence that gateways have open.", "short",
              [(gauge("chapar_watchers", scope, "instance"), "{{instance}}")]),
        Panel("Documents deleted", "Documents deleted because they were too old.", "cps",
              [(rate("chapar_documents_purged_total", scope, "instance"), "{{instance}}")]),
    ])  # fmt: skip
    return _board("presence", "Who is online, who was last seen when.", [own, *_owner(scope)])


def payments() -> Board:
    """Wallets and transfers."""
    scope = of_job("chapar-payments")
    transit = ',reactor="reactor/transits"'
    own = Section("Money", [
        Panel("Age of transits", "The oldest transfer that left a wallet and has not arrived, of the worst partition.",
              "s", [(gauge("chapar_reactor_lag_seconds", scope, "instance", "max", transit), "{{instance}}")]),
        Panel("Transits under way", "Transfers between partitions that were sent and not acknowledged.", "short",
              [(gauge("chapar_reactor_items", scope, "instance", "sum", transit), "{{instance}}")]),
    ])  # fmt: skip
    return _board("payments", "Wallets, transfers, statements.", [own, *_owner(scope)])


def _owner(scope: str) -> Sequence[Section]:
    return [calls(scope), deciding(scope), owning(scope), storing(scope), following(scope), process(scope)]


def _board(service: str, description: str, sections: Sequence[Section]) -> Board:
    processes = Choice("instance", "Process", f'label_values(up{{job="chapar-{service}"}}, instance)')
    return Board(f"chapar-{service}", f"Chapar: {service}", description, sections, [processes])


SERVICES: Sequence[Callable[[], Board]] = (gateway, identity, messaging, presence, payments)
