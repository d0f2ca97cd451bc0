"""Who people are, and which of their devices may speak for them.

The way of a sign-in: `api.sign_in` hashes the phone, draws a code and seals both; `domain.sign_in` decides at the
phone's partition whether a challenge may start and whether a code is right; `reactors.codes` delivers the code through
`delivery`; `reactors.accounts` carries a completed sign-in to the user's partition, where `domain.sessions` registers
the user and opens the session. From then on `api.sessions` refreshes its tokens, lists and revokes; `api.profiles` and
`api.usernames` show and change what others see, the latter through reservations that `reactors.usernames` carries
between a user's home and a username's partition. `publishing` says what other services are told.
"""
