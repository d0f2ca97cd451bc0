"""What a gateway measures beside the calls that it serves."""

from __future__ import annotations

from chapar_sourcing.measures import Kind, Measure, catalogue

GATEWAY = catalogue(
    Measure("subscriptions_open", Kind.GAUGE, "Live inboxes that clients have open here."),
    Measure("calls_in_flight", Kind.GAUGE, "Calls of clients that are being forwarded."),
    Measure("sessions_revoked", Kind.GAUGE, "Sessions known to have been ended within the last hour."),
    Measure("revocations_age_seconds", Kind.GAUGE, "Age of what is known of revocations, of the worst partition."),
)
