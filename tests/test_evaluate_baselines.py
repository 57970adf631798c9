"""Every condition keeps the bound and is what its name says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unseg.datasets.samples import VOID, Sample
from unseg.errors import UnsegError
from unseg.evaluate.change import change_of
from unseg.evaluate.conditions import BASELINES, CONDITIONS, STRIPES
from unseg.evaluate.conditions.ar import Autoregressive
from unseg.evaluate.conditions.base import Condition
from unseg.evaluate.conditions.classwise import NOTHING, number_map
from unseg.evaluate.conditions.em import ErrorMinimising, descend, loss_of, make_pool
from unseg.evaluate.conditions.lsp import LinearlySeparable
from unseg.evaluate.conditions.pattern import Pattern
from unseg.evaluate.conditions.texture import Texture
from unseg.evaluate.conditions.unseg import Unseg
from unseg.evaluate.problem import Problem
from unseg.noise import Budget


class Blocks(nn.Module):
    """Stands in for a generator: a sign per channel that follows the mask."""

    model_id, sha256 = "blocks", "0" * 64

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


BINARY = Problem("semantic", ("background", "thing"))
STREET = Problem("semantic", tuple("abcdefghijk"))
QUICK_EM = {"side": 16, "rounds": 1, "fit": 1, "moves": 1, "batch_size": 2, "width": 4}


def street(name: str = "s", level: int | None = None) -> Sample:
    """Eleven classes in columns, a void frame, everything but void protected."""
    plain = sample(name, level)
    labels = np.broadcast_to(np.arange(90) * 11 // 90, (70, 90)).astype(np.uint8)
    labels[:4] = labels[:, :3] = VOID
    return Sample(name, plain.image, labels != VOID, labels)


def condition_of(name: str, budget: Budget) -> Condition:
    if name == "unseg":
        return Unseg(Blocks(), budget=budget)
    quick = {"em": QUICK_EM, "ar": {"side": 32, "window": 8}}.get(name, {})
    return CONDITIONS.build(name, budget=budget, **quick)


@pytest.mark.parametrize("budget", [Budget(8, 2), Budget(3.5, 0.9), Budget(0, 0)])
@pytest.mark.parametrize("name", [*BASELINES, *STRIPES, "unseg"])
def test_every_condition_keeps_the_bound_after_rounding(name: str, budget: Budget) -> None:
    condition = condition_of(name, budget)
    levels = {"a": None, "bb": 0, "ccc": 128, "dddd": 255}
    empty = Sample("e" * 5, sample().image, np.zeros((70, 90), dtype=bool))
    for problem, set_ in (
        (BINARY, [*(sample(*pair) for pair in levels.items()), empty]),
        (STREET, [street(*pair) for pair in levels.items()]),
    ):
        published = condition.publish(set_, problem, seed=0)
        assert [one.name for one in published] == [one.name for one in set_]
        change = change_of(set_, published)
        assert change.inside <= budget.foreground and change.outside <= budget.background
        assert (change.inside > 0) == (budget.foreground > 0 and name != "clean")


def test_uniform_noise_uses_the_whole_budget_and_differs_between_images() -> None:
    random = CONDITIONS.build("random")
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
    for name in set(BASELINES) - {"clean", "em"}:

        def image(seed: int, name: str = name) -> np.ndarray:
            return condition_of(name, Budget()).publish([street()], STREET, seed)[0].image

        np.testing.assert_array_equal(image(3), image(3))
        assert any((image(3) != image(seed)).any() for seed in (4, 5, 6)), name


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


def test_settings_are_printed() -> None:
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


def test_gaussian_noise_is_normal_and_clipped() -> None:
    change = moved(CONDITIONS.build("gaussian"), sample(level=128))[sample().mask]
    assert np.abs(change).max() == 8 and abs(change.mean()) < 0.3
    assert 3.4 < change.std() < 4.1, "half the bound, less what was clipped"


def test_a_constant_shift_is_one_colour_for_all_images() -> None:
    constant = CONDITIONS.build("constant")
    change, other = moved(constant, sample(level=128)), moved(constant, sample("bb", level=128))
    assert len(np.unique(change[sample().mask], axis=0)) == 1
    np.testing.assert_array_equal(change, other)
    assert set(np.abs(change).ravel().tolist()) == {2, 8}


def test_classes_come_from_labels_categories_or_regions() -> None:
    one = sample()
    np.testing.assert_array_equal(number_map(one), one.mask)
    labels = street().labels
    assert labels is not None
    expected = np.where(labels == VOID, NOTHING, labels.astype(int))
    np.testing.assert_array_equal(number_map(street()), expected)
    instances = np.zeros((70, 90), dtype=np.int32)
    instances[:, 30:60], instances[:, 60:] = 1, 2
    objects = Sample("o", one.image, instances > 0, None, instances, np.array([4, 2]))
    assert number_map(objects)[0, ::30].tolist() == [0, 5, 3]
    regions = Sample("r", one.image, instances > 0, None, instances, np.array([0, 0]))
    assert number_map(regions, "interactive")[0, ::30].tolist() == [0, 1, 2]


def prepared(condition: Condition, problem: Problem, seed: int = 0) -> Condition:
    condition.prepare([], problem, seed)
    return condition


def field(condition, number: int, size: tuple[int, int] = (60, 80), draw: int = 0) -> Tensor:
    return condition.field(number, size, torch.Generator().manual_seed(draw))


def test_lsp_patches_are_linearly_separable_and_fixed_to_positions() -> None:
    lsp = prepared(LinearlySeparable(blocks=4, spread=0.3), STREET)
    points = torch.stack([
        lsp.patch(number, torch.Generator().manual_seed(draw)).flatten()
        for draw in range(20) for number in range(11)
    ])  # fmt: skip
    truth = torch.eye(11).repeat(20, 1)
    weights = torch.linalg.lstsq(points[:110], truth[:110]).solution
    found = (points[110:] @ weights).argmax(dim=1)
    assert (found == truth[110:].argmax(dim=1)).all(), "a linear model tells unseen points apart"
    made = field(lsp, 3)
    assert made.shape == (3, 60, 80)
    assert (made[:, :15, :20] == made[:, :1, :1]).all(), "blocks of one colour"
    assert (made - field(lsp, 3, draw=1)).abs().mean() < 0.5, "one vertex for all images"
    assert (made - field(lsp, 4)).abs().mean() > 0.7


def spectrum(made: Tensor) -> Tensor:
    return torch.fft.rfft2(made).abs() / made[0].numel()


def test_textures_say_the_class_at_every_place() -> None:
    texture = prepared(Texture(), STREET)
    combinations = {texture.stripes(number) for number in range(72)}
    assert len(combinations) == 72, "one combination of 3 periods, 4 angles and 6 signs a class"
    assert len({(s.period, s.angle) for s in combinations}) == 12
    for number in range(11):
        # Moved by a phase drawn for every image, the same texture: sizes of its waves stay.
        first, other = (field(texture, number, (512, 512), draw) for draw in (0, 1))
        assert (first != other).any()
        assert (spectrum(first) - spectrum(other)).norm() < 0.35 * spectrum(first).norm()
        period, angle, _ = texture.stripes(number)
        if angle in (0.0, 0.5):  # 512 pixels wide, so the period is in pixels
            axis, rest = (2 if angle == 0.0 else 1), 512 - int(period)
            shifted = first.narrow(axis, int(period), rest)
            assert torch.equal(first.narrow(axis, 0, rest), shifted)


def test_textures_of_a_binary_problem_are_level_inside_and_upright_outside() -> None:
    texture = prepared(Texture(), BINARY)
    inside, outside = field(texture, 1, (512, 400)), field(texture, 0, (512, 400))
    assert (inside == inside[:, :, :1]).all() and (outside == outside[:, :1]).all()
    for made in (inside, outside):
        assert (made[0] == -made[1]).all() and (made[0] == made[2]).all(), "magenta and green"
    changes = (inside[0, 1:, 0] != inside[0, :-1, 0]).nonzero().flatten()
    assert set(changes.diff().tolist()) == {10}, "half of 20/512 of the long side"


def test_autoregressive_noise_satisfies_its_recurrence() -> None:
    ar = prepared(Autoregressive(side=64, window=16), STREET)
    made = field(ar, 2, (64, 64)).double().numpy()
    assert np.abs(made).max() == 1
    for channel in range(3):
        weights = ar.coefficients(2, channel)
        other = ar.coefficients(3, channel)
        window = made[channel, 16:32, 32:48]

        def answer(w: np.ndarray, x: np.ndarray = window) -> np.ndarray:
            places = ((a, b) for a in range(3) for b in range(3))
            return np.abs(sum(w[a, b] * x[a : 14 + a, b : 14 + b] for a, b in places) - x[2:, 2:])

        assert answer(weights).max() < 1e-5 < 0.05 < answer(other).mean()


def test_error_minimising_noise_lowers_its_surrogates_loss() -> None:
    em = ErrorMinimising(side=16, rounds=3, fit=10, moves=5, batch_size=4, width=4)
    set_ = [sample("a" * i) for i in range(1, 7)]
    pool = make_pool(set_, BINARY, em.budget, 16)
    network = em.surrogate(2, seed=0)
    noise = em.optimise(network, pool, torch.Generator().manual_seed(0))
    noisy = pool.images + noise * pool.amplitude
    with torch.no_grad():
        before = loss_of(network, pool.images, pool.targets)
        assert loss_of(network, noisy, pool.targets) < 0.9 * before
    # A single descent against a fixed surrogate falls, too, and stays inside the bound.
    everything = torch.arange(6)
    again = descend(network, pool, torch.zeros_like(noise), everything, steps=3, step=0.2)
    assert again.abs().max() <= 0.6 + 1e-6
    with torch.no_grad():
        assert loss_of(network, pool.images + again * pool.amplitude, pool.targets) < before


def test_error_minimising_noise_belongs_to_its_image() -> None:
    em = ErrorMinimising(**QUICK_EM)
    set_ = [street("a"), street("bb")]
    first, second = (one.image for one in em.publish(set_, STREET, 0))
    assert ((first != set_[0].image).mean() > 0.5) and first.shape == second.shape
    with pytest.raises(RuntimeError, match="em has no noise for c: call prepare first"):
        em.apply(street("c"), 0)
