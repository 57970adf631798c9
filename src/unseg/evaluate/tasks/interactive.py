"""Objects that a user clicks on: regions of BSDS500."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from unseg.datasets.samples import Sample, Split, box_around
from unseg.errors import UnsegError
from unseg.evaluate.clicks import (
    Mask,
    boundary_iou,
    centre,
    iou,
    largest_component,
    next_click,
)
from unseg.evaluate.problem import Instances, Prediction, Problem
from unseg.evaluate.tasks.base import Part, Task, hold_out
from unseg.evaluate.victims.base import InteractiveVictim
from unseg.masks.labels import read_label_map
from unseg.provenance import sha256_files

if TYPE_CHECKING:
    from unseg.evaluate.victims import Victim

CLICKS = 3
"""Clicks a target; the figures are taken after the first and after the last."""
TARGETS = 3
"""Most targets an image."""


class InteractiveTask(Task):
    """Mean IoU and boundary IoU of clicked regions after one and three clicks.

    Every pixel belongs to a region, so the whole image is the protected foreground; prompts per
    region are what tells them apart (``Unseg(target="instance")``).

    The targets of a test image are the largest connected pieces of its largest regions, if they
    cover 1 to 60 % of it. The first click is at the target's centre, each further one at the centre
    of the largest wrong piece (the protocol of e.g. Sofiiuk et al., arXiv 2102.06583).
    """

    name = "interactive"
    folder = ""
    problem = Problem("interactive", ("region",), frozenset({0}))
    metric = "iou3"
    floor = 0.70
    summary = "clicked regions, corpus/bsds500 to train and interactive/bsds500-val to test on"

    def load(self, root: Path, part: Part = "test") -> Split:
        train, files = _read(root / "corpus" / "bsds500")
        if part == "val":
            train, test = hold_out(tuple(train))
        else:
            test, test_files = _read(root / "interactive" / "bsds500-val")
            files += test_files
        return Split(tuple(train), tuple(test), sha256_files(files))

    def targets(self, sample: Sample) -> list[Mask]:
        """The objects of a test image that are clicked on, (H, W) bool each."""
        return targets_of(sample)

    def test(self, victim: Victim, samples: Sequence[Sample]) -> dict[str, float]:
        rows = [
            [[iou(found, target), boundary_iou(found, target)] for found in answers]
            for sample in samples
            for target, answers in _conversations(victim, sample, self.targets(sample))
        ]
        if not rows:
            raise UnsegError("no test image has a region that covers 1 to 60 % of it")
        first, *_, last = np.mean(rows, axis=0)
        return {
            "iou1": float(first[0]), "biou1": float(first[1]),
            "iou3": float(last[0]), "biou3": float(last[1]),
            "targets": float(len(rows)),
        }  # fmt: skip

    def show(self, victim: Victim, sample: Sample) -> Prediction:
        talks = _conversations(victim, sample, self.targets(sample))
        masks = [answers[-1] for _, answers in talks]
        stack = torch.from_numpy(np.stack([*masks, np.zeros(sample.mask.shape, bool)]))[:-1]
        boxes = np.array([box_around(mask) for mask in masks], np.float32).reshape(-1, 4)
        number = len(masks)
        return Instances(
            torch.from_numpy(boxes), torch.ones(number), torch.zeros(number).long(), stack
        )

    def score(self, pairs: Iterable[tuple[Prediction, Sample]]) -> dict[str, float]:
        raise TypeError("clicks are scored while the victim answers them: call test")


def targets_of(
    sample: Sample, most: int = TARGETS, smallest: float = 0.01, largest: float = 0.60
) -> list[Mask]:
    """What is clicked in an image: the largest piece of every region, largest first.

    Args:
        sample: with ``instances``.
        most: targets at most.
        smallest: least share of the image that a target covers.
        largest: greatest share.
    """
    assert sample.instances is not None
    pieces = [largest_component(sample.instances == i) for i in np.unique(sample.instances) if i]
    fitting = [piece for piece in pieces if smallest <= piece.mean() <= largest]
    return sorted(fitting, key=lambda piece: -int(piece.sum()))[:most]


def _conversations(
    victim: Victim, sample: Sample, targets: Sequence[Mask]
) -> Iterator[tuple[Mask, list[Mask]]]:
    """Every target with the victim's mask after every click; a perfect mask stays."""
    if not isinstance(victim, InteractiveVictim):
        raise UnsegError(f"{victim.name} does not take clicks: choose an interactive victim")
    for target in targets:
        click: tuple[int, int, int] | None = (*centre(target), 1)
        clicks: list[tuple[int, int, int]] = []
        answers: list[Mask] = []
        while len(answers) < CLICKS:
            if click is not None:
                clicks.append(click)
                table = torch.tensor(clicks)
                found = victim.click(sample.image, table[:, :2].float(), table[:, 2]).cpu().numpy()
            answers.append(found)
            click = next_click(found, target)
        yield target, answers


def _read(root: Path) -> tuple[list[Sample], list[Path]]:
    images = sorted((root / "im").glob("*.jpg"))
    if not images:
        raise UnsegError(
            f"{root}/im holds no .jpg: --data must be the folder that holds corpus/bsds500 and "
            "interactive/bsds500-val, each with im/ and gt/"
        )
    labels = [root / "gt" / f"{path.stem}.png" for path in images]
    samples = []
    for path, label in zip(images, labels, strict=True):
        regions = read_label_map(label).values.astype(np.int32)
        samples.append(
            Sample.read(
                path.stem, path, np.ones(regions.shape, dtype=bool),
                instances=regions, categories=np.zeros(int(regions.max()), dtype=np.int64),
            )
        )  # fmt: skip
    return samples, [*images, *labels]
