"""Conversations: their heads, who is in them, and in which role."""
