"""The gateway: where clients and operators come in.

The way of a call, file by file: `table` reads off the descriptors which methods a listener serves; `calls` takes a
call from its raw bytes to its owner and back; on the way `sessions` (with `revocations`) or `operators` say who calls
and `admission` whether there is room. Live delivery: `live` answers the gateway's own methods, `subscription` serves
one stream from its `outbox`, which `inbox` and `interests` fill from watches at the owners; `subscriptions` finds
them all, `leases` tells presence who is here. `servers` listens and drains; `__main__` wires. There is no domain:
a gateway decides nothing and stores nothing.
"""
