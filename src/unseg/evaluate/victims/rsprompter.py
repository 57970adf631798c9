"""RSPrompter (Chen et al., arXiv 2306.16269): SAM that prompts itself, for remote sensing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unseg.datasets.samples import Sample, to_tensor
from unseg.errors import UnsegError
from unseg.evaluate.problem import Instances, Kind, Prediction, Problem
from unseg.evaluate.victims.base import Training
from unseg.evaluate.victims.frozen import look, moved, refuse, shipped_base, stacked, train_decoder
from unseg.evaluate.victims.loader import Augmentation, normalise
from unseg.evaluate.victims.objects import ObjectLoader, Objects
from unseg.evaluate.victims.prompter import Picks, Prompter, Proposals, corners, match
from unseg.evaluate.victims.training import TrainedVictim
from unseg.models.geometry import letterbox, unletterbox
from unseg.models.sam.base import Features
from unseg.train.losses import mask_loss

LOOK_AUGMENTATION = Augmentation(smallest=0.7, largest=1.3)
DETECTIONS = 100
"""Most objects in an answer, as COCO counts them."""


class RSPrompterVictim(TrainedVictim):
    """Trains a prompter, and SAM's mask decoder, on what the frozen encoder sees.

    The encoder looks once at each of ``looks`` random squares cut from the published photographs;
    training draws its batches from these. Each cell of the prompter's map offers a class, a box
    and a prompt. Binary semantic problems are asked as the connected pieces of the foreground, and
    answered with the union of the masks found; detection problems need no masks.

    Args:
        size: side of the squares, in pixels, a multiple of 64.
        looks: squares that the encoder looks at.
        steps: optimiser steps.
        batch_size: squares a step.
        learning_rate: peak learning rate of the prompter.
        slow: learning rate of the mask decoder relative to ``learning_rate``.
        weight_decay: weight decay of AdamW.
        copies: proposals that learn from one object.
        masks: most masks a step.
        width: channels of the prompter.
        confident: least score of a mask that is part of a semantic answer.
        augmentation: how squares are cut.
    """

    name = "rsprompter"
    revision = 2
    summary = "frozen mobile_sam encoder, learned prompts, SAM's mask decoder"
    kinds: ClassVar[frozenset[Kind]] = frozenset({"semantic", "instance", "detection"})

    def __init__(
        self,
        *,
        size: int = 512,
        looks: int = 256,
        steps: int = 150,
        batch_size: int = 6,
        learning_rate: float = 1e-3,
        slow: float = 0.1,
        weight_decay: float = 1e-2,
        copies: int = 4,
        masks: int = 8,
        width: int = 96,
        confident: float = 0.3,
        augmentation: Augmentation = LOOK_AUGMENTATION,
    ) -> None:
        self.size, self.looks, self.steps, self.batch_size = size, looks, steps, batch_size
        self.learning_rate, self.slow, self.weight_decay = learning_rate, slow, weight_decay
        self.copies, self.masks, self.width, self.confident = copies, masks, width, confident
        self.augmentation = augmentation

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "augmentation": self.augmentation.settings()}

    def fit(self, samples: Sequence[Sample], problem: Problem, training: Training) -> list[float]:
        if problem.kind == "semantic" and not problem.binary:
            raise UnsegError(
                f"{self.name} does semantic problems with one foreground class, not "
                f"{len(problem.classes)} classes: choose a semantic victim"
            )
        return super().fit(samples, problem, training)

    def build(self, problem: Problem) -> nn.Module:
        self._base = shipped_base(self.size)
        if problem.kind != "detection":
            train_decoder(self._base)
        classes = 1 if problem.kind == "semantic" else len(problem.classes)
        return Prompter(self._base, classes, width=self.width)

    def parameters(self, network: nn.Module) -> list[dict[str, Any]]:
        assert isinstance(network, Prompter)
        tuned = [p for p in network.base.mask_decoder.parameters() if p.requires_grad]
        known = {id(p) for p in tuned}
        new = [p for p in network.parameters() if p.requires_grad and id(p) not in known]
        groups: list[dict[str, Any]] = [{"params": new}]
        return groups + ([{"params": tuned, "lr": self.learning_rate * self.slow}] if tuned else [])

    def batches(
        self, samples: Sequence[Sample], problem: Problem, rng: np.random.Generator
    ) -> Callable[[], tuple[Features, list[Objects]]]:
        if problem.kind == "semantic":
            samples = [pieces(sample) for sample in samples]
            problem = Problem("instance", problem.classes[1:], frozenset({0}))
        loader = ObjectLoader(
            samples, problem, size=self.size, batch_size=1, augmentation=self.augmentation, rng=rng,
            device=self.place,
        )  # fmt: skip
        truth: list[Objects] = []
        seen: list[Features] = []
        for _ in range(self.looks):
            images, (objects,) = loader.draw()
            truth.append(_stored(objects))
            seen.append(look(self._base, normalise(images)))

        def draw() -> tuple[Features, list[Objects]]:
            chosen = rng.permutation(self.looks)[: self.batch_size].tolist()
            return stacked([seen[i] for i in chosen]), [truth[i] for i in chosen]

        return draw

    def loss(self, network: nn.Module, batch: Any, training: Training, step: int) -> Tensor:
        refuse(self.name, training, "batch", "attack")
        device = self.device(network)
        features, truth = moved(batch[0], device), [one.to(device) for one in batch[1]]
        rng = torch.Generator().manual_seed(training.seed * 1_000_003 + step)
        pairs: list[tuple[Tensor, Tensor]] = []

        def choose(proposals: Proposals) -> Picks | None:
            for i, objects in enumerate(truth):
                pairs.append(
                    match(
                        proposals.logits[i], proposals.boxes[i], proposals.centres,
                        objects, self.copies, self.size,
                    )
                )  # fmt: skip
            return self._lesson(pairs, truth, rng)

        proposals, picks, logits = network(features, choose)
        loss = self._found(proposals, pairs, truth)
        if logits is None or picks is None:
            return loss
        return loss + mask_loss(logits, self._targets(picks, pairs, truth), points=1024, rng=rng)

    def _lesson(
        self, pairs: list[tuple[Tensor, Tensor]], truth: list[Objects], rng: torch.Generator
    ) -> Picks | None:
        """Some of the matched proposals, each told its object's box, loosely."""
        if truth[0].masks is None:
            return None
        image = torch.cat([torch.full_like(cells, i) for i, (cells, _) in enumerate(pairs)])
        cell = torch.cat([cells for cells, _ in pairs])
        boxes = torch.cat([corners(t.boxes)[o] for t, (_, o) in zip(truth, pairs, strict=True)])
        chosen = torch.randperm(len(cell), generator=rng)[: self.masks].to(cell.device)
        boxes = boxes[chosen] * self.size
        extent = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
        shift = 0.1 * (2 * torch.rand(boxes.shape, generator=rng) - 1).to(boxes.device)
        return Picks(image[chosen], cell[chosen], (boxes + shift * extent).clamp(0, self.size))

    def _found(
        self, proposals: Proposals, pairs: list[tuple[Tensor, Tensor]], truth: list[Objects]
    ) -> Tensor:
        """Focal loss of all proposals, L1 and generalised IoU of the matched boxes."""
        from kornia.losses import binary_focal_loss_with_logits
        from monai.data.box_utils import box_pair_giou

        wanted = torch.zeros_like(proposals.logits)
        boxes, goals = [], []
        for i, ((cells, matched), objects) in enumerate(zip(pairs, truth, strict=True)):
            wanted[i, cells, objects.classes[matched]] = 1
            boxes.append(proposals.boxes[i, cells])
            goals.append(corners(objects.boxes[matched]) * self.size)
        count = max(1, sum(len(cells) for cells, _ in pairs))
        focal = binary_focal_loss_with_logits(proposals.logits, wanted, 0.25, 2.0, "sum") / count
        box, goal = torch.cat(boxes), torch.cat(goals)
        apart = (box - goal).abs().sum() / self.size
        missed = (1 - torch.as_tensor(box_pair_giou(box, goal))).sum()
        return focal + (5 * apart + 2 * missed) / count

    @staticmethod
    def _targets(picks: Picks, pairs: list[tuple[Tensor, Tensor]], truth: list[Objects]) -> Tensor:
        """(m, 1, T, T) float masks of the objects that the picks were matched to."""
        masks = []
        for image, cell in zip(picks.image.tolist(), picks.cell.tolist(), strict=True):
            cells, matched = pairs[image]
            found = truth[image].masks
            assert found is not None
            masks.append(found[matched[cells == cell][0]])
        return torch.stack(masks)[:, None].float()

    @torch.no_grad()
    def predict(self, image: NDArray[np.uint8]) -> Prediction:
        network = cast(Prompter, self.network)
        pixels, frame = letterbox(to_tensor(image)[None].to(self.device(network)), self.size)
        features = network.base.encode(pixels)
        proposals = network.propose(features)
        semantic = self._problem.kind == "semantic"
        cells, scores, categories = best(proposals, self.confident if semantic else 0.05)
        masks = None
        if self._problem.kind != "detection":
            masks = torch.zeros(len(cells), *image.shape[:2], dtype=torch.bool)
            for start in range(0, len(cells), CHUNK):
                some = torch.arange(start, min(start + CHUNK, len(cells)), device=cells.device)
                picks = Picks(cells[some] * 0, cells[some], proposals.boxes[0, cells[some]])
                logits = network.segment(features, proposals, picks)
                masks[some.cpu()] = unletterbox(logits, frame)[:, 0].cpu() > 0
        if semantic:
            assert masks is not None
            return masks.any(0).long()
        limit = torch.tensor([image.shape[1], image.shape[0]] * 2)
        boxes = (proposals.boxes[0, cells].cpu() / frame.scale).minimum(limit)
        return Instances(boxes, scores.cpu(), categories.cpu(), masks)


CHUNK = 16
"""Masks made at once when predicting."""
SMALLEST = 0.001
"""Share of a photograph below which a piece of the foreground is not looked for."""


def best(proposals: Proposals, least: float) -> tuple[Tensor, Tensor, Tensor]:
    """Proposals of the first image after non-maximum suppression, best first.

    Returns:
        (m,) int64 cells, (m,) float scores and (m,) int64 classes.
    """
    from monai.data.box_utils import batched_nms

    scores, classes = proposals.logits[0].sigmoid().max(-1)
    cells = torch.nonzero(scores > least)[:, 0]
    if not len(cells):
        return cells, scores[cells], classes[cells]
    cells = cells[scores[cells].argsort(descending=True)[: 10 * DETECTIONS]]
    kept = batched_nms(proposals.boxes[0, cells], scores[cells], classes[cells], 0.6, DETECTIONS)
    cells = cells[torch.as_tensor(kept)]
    return cells, scores[cells], classes[cells]


def pieces(sample: Sample) -> Sample:
    """A sample whose objects are the connected pieces of its foreground."""
    foreground = (sample.class_map == 1).astype(np.uint8)
    _, index, stats, _ = cv2.connectedComponentsWithStats(foreground)
    large = stats[:, cv2.CC_STAT_AREA] >= SMALLEST * foreground.size
    large[0] = False
    number = np.where(large, np.cumsum(large), 0).astype(np.int32)
    return replace(
        sample, instances=number[index], categories=np.zeros(int(large.sum()), dtype=np.int64)
    )


def _stored(objects: Objects) -> Objects:
    """The same with masks at half the resolution, of one byte, to hold many."""
    if objects.masks is None:
        return objects
    half = torch.nn.functional.avg_pool2d(objects.masks[None], 2)[0]
    return replace(objects, masks=half >= 0.5)
