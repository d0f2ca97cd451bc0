"""What messaging does about events: its own reach inboxes, those of payments become cards."""
