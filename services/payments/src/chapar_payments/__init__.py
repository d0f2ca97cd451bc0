"""Wallets and transfers: one rial wallet a user, every rial accounted for on every partition.

The way of a payment: `api` checks the form of a request, seals its memo and looks up both partitions; `domain` decides
at the payer's partition alone: the money moves to the payee's wallet, or, when that lives elsewhere, to a transit
account, numbered in the order in which it left. `reactors.transits` carries what left to the payee's partition, which
applies exactly the next numbers, whatever is repeated or lost on the way. `published` then tells other services, and
`queries` shows wallets and statements. `domain.invariants` says what holds at every moment.
"""
