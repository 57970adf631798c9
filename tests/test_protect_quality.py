"""PSNR, SSIM and the measured change, against scikit-image and plain numpy."""

from __future__ import annotations

import math
import time

import cv2
import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from noise_stub import photo
from unseg.images.photo import Photo
from unseg.noise import Change, measure
from unseg.protect import quality
from unseg.protect.judge import judge_of
from unseg.protect.quality import compare, psnr, ssim, survival, viewed_ssim


def pair(shape: tuple[int, ...], amount: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    image = photo(*shape[:2], seed)
    image = image if len(shape) == 3 else image[..., 0]
    change = rng.integers(-amount, amount + 1, image.shape)
    return image, np.clip(image + change, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("shape", [(64, 80, 3), (11, 11, 3), (33, 200), (200, 33, 3)])
@pytest.mark.parametrize("block", [1 << 20, 1000])
def test_against_scikit_image(
    shape: tuple[int, ...], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "BLOCK_PIXELS", block)
    before, after = pair(shape)
    expected = structural_similarity(
        before, after, data_range=255, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False, channel_axis=2 if len(shape) == 3 else None,
    )  # fmt: skip
    assert ssim(before, after) == pytest.approx(expected, abs=1e-5)
    expected = peak_signal_noise_ratio(before, after, data_range=255)
    assert psnr(before, after) == pytest.approx(expected, abs=1e-6)


def test_16_bit_images_get_the_figures_of_their_8_bit_form() -> None:
    before, after = pair((40, 50, 3))
    wide_before, wide_after = (x.astype(np.uint16) * 257 for x in (before, after))
    assert psnr(wide_before, wide_after, 65535) == pytest.approx(psnr(before, after))
    assert ssim(wide_before, wide_after, 257) == pytest.approx(ssim(before, after), abs=1e-6)


def test_equal_and_tiny_images() -> None:
    before, after = pair((40, 50, 3))
    assert psnr(before, before) is None and ssim(before, before) == pytest.approx(1)
    assert ssim(before[:10], after[:10]) is None and ssim(before[:11], after[:11]) is not None


def test_largest_change_is_found_in_every_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "BLOCK_PIXELS", 100)
    before, _ = pair((40, 50, 3))
    mask = np.zeros((40, 50), bool)
    mask[20:] = True
    for row, change in ((3, Change(0, 7)), (39, Change(7, 0))):
        after = before.copy()
        after[row, 5, 1] ^= 7
        expected = abs(int(after[row, 5, 1]) - int(before[row, 5, 1]))
        found = compare(Photo(before), Photo(after), mask).change
        assert found == Change(change.inside and expected, change.outside and expected)


def test_survival_of_lossless_and_of_lost_noise() -> None:
    before, after = pair((40, 50, 3))
    assert survival(before, after, after).correlation == pytest.approx(1)
    assert survival(before, after, after).energy == pytest.approx(1)
    lost = survival(before, after, before)
    assert (lost.correlation, lost.energy) == (0, 0)
    rng = np.random.default_rng(1)
    other = np.clip(before + rng.integers(-8, 9, before.shape), 0, 255).astype(np.uint8)
    assert abs(survival(before, after, other).correlation) < 0.1


def test_a_megapixel_is_compared_quickly() -> None:
    before, after = pair((1024, 1024, 3))
    started = time.thread_time()
    assert ssim(before, after) is not None
    assert time.thread_time() - started < 0.5  # 0.04 s on an idle core


@pytest.mark.parametrize("shape", [(40, 50, 3), (40, 50), (1, 1, 3)])
@pytest.mark.parametrize("covered", [0.0, 0.3, 1.0])
def test_whole_samples_are_measured_as_the_definition_says(
    shape: tuple[int, ...], covered: float
) -> None:
    rng = np.random.default_rng(int(10 * covered))
    before, after = (rng.integers(0, 256, shape, np.uint8) for _ in range(2))
    mask = rng.random(shape[:2]) < covered
    planes = [torch.from_numpy(np.atleast_3d(one)).permute(2, 0, 1) for one in (before, after)]
    assert quality.largest_change(Photo(before), Photo(after), mask) == measure(
        *planes, torch.from_numpy(mask)
    )
    squares = float(((before.astype(int) - after) ** 2).sum())
    assert psnr(before, after) == 10 * math.log10(255**2 * before.size / squares)


def test_ssim_is_that_of_viewing_size_and_older_manifests_that_of_the_whole() -> None:
    before, after = pair((300, 1600, 3))
    mask = np.ones((300, 1600), bool)
    shown = [cv2.resize(x, (1280, 240), interpolation=cv2.INTER_AREA) for x in (before, after)]
    found = compare(Photo(before), Photo(after), mask).ssim
    assert found == ssim(shown[0], shown[1]) and found > ssim(before, after) + 0.001
    assert compare(Photo(before), Photo(after), mask, whole=True).ssim == ssim(before, after)
    small = before[:, :1280], after[:, :1280]
    assert viewed_ssim(Photo(small[0]), small[1]) == ssim(*small)


def test_a_judge_that_is_there_already_gives_the_same_score() -> None:
    before, after = pair((300, 400, 3))
    mask = np.zeros((300, 400), bool)
    mask[40:200, 50:300] = True
    photo = Photo(before)
    judged = compare(photo, Photo(after), mask, judge_of(photo, mask))
    assert judged == compare(photo, Photo(after), mask)
