"""The whole path once more, with nobody on stage who says who owns what: several members a service agree upon it.

Hosts, machines of members, heartbeats and claims are the real ones; the two logs of members are simulated (`logs`), and
`law` says what must hold of who owns, claims and answers. The rest is the lane `path`'s.
"""
