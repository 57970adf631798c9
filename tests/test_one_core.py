"""A folder run, the Python object and the condition of the evaluation publish the same bytes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import unseg
from noise_stub import photo
from unseg.datasets.samples import Sample
from unseg.evaluate.conditions.unseg import Unseg
from unseg.evaluate.problem import Problem
from unseg.images.photo import Photo
from unseg.images.reader import read_photo, rgb_of
from unseg.masks.labels import read_label_map
from unseg.models.generator import PUBLIC_KEY
from unseg.models.loaded import Models
from unseg.protect.noises import DEFAULT_NOISES, TINTED_NOISES, load_noises

BINARY = Problem("semantic", ("background", "object"))
CLASSES = Problem("semantic", ("sky", "road", "car"))


@pytest.fixture(scope="module")
def models() -> Models:
    """The shipped weights, loaded once; with the evaluation's key, which all doors have here."""
    return Models(device="cpu")


def textured(height: int, width: int) -> np.ndarray:
    """A colour picture with structure at the scale of its size, (H, W, 3) uint8."""
    small = photo(max(8, height // 24), max(8, width // 24), seed=3)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def disc(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    radius = min(height, width) / 3
    return ((rows - height / 2) ** 2 + (columns - width / 2) ** 2 < radius**2).astype(np.uint8)


def wide(pixels: np.ndarray) -> np.ndarray:
    """16 bits that 8 cannot hold."""
    return pixels.astype(np.uint16) * np.uint16(257) - np.uint16(77) * (pixels > 0)


KINDS = {
    "small": (textured(90, 120), disc(90, 120) * 255),
    "above 2048 pixels": (textured(1100, 2300), disc(1100, 2300) * 255),
    "grey": (textured(90, 120)[..., 0], disc(90, 120) * 255),
    "colour file of grey pixels": (
        np.repeat(textured(90, 120)[..., :1], 3, axis=2),
        disc(90, 120) * 255,
    ),
    "16 bits": (wide(textured(90, 120)), disc(90, 120) * 255),
    "12 bits of 16": (
        (textured(90, 120).astype(np.uint16) + np.uint16(900)) * np.uint16(3),
        disc(90, 120) * 255,
    ),
    "grey, 16 bits": (wide(textured(90, 120)[..., 0]), disc(90, 120) * 255),
    "without foreground": (textured(90, 120), np.zeros((90, 120), np.uint8)),
}


def write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    assert cv2.imwrite(str(path), samples)
    return path


def by_folder(image: Path, mask: Path, out: Path, **settings: object) -> Photo:
    chosen = unseg.Settings(device="cpu", key=PUBLIC_KEY, **settings)  # type: ignore[arg-type]
    report = unseg.protect_folder(image.parent, out, chosen, masks=mask.parent)
    assert not report.errors, report.errors
    return read_photo(out / image.name)


def by_object(models: Models, pixels: np.ndarray, labels: np.ndarray, **settings: object) -> Photo:
    from unseg.masks.sources import load_sources

    noises = load_noises(settings.pop("noises", DEFAULT_NOISES), models)  # type: ignore[arg-type]
    protector = unseg.Protector(noises, load_sources(["whole-image"], models))
    result = protector.protect(pixels, labels, **settings)  # type: ignore[call-overload]
    return Photo(result.image)


@pytest.mark.parametrize("noises", [DEFAULT_NOISES, TINTED_NOISES], ids=["default", "tinted"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_all_three_publish_the_same(
    kind: str, noises: tuple[str, ...], models: Models, tmp_path: Path
) -> None:
    if noises == TINTED_NOISES and not kind.startswith("colour file"):
        pytest.skip("a tint is for colour files of grey pixels")
    pixels, labels = KINDS[kind]
    image = write(tmp_path / "images" / "a.png", pixels)
    mask = write(tmp_path / "masks" / "a.png", labels)
    folder = by_folder(image, mask, tmp_path / "out", noises=noises)
    python = by_object(models, pixels, labels, noises=noises)
    sample = Sample.read("a", image, read_label_map(mask).values > 0)
    condition = Unseg(models.generator, noises=noises)
    condition.prepare([sample], BINARY, seed=0)
    evaluated = condition.protected(sample)
    for other in (python, evaluated):
        assert other.pixels.dtype == folder.pixels.dtype == pixels.dtype
        np.testing.assert_array_equal(other.pixels, folder.pixels)
    # What a victim learns from is that file, as it is read for training.
    [published] = condition.publish([sample], BINARY, seed=0)
    np.testing.assert_array_equal(published.image, rgb_of(folder))
    if kind == "without foreground":
        np.testing.assert_array_equal(folder.pixels, pixels)
    else:
        assert (folder.pixels != pixels).any()


def test_classes_and_the_choice_of_silent_ones_are_the_same(models: Models, tmp_path: Path) -> None:
    pixels = textured(96, 128)
    labels = (np.mgrid[:96, :128][0] // 32).astype(np.uint8)
    image = write(tmp_path / "images" / "a.png", pixels)
    mask = write(tmp_path / "masks" / "a.png", labels)
    settings: dict[str, object] = {"target": "class", "background": None}
    folder = by_folder(image, mask, tmp_path / "out", **settings)
    python = by_object(models, pixels, labels, **settings)
    sample = Sample.read("a", image, np.ones_like(labels, bool), labels=labels)
    condition = Unseg(models.generator, target="class")
    condition.prepare([sample], CLASSES, seed=0)
    np.testing.assert_array_equal(python.pixels, folder.pixels)
    np.testing.assert_array_equal(condition.protected(sample).pixels, folder.pixels)


def test_a_lossy_original_without_foreground_keeps_its_bytes(tmp_path: Path) -> None:
    """What is left as it is passes no encoder."""
    image = tmp_path / "images" / "a.jpg"
    image.parent.mkdir()
    Image.fromarray(textured(60, 80)).save(image, quality=60)
    write(tmp_path / "masks" / "a.png", np.zeros((60, 80), np.uint8))
    write(tmp_path / "images" / "b.png", textured(60, 80))
    write(tmp_path / "masks" / "b.png", disc(60, 80) * 255)
    settings = unseg.Settings(format="same", device="cpu", key=PUBLIC_KEY)
    report = unseg.protect_folder(
        tmp_path / "images", tmp_path / "out", settings, masks=tmp_path / "masks"
    )
    assert report.ok and report.totals["unchanged"] == 1 and report.totals["protected"] == 1
    assert (tmp_path / "out" / "a.jpg").read_bytes() == image.read_bytes()
    assert unseg.verify_folder(tmp_path / "out", tmp_path / "images").ok
