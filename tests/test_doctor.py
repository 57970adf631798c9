"""``unseg doctor``: what it finds in order, and what it finds wrong."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest

from unseg.extras import EXTRAS
from unseg.protect import checkup, memory

Run = Callable[..., subprocess.CompletedProcess[str]]
ASSETS = Path(str(resources.files("unseg") / "assets"))


def test_the_checksums_are_those_of_the_weights_that_ship() -> None:
    """After a change of weights: cd src/unseg/assets && sha256sum *.safetensors > SHA256SUMS."""
    lines = (ASSETS / checkup.CHECKSUMS).read_text().splitlines()
    listed = {name: checksum for checksum, _, name in (line.partition("  ") for line in lines)}
    files = {path.name: path for path in ASSETS.glob("*.safetensors")}
    assert listed == {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()
    }


def test_an_installation_that_works(in_process: Run) -> None:
    done = in_process("doctor", "--json", "--device", "cpu")
    found = json.loads(done.stdout)
    assert done.returncode == 0 and found["works"]
    parts = [one["part"] for one in found["findings"]]
    assert list(dict.fromkeys(parts)) == ["versions", "machine", "weights", "extras", "self-test"]
    assert "protected within the bound" in found["findings"][-1]["text"]
    assert {one["name"] for one in found["findings"] if one["part"] == "extras"} == set(EXTRAS)


def test_what_is_wrong_is_named_and_the_exit_code_is_1(
    in_process: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for path in ASSETS.iterdir():
        if path.is_file():
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "mobile-sam.safetensors").unlink()
    (tmp_path / "mobile-sam.safetensors").write_bytes(b"other bytes")
    monkeypatch.setattr(checkup.resources, "files", lambda name: _Place(tmp_path))
    monkeypatch.setattr(checkup, "find_spec", lambda module: None)
    monkeypatch.setattr(memory, "available", lambda: 5 << 20)
    done = in_process("doctor", "--device", "cpu")
    text = " ".join(done.stdout.replace("│", " ").split())
    assert done.returncode == 1
    assert "install unseg again" in text and "end other programs" in text
    assert "pip install 'unseg[tiff]'" in text
    assert "unseg does not work here (machine: memory, weights: mobile-sam.safetensors" in text


class _Place:
    """A package whose assets are elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __truediv__(self, name: str) -> Path:
        return self.folder
