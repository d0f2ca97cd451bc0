"""Who is online, and who was last seen when.

The way of a presence: gateways hold leases for users with a live session (`lease_service`); `leases` keeps them in
memory, by the clock it is given, and says when a user's first lease began and when the last one and the grace after it
ended; `announcer` has just these two moments journaled by `domain`. Watchers see them through `watch`, if they share a
conversation with the user: `reactors.memberships` keeps those facts, from messaging's events. After a restart the
leases are gone: whoever the documents say is online gets one lease and one grace to be renewed.
"""
