"""What presence does about events of other services."""
