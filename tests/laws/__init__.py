"""Laws that hold for every service, over random histories of its real commands."""
