"""A user's profile, at the user's partition. UpdateProfile is refused with SESSION_ENDED only."""
