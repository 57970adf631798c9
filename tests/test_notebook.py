"""The notebook runs from top to bottom without a network, and its stored outputs are still true."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).resolve().parents[1] / "docs" / "notebook.ipynb"


def outputs(path: Path) -> list[list[tuple[str, str]]]:
    """Of every code cell, kind and text of its outputs, with figures left out.

    Figures may differ in their last digit from machine to machine, and so may pictures.
    """
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [[_output(one) for one in cell["outputs"]] for cell in cells if "outputs" in cell]


def _output(output: dict[str, Any]) -> tuple[str, str]:
    data = output.get("data", {})
    kind = ",".join(sorted(data)) or output.get("name", output["output_type"])
    said = output.get("text") or data.get("text/plain", [])
    return kind, re.sub(r"\d+(\.\d+)?", "#", "".join(said))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebook with the outputs of today."""
    done = tmp_path_factory.mktemp("notebook") / "done.ipynb"
    script = Path(__file__).with_name("run_notebook.py")
    finished = subprocess.run(
        [sys.executable, script, NOTEBOOK, done],
        capture_output=True, text=True, timeout=1800,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    return done


def test_it_says_what_is_stored(run: Path) -> None:
    assert outputs(run) == outputs(NOTEBOOK)


def test_nothing_complains(run: Path) -> None:
    kinds = {kind for cell in outputs(run) for kind, _ in cell}
    assert kinds == {"stdout", "text/plain", "image/png,text/plain"}


def test_the_bound_holds_in_what_it_shows(run: Path) -> None:
    text = run.read_text(encoding="utf-8")
    assert re.findall(r"inside: (\d+) outside: (\d+)", text) == [("8", "0")] * 2
    assert "as written: []" in text and "its sha256 differs" in text


def test_it_is_small() -> None:
    assert NOTEBOOK.stat().st_size < 400_000
