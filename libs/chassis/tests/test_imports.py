"""What a process loads before it knows its settings."""

from __future__ import annotations

import subprocess
import sys

DRIVER = "[name for name in sys.modules if name.split('.')[0] in ('motor', 'pymongo', 'bson')]"


def test_a_process_does_not_load_the_driver_of_a_database_that_it_may_not_use() -> None:
    for module, loaded in (("chapar_chassis.process", False), ("chapar_chassis.database", True)):
        program = f"import sys, {module}; print(bool({DRIVER}))"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout == f"{loaded}\n", module
