"""Read cursors: how far a user has read each conversation, kept at the user's partition."""
