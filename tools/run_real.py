"""The whole installation on a real broker and a real database, with several processes a service.

    python -m tools.run_real [--dir FOLDER] [--replicas gateway=2,messaging=3]

Everything is kept in one folder: started again there, it goes on. Ctrl-C ends the services first, then the servers.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from pathlib import Path

from tools.kafka_server import KafkaServer
from tools.mongo_server import MongoServer

REPLICAS = "gateway=2,identity=2,messaging=3,presence=2,payments=3"
HERE = Path(__file__).resolve().parent.parent


def run(folder: Path, replicas: str) -> int:
    """Runs until the services have ended; their exit status."""
    data = folder / "data"
    with KafkaServer(folder / "kafka") as broker, MongoServer(folder / "mongo") as database:
        print(f"Broker on {broker.bootstrap}, database on {database.uri}", flush=True)
        command = (sys.executable, "-m", "chapar_client", "up", "--data", str(data), "--replicas", replicas)
        services = subprocess.Popen((*command, "--kafka", broker.bootstrap, "--mongo", database.uri))
        # Ctrl-C reaches the services by the terminal; another signal is passed on. Both are waited for here.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: services.terminate())
        return services.wait()


def main() -> int:
    """Runs what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, default=HERE / ".real", help="folder for all data; kept between runs")
    parser.add_argument("--replicas", default=REPLICAS, help="processes a service")
    given = parser.parse_args()
    return run(given.dir.resolve(), given.replicas)


if __name__ == "__main__":
    sys.exit(main())
