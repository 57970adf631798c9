"""Clicks, and the victims that answer with prompts, at tiny random size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from unseg.datasets.samples import Sample
from unseg.errors import UnsegError
from unseg.evaluate.clicks import boundary, boundary_iou, centre, core, iou, next_click
from unseg.evaluate.defences.base import Defence
from unseg.evaluate.problem import Instances, Problem
from unseg.evaluate.tasks.clicked import ClickedTask
from unseg.evaluate.tasks.interactive import InteractiveTask, targets_of
from unseg.evaluate.victims import rsprompter, sam, sam_hq
from unseg.evaluate.victims.base import InteractiveVictim, Training
from unseg.evaluate.victims.clicking import PADDING
from unseg.evaluate.victims.objects import Objects
from unseg.evaluate.victims.prompter import match
from unseg.evaluate.victims.ritm import RitmNetwork, RitmVictim, disks
from unseg.evaluate.victims.rsprompter import RSPrompterVictim, pieces
from unseg.evaluate.victims.sam import SamVictim
from unseg.evaluate.victims.sam_hq import SamHqVictim
from unseg.evaluate.victims.training import TrainedVictim
from unseg.models.prompts import Prompts
from unseg.models.sam.base import Architecture, SamBase
from unseg.models.sam.tinyvit import TinyVitConfig

TINY = Architecture("mobile_sam", TinyVitConfig((8, 16, 16, 16), (1, 1, 1, 1), (1, 1, 1, 1)))
CPU = Training(seed=0)
CLICKS = InteractiveTask.problem


def box(shape: tuple[int, int], top: int, left: int, bottom: int, right: int) -> Any:
    mask = np.zeros(shape, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


# Clicks and figures, worked out by hand.


def test_the_first_click_lies_deepest_and_away_from_the_edge_of_the_image() -> None:
    wide = box((20, 30), 0, 0, 9, 9) | box((20, 30), 4, 9, 5, 30)  # a square with a long tail
    assert centre(wide) == (4, 4)
    # Depths are 1 to 5; half of the deepest is 2.5, which leaves the middle 5 x 5.
    assert core(wide).sum() == 25


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (box((14, 14), 0, 0, 0, 0), (5, 5, 1)),  # nothing found: the object's centre
        (box((14, 14), 3, 3, 8, 13), (10, 5, 0)),  # 5 x 5 too much on the right
        (box((14, 14), 3, 3, 8, 8), None),  # perfect
    ],
)
def test_the_next_click_corrects_the_largest_wrong_piece(found: Any, expected: Any) -> None:
    truth = box((14, 14), 3, 3, 8, 8)
    click = next_click(found, truth)
    if expected is None:
        assert click is None
    else:
        assert click is not None
        assert click == expected


def test_a_small_miss_comes_after_a_large_surplus() -> None:
    truth = box((20, 20), 0, 0, 4, 4) | box((20, 20), 10, 10, 12, 12)
    found = box((20, 20), 0, 0, 4, 10)  # lacks 2 x 2, has 4 x 6 too much
    click = next_click(found, truth)
    assert click is not None and click[2] == 0 and 4 <= click[0] < 10


def test_iou_and_boundary_iou_by_hand() -> None:
    truth, found = box((40, 30), 10, 10, 20, 20), box((40, 30), 10, 12, 20, 22)
    assert iou(found, truth) == pytest.approx(80 / 120)
    # The diagonal is 50, two hundredths of it one pixel: rings of 36 pixels. They share the
    # stretches of 8 in the two horizontal sides, and no vertical side.
    assert boundary(truth).sum() == 36
    assert boundary_iou(found, truth) == pytest.approx(16 / 56)
    nothing = np.zeros_like(truth)
    assert boundary_iou(nothing, nothing) == iou(nothing, nothing) == 1


def test_the_edge_of_the_image_is_a_boundary() -> None:
    assert boundary(np.ones((40, 30), bool)).sum() == 2 * 40 + 2 * 28


# The task.


def regions(name: str = "a", shape: tuple[int, int] = (48, 64)) -> Sample:
    """Four regions of plain colours: left half, two on the right, one of a few pixels."""
    index = np.ones(shape, np.int32)
    index[:, shape[1] // 2 :] = 2
    index[shape[0] // 2 :, shape[1] // 2 :] = 3
    index[:2, :2] = 4
    colours = np.array([[0] * 3, [200, 40, 40], [40, 200, 40], [40, 40, 200], [0] * 3], np.uint8)
    return Sample(
        name, colours[index], np.ones(shape, bool), instances=index, categories=np.zeros(4, int)
    )


def test_targets_are_the_largest_pieces_of_fitting_size() -> None:
    found = targets_of(regions())
    assert [int(piece.sum()) for piece in found] == [48 * 32 - 4, 24 * 32, 24 * 32]
    halves = np.ones((40, 40), np.int32)
    halves[10:12] = 2  # 5 %, and it cuts region 1 into 25 % and 70 %, of which 70 % are too much
    sample = Sample("b", np.zeros((40, 40, 3), np.uint8), np.ones((40, 40), bool), instances=halves)
    assert [int(piece.sum()) for piece in targets_of(sample)] == [80]


class Oracle(InteractiveVictim):
    """Answers a click with everything inside a distance of the clicks on the object."""

    name = "oracle"

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def fit(self, samples: Any, problem: Problem, training: Training) -> list[float]:
        return []

    def click(self, image: Any, points: Tensor, labels: Tensor) -> Tensor:
        self.asked.append(labels.tolist())
        rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
        found = np.zeros(image.shape[:2], bool)
        for (x, y), label in zip(points.tolist(), labels.tolist(), strict=True):
            near = (np.abs(rows - y) <= 12) & (np.abs(columns - x) <= 16)
            found = found | near if label else found & ~near
        return torch.from_numpy(found)


def test_a_conversation_adds_clicks_and_scores_first_and_last() -> None:
    victim, task = Oracle(), InteractiveTask()
    scores = task.test(victim, [regions()])
    assert scores["targets"] == 3
    assert len(victim.asked) == 9 and [len(labels) for labels in victim.asked[:3]] == [1, 2, 3]
    # The left half is 32 wide and 48 high: one click finds 25 of its rows, a second the rest.
    assert 0.4 < scores["iou1"] < scores["iou3"] <= 1
    shown = task.show(victim, regions())
    assert isinstance(shown, Instances) and shown.masks is not None
    assert shown.masks.shape == (3, 48, 64)


def test_the_task_reads_its_folders_and_val_leaves_the_test_part_alone(tmp_path: Path) -> None:
    sample = regions()
    assert sample.instances is not None
    for folder, count in (("corpus/bsds500", 6), ("interactive/bsds500-val", 2)):
        for kind in ("im", "gt"):
            (tmp_path / folder / kind).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(sample.image).save(tmp_path / folder / "im" / f"{i}.jpg")
            label = Image.fromarray(sample.instances.astype(np.uint8))
            label.save(tmp_path / folder / "gt" / f"{i}.png")
    split = InteractiveTask().load(tmp_path)
    assert (len(split.train), len(split.test)) == (6, 2)
    first = split.train[0]
    assert first.mask.all() and first.categories is not None and len(first.categories) == 4
    (tmp_path / "interactive").rename(tmp_path / "gone")
    val = InteractiveTask().load(tmp_path, "val")
    assert [s.name for s in val.test] == ["0", "5"] and len(val.train) == 4
    with pytest.raises(UnsegError, match="must be the folder that holds corpus/bsds500"):
        InteractiveTask().load(tmp_path)


def test_clicked_people_are_those_of_the_instance_task(data_dir: Path) -> None:
    task = ClickedTask()
    split = task.load(data_dir / "pennfudan")
    assert (len(split.train), len(split.test)) == (136, 34)
    sample = split.test[0]
    assert sample.instances is not None
    assert (sample.mask == (sample.instances > 0)).all() and not sample.mask.all()
    for target in task.targets(sample):
        assert sample.mask[target].all()


# Victims.


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random base of the shipped one's kind, the same at every call."""

    def base(size: int) -> SamBase:
        state = torch.random.get_rng_state()
        torch.manual_seed(7)
        made = SamBase(TINY, size).requires_grad_(False).eval()
        torch.random.set_rng_state(state)
        return made

    for module in (sam, sam_hq, rsprompter):
        monkeypatch.setattr(module, "shipped_base", base)


def small_ritm(**settings: Any) -> RitmVictim:
    chosen = {"size": 64, "steps": 1, "batch_size": 2, "width": 8, "learning_rate": 1e-2} | settings
    return RitmVictim(pretrained=False, backbone="mobilenetv2", **chosen)


CLICKED: dict[str, Callable[..., Any]] = {
    "sam": SamVictim,
    "sam-scratch": lambda **settings: SamVictim(decoder="scratch", **settings),
    "sam_hq": SamHqVictim,
    "ritm": small_ritm,
}


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("kind", CLICKED)
def test_a_clicked_victim_learns_and_answers_at_the_photographs_size(kind: str) -> None:
    victim = CLICKED[kind](size=64, steps=2, batch_size=2)
    with pytest.raises(RuntimeError, match="call fit first"):
        victim.click(regions().image, torch.tensor([[3.0, 3.0]]), torch.tensor([1]))
    losses = victim.fit([regions("a"), regions("b")], CLICKS, CPU)
    assert len(losses) == 2 and np.isfinite(losses).all()
    image = regions().image
    one = victim.click(image, torch.tensor([[10.0, 20.0]]), torch.tensor([1]))
    assert one.shape == (48, 64) and one.dtype == torch.bool
    points, labels = torch.tensor([[10.0, 20.0], [50.0, 9.0]]), torch.tensor([1, 0])
    two = victim.click(image, points, labels)
    # A copy of the image is another image, of which nothing is remembered.
    assert torch.equal(victim.click(image.copy(), points, labels), two)
    assert torch.equal(victim.click(image, points[:1], labels[:1]), one)


@pytest.mark.usefixtures("tiny")
def test_training_changes_only_what_is_trained() -> None:
    def changed(victim: TrainedVictim) -> tuple[set[str], set[str]]:
        before: dict[str, Tensor] = {}
        build = victim.build

        def remember(problem: Problem) -> Any:
            network = build(problem)
            before.update({k: v.clone() for k, v in network.state_dict().items()})
            return network

        victim.build = remember  # type: ignore[method-assign]
        victim.fit([regions()], CLICKS, CPU)
        after = victim.network.state_dict()
        moved = {k for k in before if not torch.equal(before[k], after[k])}
        return moved, set(before)

    moved, every = changed(SamVictim(size=64, steps=1, batch_size=2, boxes=0.0))
    assert moved and all("encoder.mask_embed" in n or "decoder" in n or "embed" in n for n in moved)
    assert not any(n.startswith("base.encoder.") or "positional_embedding" in n for n in moved)
    moved, every = changed(SamHqVictim(size=64, steps=1, batch_size=2))
    news = {n for n in every if "hq_" in n or "compress_vit" in n or ".mask_conv" in n
            or ".mask_norm" in n or "encoder_conv" in n or "encoder_norm" in n}  # fmt: skip
    assert moved and moved <= {n for n in news if n.startswith("decoder.")}


@pytest.mark.usefixtures("tiny")
def test_the_seed_decides_everything() -> None:
    def fitted(seed: int) -> list[float]:
        victim = SamVictim(size=64, steps=2, batch_size=2, decoder="scratch")
        return victim.fit([regions()], CLICKS, Training(seed=seed))

    assert fitted(1) == fitted(1) != fitted(2)


def test_clicks_are_drawn_as_disks_by_their_label() -> None:
    points = torch.tensor([[[[10.0, 20.0], [30.0, 5.0], [0.0, 0.0]]]])
    maps = disks(Prompts(points, torch.tensor([[[1.0, 0.0, PADDING]]])), 40)
    assert maps.shape == (1, 2, 40, 40)
    # 81 whole pixels lie within five of a pixel.
    assert maps.sum((2, 3)).tolist() == [[81, 81]]
    assert maps[0, 0, 20, 10] == maps[0, 1, 5, 30] == 1 and maps[0, :, 0, 0].sum() == 0


def test_clicks_reach_every_level_of_the_pyramid_even_past_the_backbone() -> None:
    network = small_ritm().build(CLICKS)
    assert isinstance(network, RitmNetwork)
    torch.nn.init.zeros_(network.mix[-1].weight)
    view = network.eval().look(torch.zeros(2, 3, 64, 64))
    places = torch.tensor([[10.0, 20.0], [40.0, 50.0]])[:, None, None]
    logits = network(view, Prompts(places, torch.ones(2, 1, 1)))
    assert not torch.allclose(logits[0], logits[1])
    logits.square().sum().backward()
    for late in network.late:
        assert all(p.grad is not None and bool(p.grad.any()) for p in late.parameters())


def test_a_region_in_pieces_is_trained_on_by_its_largest() -> None:
    masks = torch.zeros(1, 64, 64)
    masks[0, 2:6, 2:6] = masks[0, 30:60, 30:60] = 1
    objects = Objects(torch.zeros(1).long(), torch.zeros(1, 4), masks)
    found = small_ritm()._object(objects, np.random.default_rng(0))
    assert found.sum() == 900 and found[2:6, 2:6].sum() == 0


class Blur(Defence):
    name = "blur"
    summary = "changes batches"

    def batch(self, images: Tensor, targets: Tensor, rng: torch.Generator) -> Any:
        return images / 2, targets


@pytest.mark.usefixtures("tiny")
def test_a_defence_that_never_runs_is_refused() -> None:
    training = Training(seed=0, defence=Blur())
    with pytest.raises(UnsegError, match="the defence blur changes batches of pixels"):
        SamVictim(size=64, steps=1, batch_size=2).fit([regions()], CLICKS, training)
    plain, dark = small_ritm(), small_ritm()
    assert plain.fit([regions()], CLICKS, CPU) != dark.fit([regions()], CLICKS, training)


def test_other_problems_and_samples_are_refused() -> None:
    with pytest.raises(UnsegError, match="does not do semantic problems"):
        small_ritm().fit([regions()], Problem("semantic", ("a", "b")), CPU)
    with pytest.raises(UnsegError, match="expected pretrained or scratch"):
        SamVictim(decoder="half")  # type: ignore[arg-type]
    with pytest.raises(UnsegError, match="semantic problems with one foreground class"):
        RSPrompterVictim().fit([regions()], Problem("semantic", ("a", "b", "c")), CPU)


# RSPrompter.


def objects_sample(name: str = "a") -> Sample:
    mask = box((48, 64), 6, 6, 26, 26) | box((48, 64), 30, 36, 46, 60)
    index = box((48, 64), 6, 6, 26, 26) + 2 * box((48, 64), 30, 36, 46, 60).astype(np.int32)
    image = np.where(mask[..., None], 220, 30).astype(np.uint8).repeat(3, axis=2)
    return Sample(
        name, image, mask, instances=index.astype(np.int32), categories=np.zeros(2, np.int64)
    )


THING = frozenset({0})
ASKED = {
    "semantic": Problem("semantic", ("background", "thing")),
    "instance": Problem("instance", ("thing",), THING),
    "detection": Problem("detection", ("thing",), THING),
}


def prompter(**settings: Any) -> RSPrompterVictim:
    return RSPrompterVictim(
        **{"size": 64, "looks": 4, "steps": 2, "batch_size": 2, "width": 16} | settings
    )


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("kind", ASKED)
def test_the_prompter_answers_every_kind(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = prompter(confident=0.0)
    losses = victim.fit([objects_sample("a"), objects_sample("b")], ASKED[kind], CPU)
    assert len(losses) == 2 and np.isfinite(losses).all()
    # Random proposals score below what counts, so let all of them count.
    kept = rsprompter.best
    monkeypatch.setattr(rsprompter, "best", lambda proposals, least: kept(proposals, 0.0))
    answer = victim.predict(objects_sample().image)
    if kind == "semantic":
        assert isinstance(answer, Tensor)
        assert answer.shape == (48, 64) and answer.dtype == torch.int64
        return
    assert isinstance(answer, Instances)
    count = len(answer.scores)
    assert 0 < count <= 100 and answer.boxes.shape == (count, 4)
    assert (answer.boxes >= 0).all() and (answer.boxes <= torch.tensor([64.0, 48, 64, 48])).all()
    assert (answer.scores.diff() <= 0).all()
    if kind == "detection":
        assert answer.masks is None
    else:
        assert answer.masks is not None and answer.masks.shape == (count, 48, 64)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("kind", ["instance", "detection"])
def test_the_prompters_encoder_stays_frozen(kind: str) -> None:
    victim = prompter(steps=2)
    victim.fit([objects_sample()], ASKED[kind], CPU)
    fresh = rsprompter.shipped_base(64).state_dict()
    base: Any = victim.network.base
    moved = {k for k, v in base.state_dict().items() if not torch.equal(v, fresh[k])}
    assert all(name.startswith("mask_decoder.") for name in moved)
    assert bool(moved) == (kind == "instance")


def test_objects_are_matched_to_the_proposals_that_fit() -> None:
    centres = torch.tensor([[8.0, 8], [24, 8], [8, 24], [24, 24]])
    boxes = torch.cat([centres - 6, centres + 6], dim=1)
    truth = Objects(torch.tensor([0, 1]), torch.tensor([[24 / 32, 24 / 32, 0.4, 0.4],
                                                        [8 / 32, 8 / 32, 0.4, 0.4]]))  # fmt: skip
    cells, wanted = match(torch.zeros(4, 2), boxes, centres, truth, 1, 32)
    assert dict(zip(cells.tolist(), wanted.tolist(), strict=True)) == {0: 1, 3: 0}
    # Two copies each: every proposal learns; none is matched twice.
    cells, wanted = match(torch.zeros(4, 2), boxes, centres, truth, 2, 32)
    assert sorted(cells.tolist()) == [0, 1, 2, 3] and sorted(wanted.tolist()) == [0, 0, 1, 1]
    nothing = Objects(torch.empty(0, dtype=torch.int64), torch.empty(0, 4))
    assert len(match(torch.zeros(4, 2), boxes, centres, nothing, 1, 32)[0]) == 0


def test_the_pieces_of_a_foreground_are_its_objects() -> None:
    sample = pieces(Sample("a", objects_sample().image, objects_sample().mask))
    assert sample.instances is not None and sample.categories is not None
    assert len(sample.categories) == 2
    assert sorted((sample.instances == i).sum() for i in (1, 2)) == [16 * 24, 400]
    speck = box((48, 64), 5, 5, 6, 6)  # one of 3072 pixels is too few
    assert pieces(Sample("b", objects_sample().image, speck)).instances.max() == 0  # type: ignore[union-attr]
