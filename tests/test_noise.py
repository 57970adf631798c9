"""The bound as properties: whatever image, noise, mask and budget, it holds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unseg.noise import (
    LUMINANCE,
    MOST_GREEN,
    Budget,
    Change,
    compose,
    measure,
    quantise,
    without_brightness,
)

SHAPE = (5, 4)
steps = st.one_of(st.sampled_from([0.0, 1.0, 8.0, 255.0]), st.floats(0, 255, width=32))
budgets = st.builds(Budget, steps, steps)
images = hnp.arrays(np.uint8, (3, *SHAPE))
noises = hnp.arrays(np.float32, (3, *SHAPE), elements=st.floats(-4, 4, width=32))
masks = hnp.arrays(bool, SHAPE)


def tensors(image: np.ndarray, noise: np.ndarray, mask: np.ndarray) -> list[torch.Tensor]:
    return [
        torch.from_numpy(image.astype(np.float32))[None],
        torch.from_numpy(noise)[None],
        torch.from_numpy(mask.astype(np.float32))[None, None],
    ]


@settings(max_examples=200, deadline=None)
@given(images, noises, masks, budgets)
def test_composed_images_keep_the_budget_and_the_range(
    image: np.ndarray, noise: np.ndarray, mask: np.ndarray, budget: Budget
) -> None:
    x, n, m = tensors(image, noise, mask)
    protected = compose(x, n, m, budget)
    assert protected.min() >= 0 and protected.max() <= 255
    assert measure(x[0], protected[0], m[0, 0]).within(budget, tolerance=1e-4)


@settings(max_examples=200, deadline=None)
@given(images, noises, masks, budgets)
def test_quantised_images_are_whole_and_keep_fractional_budgets(
    image: np.ndarray, noise: np.ndarray, mask: np.ndarray, budget: Budget
) -> None:
    x, n, m = tensors(image, noise, mask)
    written = quantise(compose(x, n, m, budget), x, m, budget)
    assert torch.equal(written, written.round())
    assert written.min() >= 0 and written.max() <= 255
    change = measure(x[0], written[0], m[0, 0])
    # 1e-5: floor(8 - 1e-7) counts as 8, as float arithmetic may produce it.
    assert change.within(budget, tolerance=1e-5)


@settings(max_examples=100, deadline=None)
@given(noises, masks, budgets, st.integers(0, 65535))
def test_quantised_changes_are_whole_steps_in_16_bit_images_too(
    noise: np.ndarray, mask: np.ndarray, budget: Budget, sample: int
) -> None:
    x = torch.full((1, 3, *SHAPE), sample / 257)
    _, n, m = tensors(np.zeros((3, *SHAPE), np.uint8), noise, mask)
    written = (quantise(compose(x, n, m, budget), x, m, budget) * 257).round()
    assert written.min() >= 0 and written.max() <= 65535
    change = measure(torch.full_like(x[0], sample), written[0], m[0, 0])
    assert Change(change.inside / 257, change.outside / 257).within(budget, tolerance=1e-5)


def test_full_noise_uses_the_whole_budget() -> None:
    image = torch.full((1, 3, 2, 2), 100.0)
    mask = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    budget = Budget(8, 2)
    written = quantise(compose(image, torch.ones_like(image), mask, budget), image, mask, budget)
    assert measure(image[0], written[0], mask[0, 0]) == Change(8, 2)


@pytest.mark.parametrize(("value", "sign", "change"), [(0, -1, 0), (255, 1, 0), (3, -1, 3)])
def test_black_and_white_stay_in_range(value: float, sign: float, change: float) -> None:
    image, mask = torch.full((1, 3, 2, 2), float(value)), torch.ones(1, 1, 2, 2)
    noise = torch.full_like(image, sign)
    written = quantise(compose(image, noise, mask, Budget()), image, mask, Budget())
    assert measure(image[0], written[0], mask[0, 0]).inside == change


def test_a_fractional_budget_is_rounded_down() -> None:
    image, mask = torch.full((1, 3, 2, 2), 100.0), torch.ones(1, 1, 2, 2)
    budget = Budget(2.9, 0.5)
    noise = torch.ones_like(image)
    assert quantise(compose(image, noise, mask, budget), image, mask, budget)[0, 0, 0, 0] == 102
    outside = torch.zeros_like(mask)
    same = quantise(compose(image, noise, outside, budget), image, outside, budget)
    assert torch.equal(same, image)


@pytest.mark.parametrize("value", [-0.1, 255.5, math.nan, math.inf])
@pytest.mark.parametrize("name", ["foreground", "background"])
def test_a_budget_outside_0_to_255_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"budget {name} is .*expected 8-bit steps in 0..255"):
        Budget(**{name: value})


@settings(max_examples=100, deadline=None)
@given(images, images, masks)
def test_measure_is_the_largest_difference_on_each_side(
    before: np.ndarray, after: np.ndarray, mask: np.ndarray
) -> None:
    change = measure(*map(torch.from_numpy, (before, after, mask)))
    difference = np.abs(before.astype(int) - after).max(axis=0)
    assert change.inside == difference[mask].max(initial=0)
    assert change.outside == difference[~mask].max(initial=0)


def test_measure_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        measure(torch.zeros(3, 2, 2), torch.zeros(3, 2, 3), torch.zeros(2, 2))
    with pytest.raises(ValueError, match="shapes differ"):
        measure(torch.zeros(3, 2, 2), torch.zeros(3, 2, 2), torch.zeros(3, 2))


def test_noise_gets_gradients() -> None:
    noise = torch.zeros(1, 3, 2, 2, requires_grad=True)
    compose(
        torch.full((1, 3, 2, 2), 9.0), noise, torch.ones(1, 1, 2, 2), Budget(8, 2)
    ).sum().backward()
    assert noise.grad is not None and torch.equal(noise.grad, torch.full_like(noise, 8.0))


def _light(image: torch.Tensor) -> torch.Tensor:
    """Brightness, as a share of white, of (3, ...) sRGB in [0, 255]."""
    value = image.double() / 255
    linear = torch.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return torch.einsum("c,c...->...", torch.tensor(LUMINANCE, dtype=torch.float64), linear)


def test_noise_without_brightness_leaves_the_light_of_every_pixel() -> None:
    rng = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, 64, 64), generator=rng).float()
    noise = torch.rand(3, 64, 64, generator=rng) * 2 - 1
    made = without_brightness(noise, image)
    assert float(made.abs().max()) <= 1
    # To the first order: of a hundredth of a step.
    small = 0.01
    moved = (_light(image + small * made) - _light(image)).abs()
    alone = (_light(image + small * noise * torch.tensor([1.0, 0, 1])[:, None, None])
             - _light(image)).abs()  # fmt: skip
    assert float(moved.max()) < 1e-6 and float(alone.mean()) > 50 * float(moved.mean())
    # Red and blue stay as they were to each other, and are whole where green has room.
    torch.testing.assert_close(made[0] * noise[2], made[2] * noise[0])
    assert float(made[1].abs().max()) <= MOST_GREEN + 1e-6
    room = made[1].abs() < MOST_GREEN - 1e-3
    assert torch.equal(made[0][room], noise[0][room]) and 0.5 < float(room.float().mean()) < 1
    assert torch.equal(without_brightness(torch.zeros_like(image), image), torch.zeros_like(image))


def test_noise_without_brightness_gets_gradients_of_red_and_blue() -> None:
    image = torch.full((2, 3, 4, 4), 90.0)
    noise = torch.full((2, 3, 4, 4), 0.5, requires_grad=True)
    without_brightness(noise, image).square().sum().backward()  # type: ignore[no-untyped-call]
    assert noise.grad is not None
    assert noise.grad[:, [0, 2]].abs().min() > 0 and not noise.grad[:, 1].any()
