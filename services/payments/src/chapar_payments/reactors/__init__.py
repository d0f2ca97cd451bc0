"""What payments does about its own events: it carries money between its partitions."""
