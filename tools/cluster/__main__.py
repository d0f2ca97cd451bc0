"""`python -m tools.cluster`: gets all that a cluster is made of, so that whoever starts one does not wait for it."""

from __future__ import annotations

from tools.cluster import binaries
from tools.debian import program


def main() -> None:
    """Builds and downloads what is not there, and says where it is."""
    print(program("etcd"))
    for name in binaries.PROGRAMS:
        print(binaries.program(name))


if __name__ == "__main__":
    main()
