"""Fixtures of the chassis' tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from chapar_chassis.secrets import create_installation


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An installation, with secrets for the toy."""
    create_installation(tmp_path)
    secrets = tmp_path / "secrets" / "toy"
    shutil.copytree(tmp_path / "secrets" / "payments", secrets)
    return {
        **os.environ,
        "CHAPAR_DATA_DIR": str(tmp_path),
        "CHAPAR_SECRETS_DIR": str(secrets),
        "CHAPAR_PARTITIONS": "4",
    }
