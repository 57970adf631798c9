"""Where a result came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from unseg.provenance import provenance, sha256_files


def test_command_names_no_folder_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "sys.argv",
        ["/opt/venv/bin/unseg", "train", "--corpus", "/home/ann/sets/ccp", "-o", "runs/a/b",
         "--base", "../../weights/base.safetensors", "--set", "epsilon=4"],
    )  # fmt: skip
    record = provenance(7, "abc")
    assert record["command"] == (
        "unseg train --corpus sets/ccp -o runs/a/b --base weights/base.safetensors --set epsilon=4"
    )
    assert record["seed"] == 7 and record["data_sha256"] == "abc"
    assert record["versions"]["torch"]


def test_data_checksum_follows_names_and_contents(tmp_path: Path) -> None:
    one, two = tmp_path / "1.png", tmp_path / "2.png"
    one.write_bytes(b"a")
    two.write_bytes(b"b")
    first = sha256_files([one, two])
    assert sha256_files([two, one]) == first
    two.write_bytes(b"c")
    assert sha256_files([one, two]) != first
