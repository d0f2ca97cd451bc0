"""Unique usernames across partitions: wished for at home, reserved where the username lives, decided at home.

A user's home numbers its wishes and has at most one open. The username's partition reserves for (user, wish) or finds
the name taken; the home confirms, refuses, or declines a reservation that it does not wish for, which is then
released. Everything names the wish's number, so that repeated, late and reordered commands change nothing or heal:
a reservation made by a late repetition is declined by the home and released again.

Reasons of SetUsername in order of precedence: SESSION_ENDED, USERNAME_PENDING, and once decided USERNAME_TAKEN.
"""
