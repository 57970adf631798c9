"""What is in a release is listed, with versions, licences and checksums."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "src" / "unseg" / "assets"


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    written = []
    for name in ("one", "two"):
        target = tmp_path_factory.mktemp(name) / "dist" / "unseg.cdx.json"
        subprocess.run(
            [sys.executable, ROOT / "scripts" / "sbom.py", "-o", target],
            check=True, timeout=120, env={"SOURCE_DATE_EPOCH": "1760000000"},
        )  # fmt: skip
        written.append(target.read_text())
    assert written[0] == written[1]
    return dict(json.loads(written[0]))


def test_the_list_is_cyclonedx_and_whole(listed: dict[str, Any]) -> None:
    assert (listed["bomFormat"], listed["specVersion"]) == ("CycloneDX", "1.6")
    assert re.fullmatch(
        r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", listed["serialNumber"]
    )
    assert listed["metadata"]["timestamp"] == "2025-10-09T08:53:20Z"
    refs = [one["bom-ref"] for one in listed["components"]]
    assert len(set(refs)) == len(refs)
    known = {*refs, listed["metadata"]["component"]["bom-ref"]}
    for one in listed["dependencies"]:
        assert {one["ref"], *one["dependsOn"]} <= known


def test_it_names_what_is_needed_and_nothing_of_the_extras(listed: dict[str, Any]) -> None:
    versions = {one["name"]: one.get("version") for one in listed["components"]}
    import torch
    import typer

    assert versions["torch"] == torch.__version__ and versions["typer"] == typer.__version__
    assert {"numpy", "pillow", "safetensors", "transformers", "rich", "fsspec"} <= set(versions)
    assert not {"pytest", "ray", "monai", "scikit-image", "onnx"} & set(versions)
    assert all(one["licenses"] for one in listed["components"] if one["name"] == "numpy")


def test_the_weights_have_the_checksums_of_their_files(listed: dict[str, Any]) -> None:
    noted = {one["name"]: one["hashes"][0]["content"] for one in listed["components"]
             if one["type"] == "machine-learning-model"}  # fmt: skip
    files = {path.name: path for path in ASSETS.glob("*.safetensors")}
    assert set(noted) == set(files)
    for name, path in files.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == noted[name]
