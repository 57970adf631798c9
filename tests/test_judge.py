"""The judge agrees with the package ``ssimulacra2``, has a gradient, and looks at the mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from unseg.images.photo import Photo
from unseg.protect.judge import (
    LEAST_CROP,
    VIEWED,
    Judge,
    crop_around,
    photo_score,
    visibility_score,
    words_of,
)
from unseg.ssimulacra2 import LEAST, prepare, score


def picture(height: int = 280, width: int = 301, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth on the left, rough on the right, with an edge across; no side is even twice."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    base = 90 + 60 * np.sin(x / 90) + 40 * (y > height / 2)
    rough = rng.normal(0, 25, (height, width, 3)) * (x > width / 2)[..., None]
    values = base[..., None] * np.array([1, 0.9, 0.7]) + rough
    return values.clip(0, 255).astype(np.uint8)


def stripes(image: NDArray[np.uint8], colour: tuple[float, float, float], period: float) -> NDArray:
    wave = np.sign(np.sin(2 * np.pi * np.arange(image.shape[1]) / period))[None, :, None]
    return (image + np.round(wave * np.array(colour))).clip(0, 255).astype(np.uint8)


NOISES = {
    "blue stripes": lambda a: stripes(a, (0, 0, 8), 12),
    "magenta and green bands": lambda a: stripes(a, (8, -8, 8), 40),
    "faint": lambda a: stripes(a, (1, -1, 1), 10),
    "brightness": lambda a: stripes(a, (4, 4, 4), 20),
    "independent": lambda a: (
        (a + np.random.default_rng(1).uniform(-8, 8, a.shape)).clip(0, 255).astype(np.uint8)
    ),
}


def batch(*images: NDArray) -> torch.Tensor:
    return torch.stack([torch.from_numpy(a.astype(np.float32)).permute(2, 0, 1) for a in images])


@pytest.mark.parametrize("noise", NOISES)
def test_scores_are_those_of_the_package(noise: str, tmp_path: Path) -> None:
    package = pytest.importorskip("ssimulacra2", reason="the package is not installed (unseg[dev])")
    before = picture()
    after = NOISES[noise](before)
    for name, image in (("before", before), ("after", after)):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    expected = package.compute_ssimulacra2(tmp_path / "before.png", tmp_path / "after.png")
    assert float(score(batch(before), batch(after))) == pytest.approx(expected, abs=0.02)


def test_batches_gradients_and_the_two_ways_to_blur_agree() -> None:
    originals = batch(picture(seed=0), picture(seed=1))
    changed = batch(*(stripes(picture(seed=seed), (6, -6, 6), 14) for seed in (0, 1)))
    together = score(originals, changed)
    alone = [float(score(originals[i : i + 1], changed[i : i + 1])) for i in (0, 1)]
    assert together.tolist() == pytest.approx(alone, abs=1e-3)
    leaf = changed.clone().requires_grad_()
    again = score(prepare(originals), leaf)
    assert again.tolist() == pytest.approx(together.tolist(), abs=0.01)
    again.sum().backward()
    assert leaf.grad is not None and bool(leaf.grad.isfinite().all())
    # A step along the gradient is a step towards the original's look.
    better = score(originals, changed + 200 * leaf.grad)
    assert bool((better > together + 0.5).all())


def test_equal_images_score_100_and_their_gradient_is_finite() -> None:
    original = batch(picture(LEAST, LEAST))
    leaf = original.clone().requires_grad_()
    found = score(original, leaf)
    found.sum().backward()
    # The two ways to blur differ by their rounding alone.
    assert float(found.detach()) == pytest.approx(100, abs=0.05)
    assert leaf.grad is not None and bool(leaf.grad.isfinite().all())


def test_sizes_are_checked() -> None:
    image = batch(picture())
    with pytest.raises(ValueError, match="below 128"):
        score(image[..., :100], image[..., :100])
    with pytest.raises(ValueError, match="shapes differ"):
        score(image, image[..., :200])
    with pytest.raises(ValueError, match="shapes differ"):
        visibility_score(picture(), picture()[:100], np.ones((280, 301), bool))


def test_a_small_object_is_not_diluted() -> None:
    before = picture(900, 1200)
    after = before.copy()
    spot = np.zeros(before.shape[:2], bool)
    spot[300:420, 100:200] = True
    after[spot] = stripes(before, (8, -8, 8), 12)[spot]
    around = visibility_score(before, after, spot)
    whole = visibility_score(before, after, np.ones_like(spot))
    assert around < whole - 10
    assert around == pytest.approx(visibility_score(before[200:600, :500], after[200:600, :500],
                                                    spot[200:600, :500]), abs=0.01)  # fmt: skip


@pytest.mark.parametrize(
    "box",
    [(0, 1, 0, 1), (899, 900, 1199, 1200), (10, 800, 600, 610), (0, 900, 0, 1200), (0, 0, 0, 0)],
)
def test_crops_hold_the_mask_and_stay_inside(box: tuple[int, int, int, int]) -> None:
    mask = np.zeros((900, 1200), bool)
    mask[box[0] : box[1], box[2] : box[3]] = True
    crop = crop_around(mask)
    assert mask[crop.rows, crop.columns].sum() == mask.sum()
    assert crop.rows.start >= 0 and crop.rows.stop <= 900 and crop.columns.stop <= 1200
    assert min(crop.shape) >= LEAST_CROP
    assert crop_around(np.ones((3000, 4000), bool)).size == (VIEWED, VIEWED * 3 // 4)


@pytest.mark.parametrize("shape", [(1, 1), (40, 60), (30, 900), (256, 257)])
def test_images_of_any_size_are_judged(shape: tuple[int, int]) -> None:
    before = picture(*shape)
    mask = np.ones(shape, bool)
    assert visibility_score(before, before, mask) == pytest.approx(100, abs=0.02)
    assert visibility_score(before, before ^ 16, mask) < 90
    grey = before[..., 0]
    assert visibility_score(grey, grey ^ 16, mask) == pytest.approx(
        visibility_score(np.stack([grey] * 3, 2), np.stack([grey ^ 16] * 3, 2), mask)
    )


def test_sixteen_bits_are_judged_in_the_range_in_use() -> None:
    before = picture()
    after = stripes(before, (8, -8, 8), 12)
    mask = np.ones(before.shape[:2], bool)
    expected = visibility_score(before, after, mask)
    assert photo_score(Photo(before), after, mask) == pytest.approx(expected)
    wide = Photo(1000 + 16 * before.astype(np.uint16), range=(1000, 1000 + 16 * 255))
    found = photo_score(wide, 1000 + 16 * after.astype(np.uint16), mask)
    assert found == pytest.approx(expected, abs=0.01)


def test_a_judge_is_asked_again_and_again() -> None:
    before = picture()
    crop = crop_around(np.ones(before.shape[:2], bool))
    judge = Judge(crop, before)
    scores = [judge.score(stripes(before, (n, -n, n), 12)) for n in (1, 2, 4, 8)]
    assert scores == sorted(scores, reverse=True)
    mask = np.ones(before.shape[:2], bool)
    assert scores[3] == visibility_score(before, stripes(before, (8, -8, 8), 12), mask)


def test_words() -> None:
    said = [words_of(found) for found in (100, 90, 89.9, 80, 75, 60, 49, -20)]
    assert said == [
        "not seen when flickering", "not seen when flickering", "not seen side by side",
        "not seen side by side", "seen when flickering", "seen, not annoying", "plainly visible",
        "plainly visible",
    ]  # fmt: skip
