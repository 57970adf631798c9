"""Noise is scaled down where it would be seen, never up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noise_stub import WaveSource, photo
from unseg.data.masks import Regions
from unseg.noise import Budget, compose, quantise
from unseg.protect.apply import noise_fields, view
from unseg.protect.quality import ssim
from unseg.protect.readers import Photo
from unseg.visibility import LOSS, Visibility, soften


def scene(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noise of stripes, an image that is smooth on the left and rough on the right, half a mask."""
    rng = torch.Generator().manual_seed(seed)
    image = torch.full((3, 64, 96), 120.0)
    image[:, :, 48:] += 40 * torch.randn(3, 64, 48, generator=rng)
    stripes = torch.sign(torch.sin(torch.arange(96) * 0.6)).expand(3, 64, 96)
    mask = torch.zeros(64, 96, dtype=torch.bool)
    mask[:32] = True
    return stripes, image.clamp(0, 255).round(), mask


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


def test_smooth_areas_get_less_than_rough_ones() -> None:
    noise, image, mask = scene()
    soft = soften(noise, image, mask, Budget(8, 2), "normal").abs()
    assert float(soft[:, :32, :40].max()) < 0.5 and float(soft[:, :32, 56:].min()) == 1.0
    # Outside the mask, where the bound is a quarter, hardly anything needs to be taken away.
    assert float(soft[:, 44:, :40].mean()) > 0.9


@pytest.mark.parametrize("visibility", ["low", "normal"])
def test_structural_similarity_stays_above_the_limit(visibility: Visibility) -> None:
    noise, image, mask = scene()
    budget, amplitude = Budget(8, 2), mask[None, None].float()
    soft = soften(noise, image, mask, budget, visibility)
    after = quantise(compose(image[None], soft[None], amplitude, budget), image[None], amplitude,
                     budget)[0]  # fmt: skip
    found = ssim(*(x.permute(1, 2, 0).numpy().astype(np.uint8) for x in (image, after)))
    limit = LOSS[visibility]
    assert found is not None and limit is not None and found >= 1 - limit


def test_fields_are_softened_by_the_budget_they_will_get() -> None:
    flat = Photo(np.full((40, 60, 3), 100, np.uint8))
    shown = view(flat, Regions.union(np.ones((40, 60), bool)))
    strong, wide, narrow = (
        noise_fields(WaveSource(), [shown], budget, visibility)[0]
        for budget, visibility in (
            (Budget(8, 2), "strong"), (Budget(8, 2), "normal"), (Budget(2, 1), "normal"),
        )
    )  # fmt: skip
    assert float(wide.abs().mean()) < 0.5 < float(narrow.abs().mean())
    assert torch.equal(narrow, strong)  # two steps are hidden anyway


def test_a_textured_photograph_keeps_most_of_its_noise() -> None:
    shown = view(Photo(photo()), Regions.union(np.ones(photo().shape[:2], bool)))
    strong, normal = (
        noise_fields(WaveSource(), [shown], Budget(8, 2), visibility)[0].abs().mean()
        for visibility in ("strong", "normal")
    )
    assert 0 < float(normal) <= float(strong)
