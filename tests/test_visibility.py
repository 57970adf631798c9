"""Noise is scaled down where it would be seen, as far as an image needs it, and never up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noise_stub import WaveSource, noises
from unseg.images.photo import Photo
from unseg.masks.regions import Regions
from unseg.noise import Budget, compose, quantise
from unseg.protect.core import noise_fields
from unseg.protect.quality import ssim
from unseg.protect.view import view
from unseg.protect.visibility import SIMILARITY, Visibility, soften


def scene(seed: int = 0, height: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noise of stripes, an image that is smooth on the left and rough on the right, half a mask."""
    rng = torch.Generator().manual_seed(seed)
    image = torch.full((3, height, 96), 120.0)
    image[:, :, 48:] += 40 * torch.randn(3, height, 48, generator=rng)
    stripes = torch.sign(torch.sin(torch.arange(96) * 0.6)).expand(3, height, 96)
    mask = torch.zeros(height, 96, dtype=torch.bool)
    mask[: height // 2] = True
    return stripes, image.clamp(0, 255).round(), mask


def similarity(
    noise: torch.Tensor, image: torch.Tensor, mask: torch.Tensor, budget: Budget
) -> float:
    """Of the image as it is published."""
    amplitude = mask[None, None].float()
    moved = compose(image[None], noise[None], amplitude, budget)
    after = quantise(moved, image[None], amplitude, budget)[0]
    found = ssim(*(x.permute(1, 2, 0).numpy().astype(np.uint8) for x in (image, after)))
    assert found is not None
    return found


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 9), st.floats(1, 40), st.sampled_from(["low", "normal", "strong"]))
def test_noise_only_ever_shrinks_and_keeps_its_signs(
    seed: int, eps: float, visibility: Visibility
) -> None:
    noise, image, mask = scene(seed)
    soft = soften(noise, image, mask, Budget(eps, eps / 4), visibility)
    assert bool((soft.abs() <= noise.abs()).all()) and bool((soft * noise >= 0).all())
    if visibility == "strong":
        assert torch.equal(soft, noise)


@pytest.mark.parametrize("visibility", ["low", "normal"])
@pytest.mark.parametrize("height", [64, 5000])
def test_every_image_keeps_the_similarity_asked_for(visibility: Visibility, height: int) -> None:
    noise, image, mask = scene(height=height)
    budget, wanted = Budget(8, 2), SIMILARITY[visibility]
    assert wanted is not None and similarity(noise, image, mask, budget) < wanted - 0.01
    kept = similarity(soften(noise, image, mask, budget, visibility), image, mask, budget)
    # Not more is taken than has to be; bands of a tall image stand for the whole.
    assert wanted - 0.004 < kept < wanted + 0.006


def test_smooth_areas_give_way_first() -> None:
    noise, image, mask = scene()
    soft = soften(noise, image, mask, Budget(8, 2), "normal").abs()
    assert float(soft[:, :32, :40].max()) < 0.5
    assert float(soft[:, :32, 56:].mean()) > 2 * float(soft[:, :32, :40].mean())


def test_rough_images_are_left_alone() -> None:
    noise, image, mask = scene()
    image = 120 + 50 * torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    image = image.clamp(0, 255).round()
    assert torch.equal(soften(noise, image, mask, Budget(8, 2), "low"), noise)


def test_fields_are_softened_by_the_budget_they_will_get() -> None:
    flat = Photo(np.full((40, 60, 3), (100, 80, 120), np.uint8))
    shown = view(flat, Regions.union(np.ones((40, 60), bool)))
    choices: list[tuple[Budget, Visibility]] = [
        (Budget(8, 2), "strong"), (Budget(8, 2), "normal"), (Budget(1, 1), "normal"),
    ]  # fmt: skip
    strong, wide, narrow = (
        noise_fields(noises(WaveSource()), [shown], *choice)[0][1] for choice in choices
    )
    assert float(wide.abs().mean()) < 0.5
    assert torch.equal(narrow, strong)  # one step is hidden anyway
