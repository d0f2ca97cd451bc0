"""What is wrong with an installation, in sentences, and a bundle for whoever is to look into it.

`scrape` reads a process's metrics, `look` gathers everything of all processes as one `Found`, `findings` says what is
wrong with it (a pure function), `write_bundle` packs both. What goes into a bundle is chosen, piece by piece: names of
processes, numbers, words of our own code; never a text that somebody wrote, and never the content of a secret.
"""

from chapar_client.doctor._bundle import write_bundle
from chapar_client.doctor._findings import Finding, findings
from chapar_client.doctor._found import Found, Partition, Process
from chapar_client.doctor._looking import look, look_at_processes
from chapar_client.doctor._metrics import Sample, scrape

__all__ = [
    "Finding",
    "Found",
    "Partition",
    "Process",
    "Sample",
    "findings",
    "look",
    "look_at_processes",
    "scrape",
    "write_bundle",
]
