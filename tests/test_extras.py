"""What is optional to install is named in one line when it is missing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import unseg.extras
from bare_install import modules_beyond_the_core
from unseg.errors import UnsegError
from unseg.extras import EXTRAS, require

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]


def test_the_table_and_pyproject_name_the_same_packages() -> None:
    listed = PROJECT["optional-dependencies"]
    assert set(EXTRAS) == set(listed) - {"dev"}
    for name, extra in EXTRAS.items():
        packages = [re.match(r"[\w.-]+", line)[0] for line in listed[name]]
        assert list(extra.modules) == packages


def test_no_extra_is_a_dependency_of_the_core() -> None:
    core = {re.match(r"[\w.-]+", line)[0] for line in PROJECT["dependencies"]}
    assert not core & {package for extra in EXTRAS.values() for package in extra.modules}


def test_what_is_installed_passes() -> None:
    for name in EXTRAS:
        require(name)


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ({"accelerate"}, "needs accelerate, which is not installed"),
        ({"accelerate", "kornia"}, "needs accelerate and kornia, which are not installed"),
        (
            {"accelerate", "scipy", "kornia"},
            "needs accelerate, scipy and kornia, which are not installed",
        ),
    ],
)
def test_what_is_missing_is_named_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch, gone: set[str], said: str
) -> None:
    monkeypatch.setattr(unseg.extras, "find_spec", lambda name: None if name in gone else object())
    with pytest.raises(UnsegError) as caught:
        require("train", "unseg train")
    assert str(caught.value) == f"unseg train {said}: pip install 'unseg[train]'"
    require("train", packages=("tensorboard",))
    require("demo")


NEED_AN_EXTRA = {
    "train --corpus photos -o run": "train",
    "train-salience --cutouts photos -o run": "train",
    "card run -o card": "train",
    "evaluate --list": "eval",
    "evaluate --task person --data photos -o results": "eval",
    "evaluate --suite smoke": "eval",
    "report results -o report": "eval",
    "weights import graphs -o base.safetensors": "import",
    "demo -o demo": "demo",
}
NEED_NONE = (
    "--version",
    "protect photos -o protected --masks masks",
    "verify protected --originals photos",
    "masks photos -o drawn",
)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str]]:
    """What the commands say where only the core is installed."""
    folder = tmp_path_factory.mktemp("bare")
    for name in ("photos", "masks", "graphs"):
        (folder / name).mkdir()
    for name in ("encoder.onnx", "sam.onnx"):
        (folder / "graphs" / name).write_bytes(b"not looked into")
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "photos" / "one.png")
    Image.fromarray(pixels[..., 0] // 128 * 255).save(folder / "masks" / "one.png")
    lines = [*NEED_AN_EXTRA, *NEED_NONE]
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("bare_install.py"),
         json.dumps([line.split() for line in lines])],
        cwd=folder, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(zip(lines, map(tuple, json.loads(done.stdout)), strict=True))


def test_the_check_hides_the_extras_and_nothing_of_the_core() -> None:
    hidden = modules_beyond_the_core()
    assert {module for extra in EXTRAS.values() for module in extra.modules.values()} <= hidden
    assert not hidden & {"torch", "transformers", "numpy", "cv2", "PIL", "typer", "yaml", "regex"}


@pytest.mark.parametrize(("line", "extra"), NEED_AN_EXTRA.items())
def test_a_command_without_its_extra_ends_in_one_line(
    bare: dict[str, tuple[int, str, str]], line: str, extra: str
) -> None:
    code, out, err = bare[line]
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert "not installed" in err and err.endswith(f"pip install 'unseg[{extra}]'\n")


def test_protecting_needs_no_extra(bare: dict[str, tuple[int, str, str]]) -> None:
    for line in NEED_NONE:
        assert bare[line][0] == 0, bare[line]
