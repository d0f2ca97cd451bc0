"""The end of all that a user wrote."""
