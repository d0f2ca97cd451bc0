"""Messaging: conversations, members, messages, inboxes.

The way of a message: `api` checks its form, seals its text and makes a complete command; `domain` says, from the
conversation's documents, whether it may be sent and which number it gets; the event is durable before anybody hears
of it. `reactors.fan_out` then tells the inbox of each member, at the member's partition, and `publishing` tells other
services who is in which conversation. `queries` shows history from documents and inboxes from the rows of `inbox`.
Cards come the same way, from payments through `reactors.payment_cards`. `__main__` wires it all.
"""
