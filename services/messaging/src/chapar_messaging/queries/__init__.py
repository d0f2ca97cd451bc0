"""What may be read: conversations, history, inboxes. Queries change nothing and decide nothing."""
