"""Stripes inside the mask: the hand-made frontier that learned noise has to beat."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from unseg.datasets.samples import VOID, Sample
from unseg.errors import UnsegError
from unseg.evaluate.conditions.build import build_condition
from unseg.evaluate.conditions.stripes import StripesInMask
from unseg.evaluate.problem import Problem
from unseg.images.photo import Photo
from unseg.noise import LUMINANCE, Budget

BINARY = Problem("semantic", ("background", "thing"))
STREET = Problem("semantic", tuple("abcdefghijk"))
OBJECTS = Problem("instance", ("person", "dog"), frozenset({0, 1}))


def busy(size: tuple[int, int] = (256, 512), name: str = "a") -> Sample:
    """A photograph full of texture, which hides any noise, with a box in its middle."""
    image = np.random.default_rng(0).integers(20, 236, (*size, 3), dtype=np.uint8)
    mask = np.zeros(size, dtype=bool)
    mask[64:192, 128:384] = True
    return Sample(name, image, mask)


def smooth(name: str = "s") -> Sample:
    one = busy(name=name)
    return replace(one, image=np.full_like(one.image, 120))


def prepared(problem: Problem, **settings: object) -> StripesInMask:
    made = StripesInMask(**settings)  # type: ignore[arg-type]
    made.prepare([], problem, 0)
    return made


def change(made: StripesInMask, one: Sample, problem: Problem = BINARY) -> np.ndarray:
    [after] = made.publish([one], problem, 0)
    return after.image.astype(int) - one.image


def test_waves_fill_the_mask_with_the_whole_bound_and_nothing_is_outside() -> None:
    one = busy()
    moved = change(StripesInMask(hue=(1, -1, 0.5), period=16, visibility="strong"), one)
    assert not moved[~one.mask].any()
    inside = moved[one.mask]
    assert set(np.unique(inside[:, 0])) == {-8, 8} and (inside[:, 0] == -inside[:, 1]).all()
    assert (inside[:, 0] == 2 * inside[:, 2]).all()
    # Level stripes, half of 16/512 of a long side of 512 pixels each.
    rows = moved[64:192, 200, 0]
    assert (moved[64:192, 128:384, 0] == rows[:, None]).all()
    assert set(np.diff(np.flatnonzero(np.diff(rows)))) == {8}


def test_amplitude_is_a_share_of_the_bound() -> None:
    one = busy()
    moved = change(StripesInMask(amplitude=0.5, hue=(0, 0, 1), visibility="strong"), one)
    assert set(np.unique(moved[one.mask][:, 2])) == {-4, 4} and not moved[..., :2].any()


def test_green_keeps_the_brightness_where_it_is_told_to() -> None:
    one = smooth()
    red = StripesInMask(visibility="strong", hue=(1, 0, -1), balanced=True)
    moved = change(red, one)[one.mask]
    assert (moved[:, 0] == -moved[:, 2]).all() and set(np.unique(np.abs(moved[:, 1]))) == {2}
    light = ((one.image[one.mask] + moved) / 255) ** 2.2 @ np.array(LUMINANCE)
    blue = change(StripesInMask(visibility="strong", hue=(0, 0, 1)), one)[one.mask]
    alone = ((one.image[one.mask] + blue) / 255) ** 2.2 @ np.array(LUMINANCE)
    assert np.ptp(light) < 0.6 * np.ptp(alone), "of a channel with a twelfth of the brightness"
    made = build_condition("stripes(hue=1/0/-1,balanced=1)", budget=Budget())
    assert made.settings()["balanced"] is True
    assert "balanced" not in build_condition("stripes", budget=Budget()).settings()


def test_visibility_is_searched_for_as_for_ours() -> None:
    one = smooth()
    sizes = [
        np.abs(change(StripesInMask(visibility=level), one)).sum()  # type: ignore[arg-type]
        for level in ("low", "normal", "strong")
    ]
    assert 0 < sizes[0] <= sizes[1] < sizes[2]
    strong = change(StripesInMask(visibility="strong"), one)
    assert (np.abs(strong[one.mask][:, 2]) == 8).all()


def test_a_photograph_larger_than_models_see_is_protected_too() -> None:
    one = busy((64, 2560))
    one.mask[:] = True
    moved = change(StripesInMask(), one)
    assert moved[..., 2].any() and np.abs(moved).max() <= 8


def test_phases_differ_between_images_and_repeat_for_every_seed() -> None:
    made = StripesInMask(visibility="strong")
    assert (change(made, busy()) != change(made, busy(name="b"))).any()
    np.testing.assert_array_equal(change(made, busy()), change(made, busy()))
    assert not made.seeded, "one published set serves every seed"


def test_every_class_has_a_texture_of_its_own() -> None:
    made = prepared(STREET)
    found = [made.waves(number) for number in range(42)]
    assert len(set(found)) == 42 and found[0] == made.waves(42)
    assert found[0].hue == (-0.6, 0.6, 1) and found[0].period == 12 and found[0].angles == (0.5,)
    assert {one.period for one in found[:9]} == {12}, "the longer period comes last"
    assert len({one.angles for one in found[:7]}) == 7 and len({one.hue for one in found[:21]}) == 3
    assert all(max(map(abs, one.hue)) == pytest.approx(1) for one in found)
    # A wave and its negative are one: no two hues are on one line.
    hues = torch.tensor(list(dict.fromkeys(one.hue for one in found)))
    hues = hues / hues.norm(dim=1, keepdim=True)
    for one, other in itertools.combinations(hues, 2):
        assert abs(one @ other) < 0.97


@pytest.mark.parametrize(
    ("problem", "first"),
    [
        (BINARY, 1), (STREET, 0), (OBJECTS, 1), (Problem("semantic", ("water", "land")), 1),
        (Problem("semantic", ("background", "a", "b")), 1),
        (Problem("panoptic", ("person", "background"), frozenset({0})), 0),
        (Problem("interactive", ("person",)), 1),
    ],
)  # fmt: skip
def test_the_first_class_that_is_protected_has_the_first_texture(
    problem: Problem, first: int
) -> None:
    made = prepared(problem, angle=0.3, period=9)
    assert made.waves(first).angles == pytest.approx((0.3,)) and made.waves(first).period == 9


def test_void_and_background_stay_as_they_are() -> None:
    one = busy()
    labels = np.zeros(one.mask.shape, dtype=np.uint8)
    labels[64:, :256], labels[64:, 256:], labels[200:] = 1, 2, VOID
    mask = (labels > 0) & (labels != VOID)
    moved = change(
        StripesInMask(visibility="strong"),
        replace(one, mask=mask, labels=labels),
        Problem("semantic", ("background", "a", "b")),
    )
    assert not moved[~mask].any() and (np.abs(moved[mask]).max(axis=1) == 8).all()
    # Two classes, two directions: level on the left, upright on the right.
    left, right = moved[64:200, :256, 2], moved[64:200, 256:, 2]
    assert (left == left[:, :1]).all() and (right == right[:1]).all()


def test_grey_files_get_grey_stripes() -> None:
    one = busy()
    grey = one.image[..., 0].copy()
    one = replace(one, image=np.stack([grey] * 3, axis=-1), photo=Photo(grey))
    moved = change(StripesInMask(visibility="strong"), one)
    assert (moved == moved[..., :1]).all() and set(np.unique(moved[one.mask])) == {-8, 8}


def test_names_carry_settings() -> None:
    made = build_condition(
        "stripes(period=10,hue=-0.4/-0.4/1,visibility=strong,amplitude=0.5)", budget=Budget(4, 1)
    )
    assert made.settings() == {
        "amplitude": 0.5, "angle": 0.5, "hue": [-0.4, -0.4, 1.0], "period": 10.0,
        "visibility": "strong", "budget": {"foreground": 4, "background": 1},
    }  # fmt: skip
    assert made.label == "stripes-strong"
    both = build_condition("stripes-low(period=8)[Car]@80", budget=Budget())
    assert both.label == "stripes-low[only Car]@80%"
    assert build_condition("stripes-low", budget=Budget()).settings()["visibility"] == "low"
    # The same settings are the same condition, however they are named.
    plain = build_condition("stripes", budget=Budget()).identity()
    assert build_condition("stripes(visibility=normal)", budget=Budget()).identity() == plain
    assert build_condition("pattern(tile=32,block=8)", budget=Budget()).settings()["tile"] == 32


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("stripes(period)", r"expected settings such as \(period=10,hue=0/0/1\), not period"),
        ("stripes(budget=3)", "expected settings such as"),
        ("stripes(weight=3)", "condition stripes cannot be made with weight=3"),
        ("stripes(period=0)", "period 0 must be above 0"),
        ("stripes(hue=1/2)", "must be three numbers"),
        ("stripes(hue=0/0/0)", "must be three numbers"),
        ("stripes(amplitude=2)", "amplitude 2 must be above 0 and at most 1"),
        ("stripes(visibility=loud)", "visibility loud must be one of low, normal, strong"),
        ("stripes(period=9", "is not a condition"),
        ("clean-only(x=1)@20", "give the share that stays"),
    ],
)
def test_wrong_settings_are_named(name: str, message: str) -> None:
    with pytest.raises(UnsegError, match=message):
        build_condition(name, budget=Budget())
