"""Shares, single classes and the names of conditions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from noise_stub import fill_boxes
from unseg.datasets.samples import VOID, LazySamples, Sample
from unseg.errors import UnsegError
from unseg.evaluate.change import change_of
from unseg.evaluate.conditions import CONDITIONS
from unseg.evaluate.conditions.base import Condition
from unseg.evaluate.conditions.build import build_condition
from unseg.evaluate.conditions.clean import Clean
from unseg.evaluate.conditions.constant import Constant
from unseg.evaluate.conditions.mixed import Mixed, Subset
from unseg.evaluate.conditions.partial import OneClass
from unseg.evaluate.conditions.proposed import Boxed, Proposed
from unseg.evaluate.conditions.uniform import Uniform
from unseg.evaluate.conditions.unseg import fingerprint
from unseg.evaluate.problem import Problem
from unseg.evaluate.results import content_key
from unseg.images.photo import Photo
from unseg.masks.labels import LabelMap
from unseg.masks.sources import Found, MaskSource
from unseg.masks.sources import boxes as box_masks
from unseg.masks.sources.whole import WholeImage
from unseg.models.registry import load_generator
from unseg.noise import Budget

BUDGET = Budget(8, 2)
STREET = Problem("semantic", ("Sky", "Road", "Car"))
BINARY = Problem("semantic", ("background", "thing"))


def street(name: str) -> Sample:
    """Three classes in columns with a void column at the right."""
    labels = np.repeat(np.array([0, 1, 2, VOID], dtype=np.uint8), 5)[None].repeat(12, 0)
    return Sample(name, np.full((12, 20, 3), 120, np.uint8), labels != VOID, labels)


def key(condition: Condition) -> str:
    return content_key({"name": condition.label, **condition.settings()})


TRAIN = [street(f"photo{i:02d}") for i in range(20)]


def protected(published: Sequence[Sample]) -> set[str]:
    return {one.name for one in published if (one.image != 120).any()}


@pytest.mark.parametrize(("share", "count"), [(0, 0), (0.2, 4), (0.95, 19), (1, 20)])
def test_a_mixed_set_protects_its_share_and_keeps_the_rest(share: float, count: int) -> None:
    mixed = Mixed(Uniform(), share)
    published = mixed.publish(TRAIN, STREET, seed=5)
    assert [one.name for one in published] == [one.name for one in TRAIN]
    assert len(protected(published)) == count
    whole = {one.name: one.image for one in Uniform().publish(TRAIN, STREET, seed=5)}
    for one in published:
        expected = whole[one.name] if one.name in protected(published) else 120
        assert (one.image == expected).all()


def test_shares_are_nested_and_the_clean_rest_is_theirs() -> None:
    sets = [protected(Mixed(Constant(), s).publish(TRAIN, STREET, 0)) for s in (0.2, 0.6, 0.8)]
    assert sets[0] < sets[1] < sets[2]
    assert sets[0] != {one.name for one in TRAIN[:4]}, "chosen by a hash, not by order"
    # Whatever the run's seed: otherwise the rest of one run would be protected in another.
    rest = Subset(0.2).publish(TRAIN, STREET, seed=3)
    assert {one.name for one in rest} == {one.name for one in TRAIN} - sets[2]
    assert protected(rest) == set()
    other = Mixed(Constant(), 0.2, draw=1).publish(TRAIN, STREET, 0)
    assert protected(other) != sets[0]


def test_sets_on_disk_stay_there() -> None:
    lazy = LazySamples([one.name for one in TRAIN], TRAIN.__getitem__)
    for condition in (Mixed(Uniform(), 0.4), Subset(0.4), OneClass(Uniform(), "Car")):
        stays = condition.publish(lazy, STREET, 0)
        assert isinstance(stays, LazySamples)
        for one, other in zip(stays, condition.publish(TRAIN, STREET, 0), strict=True):
            assert one.name == other.name
            np.testing.assert_array_equal(one.image, other.image)


def test_a_rest_of_nothing_is_refused() -> None:
    with pytest.raises(UnsegError, match="clean-only@1% leaves none of 20 training images"):
        Subset(0.01).publish(TRAIN, STREET, 0)
    with pytest.raises(UnsegError, match="mixed's share is 80: give 0 to 1"):
        Mixed(Uniform(), 80)


@pytest.mark.parametrize("klass", ["Car", "car", "2", 2])
def test_one_class_is_protected_and_the_truth_stays(klass: str | int) -> None:
    only = OneClass(Uniform(budget=BUDGET), klass)
    published = only.publish(TRAIN, STREET, seed=0)
    change = change_of(TRAIN, published)
    assert change.inside == 8 and change.outside == 0
    for before, after in zip(TRAIN, published, strict=True):
        assert before.labels is not None
        np.testing.assert_array_equal(after.mask, before.labels == 2)
        np.testing.assert_array_equal(after.labels, before.labels)
    assert only.budget == Budget(8, 0)


def test_one_class_of_a_binary_problem_leaves_the_truth() -> None:
    mask = np.zeros((12, 20), dtype=bool)
    mask[:, :8] = True
    one = Sample("a", np.full((12, 20, 3), 120, np.uint8), mask)
    [after] = OneClass(Uniform(), "background").publish([one], BINARY, 0)
    np.testing.assert_array_equal(after.mask, ~mask)
    np.testing.assert_array_equal(after.class_map, mask)
    assert (after.image[mask] == 120).all() and (after.image[~mask] != 120).any()


class Halves(MaskSource):
    """Finds the left half of wide images, and nothing in others."""

    name, summary, nothing = "halves", "the left half", "not wide"

    def find(self, photo: Photo, name: str) -> Found | None:
        width, height = photo.size
        mask = np.zeros((height, width), np.uint8)
        mask[:, : width // 2] = width > height
        return Found(LabelMap(mask))


def test_noise_goes_into_proposed_masks_and_the_truth_stays() -> None:
    mask = np.zeros((12, 20), dtype=bool)
    mask[:, 15:] = True
    grey = np.full((12, 20, 3), 120, np.uint8)
    pair = [Sample("a", grey, mask), Sample("b", grey[:, :12], mask[:, :12])]
    condition = Proposed(Uniform(budget=Budget(8, 0)), [Halves(), WholeImage()])
    wide, square = condition.publish(pair, BINARY, 0)
    assert (wide.image[:, 10:] == 120).all() and (wide.image[:, :10] != 120).any()
    np.testing.assert_array_equal(wide.class_map, mask)
    assert square.mask.all()  # nothing was proposed: the whole image, as unseg protect does
    assert condition.label == "random-proposed" and condition.costly
    change = change_of(pair, [wide, square])
    assert change.inside == 8 and change.outside == 0


def test_noise_goes_into_what_lies_in_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box_masks, "masks_of_boxes", fill_boxes)
    mask = np.zeros((12, 20), dtype=bool)
    mask[2, 3:6] = mask[2:8, 3] = True  # an angle: its box is larger
    mask[9:11, 15:18] = True
    one = Sample("a", np.full((12, 20, 3), 120, np.uint8), mask)
    condition = Boxed(Uniform(budget=Budget(8, 0)), object())  # type: ignore[arg-type]
    [after] = condition.publish([one], BINARY, 0)
    boxes = np.zeros_like(mask)
    boxes[2:8, 3:6] = boxes[9:11, 15:18] = True
    np.testing.assert_array_equal(after.mask, boxes)
    np.testing.assert_array_equal(after.class_map, mask)
    assert (after.image[~boxes] == 120).all() and condition.label == "random-boxes"


def test_one_class_of_instances_takes_their_categories() -> None:
    instances = np.zeros((12, 20), dtype=np.int32)
    instances[:, :4], instances[:, 4:9], instances[:, 9:12] = 1, 2, 3
    one = Sample(
        "a", np.full((12, 20, 3), 120, np.uint8), instances > 0, None, instances,
        np.array([2, 0, 2]),
    )  # fmt: skip
    problem = Problem("instance", STREET.classes, frozenset({0, 1, 2}))
    [after] = OneClass(Uniform(), "Car").publish([one], problem, 0)
    np.testing.assert_array_equal(after.mask, (instances == 1) | (instances == 3))
    assert after.labels is None and after.instances is instances


def test_an_unknown_class_is_refused_with_the_known_ones() -> None:
    for klass in ("Tram", "3", "-1"):
        with pytest.raises(UnsegError, match=f"no class {klass} here: .*below 3 or one of Sky, Ro"):
            OneClass(Uniform(), klass).publish(TRAIN, STREET, 0)


def test_wrappers_are_keyed_by_what_they_wrap() -> None:
    variants = [
        Uniform(), Mixed(Uniform(), 0.8), Mixed(Uniform(), 0.6), Mixed(Uniform(), 0.8, draw=1),
        Mixed(Constant(), 0.8), Mixed(Uniform(budget=Budget(4, 1)), 0.8), OneClass(Uniform(), 1),
        OneClass(Uniform(), 2), OneClass(Mixed(Uniform(), 0.8), 1), Subset(0.8), Subset(0.2),
    ]  # fmt: skip
    assert len({key(one) for one in variants}) == len(variants)
    assert key(Mixed(Uniform(), 0.8)) == key(Mixed(Uniform(), 0.8))
    assert Mixed(Uniform(), 0.8).seeded and not Mixed(Clean(), 0.8).seeded
    assert Mixed(Uniform(), 0.8).settings()["condition"] == {
        "name": "random", "revision": 1, "budget": {"foreground": 8.0, "background": 2.0},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "label", "kind"),
    [
        ("random", "random", Uniform),
        ("random@80", "random@80%", Mixed),
        ("random@12.5", "random@12.5%", Mixed),
        ("clean-only@20", "clean-only@20%", Subset),
        ("random[Car]", "random[only Car]", OneClass),
        ("random[Sign Symbol]@80", "random[only Sign Symbol]@80%", Mixed),
    ],
)
def test_conditions_are_built_by_name(name: str, label: str, kind: type[Condition]) -> None:
    built = build_condition(name, budget=Budget(4, 1))
    assert built.label == label and type(built) is kind
    inner = built.settings().get("condition", built.settings())
    if kind is not Subset:
        assert inner.get("condition", inner)["budget"]["foreground"] == 4


def test_the_generators_targets_have_names() -> None:
    assert {"unseg", "unseg-class", "unseg-instance"} < set(CONDITIONS)
    one, other = (build_condition(f"unseg{end}", budget=BUDGET) for end in ("", "-instance"))
    assert (one.label, other.label) == ("unseg", "unseg-instance")
    assert one.settings()["generator_id"] == other.settings()["generator_id"]
    assert key(one) != key(other)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("clen", "clen is not a condition: choose from clean, random"),
        ("unseg[", r"unseg\[ is not a condition"),
        ("random@", "random@ is not a condition"),
        ("random@-3", "random@-3 is not a condition"),
        ("random@101", "random@101: expected a share of 0 to 100 per cent"),
        ("clean-only", "clean-only: give the share that stays, such as clean-only@20"),
        ("clean-only[Car]@20", "give the share that stays"),
    ],
)
def test_wrong_names_say_the_grammar(name: str, message: str) -> None:
    with pytest.raises(UnsegError, match=message):
        build_condition(name, budget=BUDGET)


def test_a_generator_is_known_by_what_it_learned_and_its_settings() -> None:
    generator = load_generator()
    known = fingerprint(generator)
    # The base ships partly in half precision, and results were made with it in full.
    attention = generator.base.mask_decoder.transformer.layers[0].self_attn.q_proj.weight
    with torch.no_grad():
        attention.mul_(1 + 1e-5)
        assert fingerprint(generator) == known
        attention.mul_(1.1)
        assert fingerprint(generator) != known
    generator = load_generator()
    generator.config = replace(generator.config, codebook=(9.0, 5.0))
    assert fingerprint(generator) != known
    generator = load_generator()
    with torch.no_grad():
        generator.noise_tokens.weight[0, 0] += 1e-6
    assert fingerprint(generator) != known
