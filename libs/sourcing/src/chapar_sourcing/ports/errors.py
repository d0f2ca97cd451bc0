"""Errors that any port may raise."""

from __future__ import annotations


class Unavailable(Exception):
    """What the port stands for is away or too slow; nothing is known to have changed. Trying again may help."""
