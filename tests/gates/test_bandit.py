"""The gate for our own code: it fails on what it should, and whoever waives it says why."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.check import CHECKS, ROOT, SCANNED

WAIVED = re.compile(r"#\s*nosec\b(?P<rest>.*)")
REASONED = re.compile(r"\s+B\d{3}(,\s*B\d{3})* # \S.*")
BAD = {
    "B602": "import subprocess\nsubprocess.run(input(), shell=True)\n",
    "B324": "import hashlib\nhashlib.md5(b'password')\n",
    "B301": "import pickle\npickle.loads(input())\n",
    "B307": "eval(input())\n",
    "B501": "import httpx\nhttpx.get('https://example.org', verify=False)\n",
    "B608": "def find(db, name):\n    db.execute(f\"SELECT * FROM users WHERE name = '{name}'\")\n",
    "B105": "password = 'correct horse'\n",
}


def bandit(folder: Path) -> subprocess.CompletedProcess[str]:
    """The gate as `make check` runs it, in another folder."""
    return subprocess.run(CHECKS["bandit"], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for tree in SCANNED:
        (tmp_path / tree / "src").mkdir(parents=True)
        (tmp_path / tree / "src" / "good.py").write_text("GREETING = 'hello'\n")
    return tmp_path


def test_each_tree_is_read_and_each_kind_of_bad_code_fails(project: Path) -> None:
    assert bandit(project).returncode == 0
    for number, content in enumerate(BAD.values()):
        (project / SCANNED[number % len(SCANNED)] / "src" / f"bad{number}.py").write_text(content)
    done = bandit(project)
    assert done.returncode == 1
    for number, test in enumerate(BAD):
        assert f"{SCANNED[number % len(SCANNED)]}/src/bad{number}.py" in done.stdout
        assert test in done.stdout


def test_every_waiver_names_what_it_waives_and_says_why() -> None:
    waived = [
        (path, found["rest"])
        for tree in SCANNED
        for path in (ROOT / tree).rglob("*.py")
        for found in WAIVED.finditer(path.read_text(encoding="utf-8"))
    ]
    assert waived
    assert [f"{path}: nosec{rest}" for path, rest in waived if not REASONED.fullmatch(rest)] == []
