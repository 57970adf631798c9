"""What is optional to install is named in one line when it is missing."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import unseg.extras
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
