"""``unseg posted``: how much of the noise is left after scaling and compressing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from noise_stub import photo
from unseg.errors import UnsegError
from unseg.protect.posted import PLATFORMS, Platform, amount, left_over, posted, publish

Cli = Callable[..., tuple[int, str, str]]
FINE = Platform("fine", 4096, 100, full_colour=True)


def with_noise(wavelength: float, amplitude: int = 8, size: int = 240) -> tuple[np.ndarray, ...]:
    """A picture, and itself with upright stripes of a wavelength in pixels."""
    before = photo(size, size).clip(20, 235)
    wave = np.sign(np.sin(2 * np.pi * (np.arange(size) + 0.25) / wavelength))
    after = (before + (amplitude * wave)[None, :, None]).astype(np.uint8)
    return before, after


def test_without_loss_all_is_left() -> None:
    found = left_over(*with_noise(24), None, FINE)
    assert found.kept == pytest.approx(1, abs=0.02) and found.correlation > 0.98
    assert found.size == (240, 240) and not found.masked


def test_coarse_noise_outlives_fine_noise_and_scaling_takes_more_than_none() -> None:
    small = Platform("small", 60, 100, full_colour=True)
    coarse, fine = (left_over(*with_noise(wave), None, small).kept for wave in (48, 4))
    assert coarse > 0.75 and fine < 0.05
    strengths = [left_over(*with_noise(8), None, Platform("x", 240, q)).kept for q in (95, 50, 5)]
    assert strengths == sorted(strengths, reverse=True) and strengths[0] > 0.9 > strengths[2]


def test_what_compression_adds_does_not_count() -> None:
    """A posted image that has nothing to do with the noise keeps none of it, however rough."""
    before, after = with_noise(2)
    found = left_over(before, after, None, Platform("x", 30, 5))
    assert found.kept < 0.05 and abs(found.correlation) < 0.3


def test_only_the_inside_of_the_mask_counts() -> None:
    before, after = with_noise(48)
    other = with_noise(4)[1]
    mask = np.zeros((240, 240), bool)
    mask[:, :120] = True
    mixed = np.where(mask[..., None], after, other).astype(np.uint8)
    small = Platform("small", 60, 100, full_colour=True)
    assert left_over(before, mixed, mask, small).kept > 0.75
    assert left_over(before, mixed, ~mask, small).kept < 0.15


def test_nothing_is_enlarged_and_the_file_is_what_is_shown() -> None:
    pixels = photo(50, 80)
    shown, data = publish(pixels, PLATFORMS["feed"])
    assert shown.shape == (50, 80, 3) and data.startswith(b"\xff\xd8")
    assert publish(np.tile(pixels, (30, 30, 1)), PLATFORMS["feed"])[0].shape == (675, 1080, 3)


def test_what_cannot_be_compared_is_refused() -> None:
    before, after = with_noise(8)
    with pytest.raises(UnsegError, match="another size"):
        left_over(before, after[:100], None, FINE)
    with pytest.raises(UnsegError, match="equals its original"):
        left_over(before, before, None, FINE)


@pytest.fixture
def out(cli: Cli, tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for i in range(3):
        Image.fromarray(photo(90, 120, seed=i)).save(tmp_path / "photos" / f"{i}.png")
    code, _, err = cli("protect", tmp_path / "photos", "-o", tmp_path / "out")
    assert code == 0, err
    return tmp_path / "out"


def test_a_folder_and_one_of_its_images(cli: Cli, out: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    code, text, _ = cli("posted", out, "--originals", photos)
    assert code == 0 and "in the mean of 3 images" in text and "1080 pixels, JPEG 75, 4:2:0" in text
    code, text, _ = cli("posted", out / "1.png", "--originals", photos, "--side", 60, "--json")
    found = json.loads(text)
    assert code == 0 and found["platform"]["side"] == 60
    [image] = found["images"]
    assert image["name"] == "1.png" and image["size"] == [60, 45] and image["masked"]
    assert f"{amount(image['kept'])} of the noise inside the mask is left" in found["sentence"]
    saved = tmp_path / "posted.jpg"
    line = ("posted", out / "1.png", "--originals", photos / "1.png", "--save", saved)
    assert cli(*line)[0] == 0
    with Image.open(saved) as image_posted:
        assert image_posted.size == (120, 90)
    code, _, err = cli(*line)
    assert code == 2 and "exists already" in err


def test_a_single_file_needs_its_original(cli: Cli, out: Path, tmp_path: Path) -> None:
    photos, single = tmp_path / "photos", tmp_path / "single.png"
    code, text, _ = cli("protect", photos / "0.png", "-o", single, "--posted")
    assert code == 0 and "of the noise in the image is left" in text
    with pytest.raises(UnsegError, match="its original is not known"):
        posted(single, photos)
    [found] = posted(single, photos / "0.png")
    assert not found.masked and 0 < found.kept <= 1


def test_protect_says_it_when_asked(cli: Cli, out: Path, tmp_path: Path) -> None:
    line = ("protect", tmp_path / "photos", "-o", out, "--resume", "--posted")
    code, text, _ = cli(*line)
    assert code == 0 and "of the noise is left" in text
    code, text, _ = cli(*line, "--json")
    assert code == 0 and "in the mean of 3 images" in json.loads(text)["posted"]


def test_what_is_not_there_is_named(cli: Cli, out: Path, tmp_path: Path) -> None:
    for line, said in (
        ((tmp_path / "none", "--originals", tmp_path), "does not exist"),
        ((out, "--originals", tmp_path / "none"), "does not exist"),
        ((out, "--originals", out / "unseg-masks"), "is not the file that was"),
        ((out, "--originals", tmp_path, "--save", tmp_path / "a.jpg"), "is not a file"),
    ):
        code, _, err = cli("posted", *line)
        assert code == 2 and said in " ".join(err.split()), line
