"""The plan for a billion images: its table is what the script makes of the measured figures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_plans_table_is_the_scripts() -> None:
    found = subprocess.run(
        [sys.executable, ROOT / "scripts" / "billion.py", ROOT / "docs" / "performance.json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert len(found.stdout.splitlines()) > 6
    assert found.stdout.strip() in (ROOT / "docs" / "scale.md").read_text()
