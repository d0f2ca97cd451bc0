"""`python -m chapar_client` is `chapar`."""

from chapar_client.cli import main

main()
