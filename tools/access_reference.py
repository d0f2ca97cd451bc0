"""Writes `docs/reference/access.md`: who may do what on brokers and in the database."""

from __future__ import annotations

from pathlib import Path

from chapar_chassis.access import database_of, topic_rules, user_of
from chapar_chassis.secrets import SERVICES

TARGET = Path(__file__).resolve().parent.parent / "docs" / "reference" / "access.md"
HEAD = """# Users and what they may do

Made from `chapar_chassis.access` by `make verify`; not edited by hand. A test starts all services on a broker that
allows exactly this, and nothing to anybody else (`tests/e2e/test_access.py`).

Each service has a user of its own, whose password is the secret file `kafka.password` or `mongo.password` of its
folder of secrets, and whose name is `CHAPAR_KAFKA_USER` or `CHAPAR_MONGO_USER`. On the brokers: SCRAM-SHA-512 over
TLS, `authorizer.class.name` set, nothing allowed by default, and one rule a line below, for the topic of that very
name and any host. No rights to groups, transactions or the cluster are needed: nothing of that is used. Topics are
made by an operator (`chapar topics apply`, with a user who may create and alter them); services only look at theirs.

In the database: SCRAM-SHA-256 over TLS and the built-in role `readWrite` on the service's own database. Indexes are
made by an operator (`chapar database prepare`, with the role `dbAdmin` as well); services only look at them. The keys
of a service are in its own database: no user can read what another service has sealed.
"""


def page() -> str:
    """The whole page."""
    lines = [HEAD]
    for service in SERVICES:
        database = database_of(service)
        kept = f"`readWrite` on `{database}`" if database else "no database"
        lines += [f"## {service}", "", f"User `{user_of(service)}`; {kept}.", "", "| topic | operations |", "|---|---|"]
        lines += [f"| `{rule.topic}` | {', '.join(rule.operations)} |" for rule in topic_rules(service)]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Writes the page."""
    TARGET.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
