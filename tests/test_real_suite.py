"""The suites at real resolution: what they ask for, as an owner and a trainer would."""

from __future__ import annotations

from collections import defaultdict

import pytest

from unseg.evaluate.build import build_task, build_victim
from unseg.evaluate.conditions import BASELINES
from unseg.evaluate.conditions.build import build_condition
from unseg.evaluate.defences import DEFENCES
from unseg.evaluate.suites import SUITES, Cell
from unseg.evaluate.suites.real import SCHEDULES

CELLS = SUITES["real"].cells()
PAIRS = {
    ("person", "deeplabv3"), ("person", "tinyvit"), ("instance", "mask2former"),
    ("panoptic", "mask2former"), ("semantic", "efficientnet"), ("semantic", "deeplabv3"),
    ("medical", "unet"), ("medical", "segformer"), ("clicked", "ritm"), ("detection", "rtdetr"),
    ("roads", "unet"), ("roads", "segformer"), ("polyps", "unet"), ("polyps", "segformer"),
    ("lungs", "unet"), ("lungs", "segformer"), ("facades", "efficientnet"),
}  # fmt: skip
MAIN = (("person", "deeplabv3"), ("semantic", "efficientnet"), ("medical", "unet"))


def pair(cell: Cell) -> tuple[str, str]:
    return cell.task, cell.victim.name


def test_every_victim_meets_clean_random_stripes_and_ours_with_three_seeds() -> None:
    seeds = defaultdict(set)
    for cell in CELLS:
        if cell.defence == "none":
            seeds[(*pair(cell), cell.condition)].add(cell.seed)
    assert {pair(cell) for cell in CELLS} == PAIRS
    prompted = {
        "semantic": "unseg-class", "facades": "unseg-class", "panoptic": "unseg-class",
        "instance": "unseg-instance", "medical": "unseg-tint",
    }  # fmt: skip
    for task, victim in PAIRS:
        for condition in ("clean", "random", "stripes", prompted.get(task, "unseg")):
            assert seeds[task, victim, condition] == {0, 1, 2}, (task, victim, condition)


@pytest.mark.parametrize("main", MAIN)
def test_one_victim_meets_all_baselines_and_defences(main: tuple[str, str]) -> None:
    mine = [cell for cell in CELLS if pair(cell) == main]
    assert set(BASELINES) <= {cell.condition for cell in mine}
    assert set(DEFENCES) == {cell.defence for cell in mine if cell.condition.startswith("unseg")}


def test_victims_see_what_the_data_has() -> None:
    for cell in CELLS:
        settings = dict(cell.victim.settings)
        assert settings["size"] >= 256 and settings.get("crop", 256) >= 256, str(cell)
        assert settings["augmentation"].smallest == 0.5 and settings["augmentation"].largest == 2
        assert cell.part == "test"
    assert dict(SCHEDULES["detection"][0].settings)["queries"] >= 25


def test_the_most_telling_runs_come_first() -> None:
    first = CELLS[: 4 * len(PAIRS)]
    assert {pair(cell) for cell in first} == PAIRS and {cell.seed for cell in first} == {0}
    assert {cell.condition for cell in first[:4]} == {"clean", "unseg", "stripes", "random"}


def test_schedules_are_halved_and_doubled_on_the_validation_part() -> None:
    steps = defaultdict(set)
    for cell in SUITES["schedules"].cells():
        assert (cell.part, cell.condition, cell.seed) == ("val", "clean", 0)
        steps[pair(cell)].add(dict(cell.victim.settings)["steps"])
    for task, recipes in SCHEDULES.items():
        for recipe in recipes:
            usual = dict(recipe.settings)["steps"]
            assert steps[task, recipe.name] == {usual // 2, usual, 2 * usual}
    assert set(steps) == PAIRS


def test_the_frontier_is_every_period_and_hue_of_hand_made_waves() -> None:
    cells = SUITES["frontier"].cells()
    pairs = {("person", "deeplabv3"), ("semantic", "deeplabv3"), ("person", "tinyvit")}
    assert {pair(cell) for cell in cells} == pairs
    assert {(cell.part, cell.seed) for cell in cells} == {("val", 0)}
    found = [
        build_condition(cell.condition, budget=cell.budget).settings()
        for cell in cells
        if pair(cell) == ("person", "deeplabv3") and cell.condition != "clean"
    ]
    normal = {(one["period"], tuple(one["hue"])) for one in found if one["visibility"] == "normal"}
    # Every hue at every period, the default, and one that was tried besides.
    assert len(normal) == 12 + 2 and {period for period, _ in normal} == {6, 10, 12, 16}
    assert {one["visibility"] for one in found} == {"low", "normal", "strong"}


def test_a_victims_settings_are_its_own() -> None:
    for task, recipes in SCHEDULES.items():
        for recipe in recipes:
            victim = build_victim(recipe)
            assert build_task(task).problem.kind in victim.kinds
