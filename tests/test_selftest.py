"""``unseg protect --selftest``: which settings it can measure, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from noise_stub import photo
from unseg.cli import selftest as command
from unseg.cli.selftest import check_selftest
from unseg.errors import UnsegError
from unseg.protect.noises import TINTED_NOISES
from unseg.protect.settings import Settings

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for kind in ("photos", "masks"):
        (tmp_path / kind).mkdir()
    for i in range(2):
        image = photo(seed=i)
        Image.fromarray(image).save(tmp_path / "photos" / f"{i}.png")
        mask = (image[..., 0] > 140).astype(np.uint8) * 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{i}.png")
    return tmp_path / "photos", tmp_path / "masks"


def test_the_condition_is_the_one_that_the_settings_describe(folders: tuple[Path, Path]) -> None:
    images, masks = folders
    for settings, name in (
        (Settings(), "unseg"),
        (Settings(visibility="low"), "unseg-low"),
        (Settings(target="instance"), "unseg-instance"),
        (Settings(noises=TINTED_NOISES), "unseg-tint"),
        (Settings(target="class"), "unseg-class"),
        (Settings(target="class", visibility="strong"), "unseg-class-strong"),
    ):
        assert check_selftest([images], masks, settings) == name


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(target="instance", visibility="low"), "cannot measure unseg-instance-low"),
        (Settings(classes=(1,)), "--selftest has no --classes"),
        (Settings(void=None), "--selftest has no --void"),
    ],
)
def test_what_it_cannot_measure_is_refused(
    folders: tuple[Path, Path], settings: Settings, message: str
) -> None:
    with pytest.raises(UnsegError, match=message):
        check_selftest([folders[0]], folders[1], settings)


def test_it_needs_masks_before_anything_starts(
    cli: Cli, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    code, out, err = cli("protect", folders[0], "-o", tmp_path / "out", "--selftest")
    assert code == 2 and "--selftest needs one folder of images and --masks" in err
    assert out == "" and not (tmp_path / "out").exists()


def test_its_sentence_follows_the_summary(
    cli: Cli, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[object, ...]] = []

    def run(*arguments: object) -> str:
        seen.append(arguments)
        return "A U-Net learns less."

    monkeypatch.setattr(command, "run_selftest", run)
    images, masks = folders
    line = ("protect", images, "-o", tmp_path / "out", "--masks", masks, "--selftest")
    code, out, _ = cli(*line)
    assert code == 0 and out.rstrip().endswith("A U-Net learns less.")
    assert seen[0][:2] == (images, masks) and seen[0][3] == "unseg"
