"""Every condition keeps the bound and is what its name says; defences change stored images only."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unseg.errors import UnsegError
from unseg.evaluate.conditions import BASELINES, Unseg
from unseg.evaluate.conditions.pattern import Pattern
from unseg.evaluate.defences import DEFENCES
from unseg.evaluate.protocol import change_of
from unseg.evaluate.samples import Sample
from unseg.noise import Budget


class Blocks(nn.Module):
    """Stands in for a generator: a sign per channel that follows the mask."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def noise(self, image: Tensor, masks: Tensor, codes=None) -> Tensor:
        assert image.shape[0] == 3 and masks.dtype == torch.bool
        return (masks[:, None].float() * 2 - 1).expand(-1, 3, -1, -1) * self.gain


def sample(name: str = "a", level: int | None = None) -> Sample:
    rng = np.random.default_rng(len(name))
    image = rng.integers(0, 256, (70, 90, 3), dtype=np.uint8)
    if level is not None:
        image[:] = level
    mask = np.zeros((70, 90), dtype=bool)
    mask[20:50, 30:60] = True
    return Sample(name, image, mask)


def moved(condition, one: Sample, seed: int = 0) -> np.ndarray:
    return condition.apply(one, seed).astype(int) - one.image


@pytest.mark.parametrize("budget", [Budget(8, 2), Budget(3.5, 0.9), Budget(0, 0)])
@pytest.mark.parametrize("name", [*BASELINES, "unseg"])
def test_every_condition_keeps_the_bound_after_rounding(name: str, budget: Budget) -> None:
    make = BASELINES.get(name)
    condition = make(budget=budget) if make else Unseg(Blocks(), budget=budget)
    for level in (None, 0, 128, 255):
        one = sample(level=level)
        change = np.abs(moved(condition, one)).max(axis=2)
        assert change[one.mask].max() <= budget.foreground
        assert change[~one.mask].max() <= budget.background


def test_uniform_noise_uses_the_whole_budget_and_differs_between_images() -> None:
    random = BASELINES["random"]()
    change = moved(random, sample(level=128))
    mask = sample().mask
    assert np.abs(change[mask]).max() == 8 and np.abs(change[~mask]).max() == 2
    assert abs(change[mask].mean()) < 0.3, "uniform noise has no constant shift"
    other = moved(random, sample("bb", level=128))
    assert (change != other).mean() > 0.5


def test_pattern_is_one_tile_for_all_images_and_flips_at_the_border() -> None:
    pattern = Pattern(tile=32, block=8)
    one, other = sample(level=128), sample("bb", level=128)
    change = moved(pattern, one)
    np.testing.assert_array_equal(change, moved(pattern, other))
    sign = np.where(one.mask, 1, -1)[..., None]
    tile = np.sign(change) * sign
    np.testing.assert_array_equal(tile[:32, :32], tile[32:64, 32:64])
    assert (np.abs(change[one.mask]) == 8).all() and (np.abs(change[~one.mask]) == 2).all()
    assert (moved(pattern, one, seed=1) != change).any(), "the seed draws the tile"


def test_pattern_refuses_blocks_that_do_not_fit() -> None:
    with pytest.raises(UnsegError, match="block 7 must divide tile 64"):
        Pattern(tile=64, block=7)


def test_seeded_conditions_repeat_exactly() -> None:
    for name in ("random", "pattern"):
        first, again = (moved(BASELINES[name](), sample(), seed=3) for _ in range(2))
        np.testing.assert_array_equal(first, again)
        assert (first != moved(BASELINES[name](), sample(), seed=4)).any()


def test_unseg_is_identified_by_its_weights() -> None:
    same, again, other = Unseg(Blocks()), Unseg(Blocks()), Unseg(Blocks(0.5))
    assert same.settings() == again.settings() != other.settings()
    assert Unseg(Blocks(), identity="mine").settings()["generator_id"] == "mine"


def test_a_source_without_weights_needs_an_identity() -> None:
    class Bare:
        def noise(self, image: Tensor, masks: Tensor, codes=None) -> Tensor:
            return torch.zeros(len(masks), *image.shape)

    with pytest.raises(UnsegError, match="Bare has no weights to identify it by: pass identity="):
        Unseg(Bare())


@pytest.mark.parametrize("label", list(DEFENCES))
def test_defences_keep_size_and_type(label: str) -> None:
    image = sample().image[:, :89]
    out = DEFENCES[label]().stored(image)
    assert out.shape == image.shape and out.dtype == np.uint8
    assert (out == image).all() == (label == "none")


def test_defences_remove_fine_noise_and_keep_flat_colour() -> None:
    flat = sample(level=128)
    noisy = BASELINES["random"](budget=Budget(8, 8)).apply(flat, 0).astype(int)
    for label in ("jpeg75", "resize50"):
        defence = DEFENCES[label]()
        kept = defence.stored(noisy.astype(np.uint8)).astype(int) - 128
        assert kept.std() < 0.75 * (noisy - 128).std(), label
        assert np.abs(defence.stored(flat.image).astype(int) - 128).max() <= 1, label


def test_settings_are_printed() -> None:
    assert repr(DEFENCES["jpeg75"]()) == "Jpeg(quality=75)"
    assert "block=8" in repr(Pattern(tile=32, block=8))


def test_change_is_measured_inside_and_outside() -> None:
    one = sample(level=100)
    after = one.image.copy()
    after[25, 35, 0] += 5
    after[0, 0, 2] -= 3
    change = change_of([one], [Sample("a", after, one.mask)])
    assert (change.inside, change.outside) == (5, 3)
    assert change.mean == pytest.approx(8 / one.image.size)


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(UnsegError, match="the image is 90x70 but its mask is 70x90"):
        Sample("x", sample().image, np.zeros((90, 70), dtype=bool))
