"""RITM (Sofiiuk et al., arXiv 2102.06583): a segmentation network that sees the clicks, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unseg.datasets.samples import Sample
from unseg.evaluate.clicks import largest_component
from unseg.evaluate.problem import Problem
from unseg.evaluate.victims.base import Training
from unseg.evaluate.victims.clicking import ClickNetwork, ClickVictim
from unseg.evaluate.victims.frozen import refuse
from unseg.evaluate.victims.loader import Augmentation, normalise
from unseg.evaluate.victims.objects import ObjectLoader, Objects
from unseg.models.backbones import BACKBONES, check_backbone
from unseg.models.backbones.pyramid import PyramidNetwork
from unseg.models.prompts import Prompts

RADIUS = 5
"""Of the disk that a click is drawn as, in pixels."""
CLICK_AUGMENTATION = Augmentation(smallest=0.8, largest=1.6)


class RitmNetwork(ClickNetwork):
    """A pyramid network that sees the clicks: in its input, and at every level of the pyramid.

    Clicks are disks in one map for each label; the answer before is a third map. RITM has them near
    its input alone, from where 300 steps above a pretrained backbone learned to answer nothing.

    Args:
        body: gives one logit a pixel.
    """

    def __init__(self, body: PyramidNetwork) -> None:
        super().__init__()
        self.body = body
        self.mix = nn.Sequential(nn.Conv2d(6, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 3, 1))
        width = body.classifier.in_channels
        self.late = nn.ModuleList(
            nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 1))
            for _ in body.backbone.strides
        )

    def look(self, pixels: Tensor) -> Tensor:
        return pixels

    def forward(self, view: Tensor, prompts: Prompts) -> Tensor:
        side = view.shape[-1]
        if prompts.masks is None:
            before = view.new_zeros(len(view), 1, side, side)
        else:
            before = _resized(prompts.masks.sigmoid(), side)
        clicks = disks(prompts, side)
        mixed = view + self.mix(torch.cat([view, clicks, before], dim=1))
        added = [
            late(torch.cat([F.max_pool2d(clicks, stride), F.avg_pool2d(before, stride)], dim=1))
            for late, stride in zip(self.late, self.body.backbone.strides, strict=True)
        ]
        return self.body(mixed.contiguous(memory_format=torch.channels_last), added)


def disks(prompts: Prompts, side: int) -> Tensor:
    """Clicks as maps.

    Args:
        prompts: with points; other prompts are not seen.
        side: of the maps, which is that of the square that the points refer to.

    Returns:
        (B, 2, side, side) float: 1 within ``RADIUS`` of a click on the object, and of one beside
        it.
    """
    assert prompts.points is not None and prompts.labels is not None
    points, labels = prompts.points[:, 0], prompts.labels[:, 0]
    axis = torch.arange(side, device=points.device)
    gaps = points[..., None] - axis
    near = gaps[:, :, 0, None, :].square() + gaps[:, :, 1, :, None].square() <= RADIUS**2
    maps = [(near & (labels == label)[..., None, None]).any(1) for label in (1, 0)]
    return torch.stack(maps, dim=1).float()


def _resized(maps: Tensor, side: int) -> Tensor:
    return F.interpolate(maps, (side, side), mode="bilinear", align_corners=False)


class RitmVictim(ClickVictim):
    """Trained end to end on crops, with flips and jitter; the backbone at a smaller rate.

    Args:
        size: side of the crops and of the square that photographs are fitted into, in pixels, a
            multiple of 32.
        backbone: ``efficientnet``, ``mobilenetv2`` or ``tinyvit``.
        pretrained: start the backbone from weights that were trained elsewhere.
        share: the pretrained backbone's learning rate relative to ``learning_rate``.
        width: channels of the pyramid.
        steps: optimiser steps.
        batch_size: crops a step.
        learning_rate: peak learning rate.
        augmentation: how a crop is drawn.
        settings: of :class:`ClickVictim`.
    """

    name = "ritm"
    revision = 2
    summary = "feature pyramid that sees clicks as maps, trained end to end"

    def __init__(
        self,
        *,
        size: int = 192,
        backbone: str = "mobilenetv2",
        pretrained: bool = True,
        share: float = 0.3,
        width: int = 64,
        steps: int = 300,
        batch_size: int = 8,
        learning_rate: float = 1e-3,
        augmentation: Augmentation = CLICK_AUGMENTATION,
        **settings: Any,
    ) -> None:
        super().__init__(
            size=size,
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            boxes=0.0,
            **settings,
        )
        check_backbone(self.name, backbone)
        self.backbone, self.pretrained, self.share = backbone, pretrained, share
        self.width, self.augmentation = width, augmentation

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "augmentation": self.augmentation.settings()}

    def build(self, problem: Problem) -> nn.Module:
        backbone = BACKBONES[self.backbone](pretrained=self.pretrained)
        return RitmNetwork(PyramidNetwork(backbone, self.width, 1))

    def parameters(self, network: nn.Module) -> list[dict[str, Any]]:
        assert isinstance(network, RitmNetwork)
        body = list(network.body.backbone.parameters())
        known = {id(p) for p in body}
        new = [p for p in network.parameters() if id(p) not in known]
        lr = self.learning_rate * (self.share if self.pretrained else 1.0)
        return [{"params": new}, {"params": body, "lr": lr}]

    def batches(
        self, samples: Sequence[Sample], problem: Problem, rng: np.random.Generator
    ) -> Callable[[], tuple[Tensor, Tensor]]:
        loader = ObjectLoader(
            samples, problem, size=self.size, batch_size=self.batch_size,
            augmentation=self.augmentation, rng=rng, device=self.place,
        )  # fmt: skip

        def draw() -> tuple[Tensor, Tensor]:
            images, objects = loader.draw()
            return images, torch.stack([self._object(one, rng) for one in objects])[:, None]

        return draw

    def open(
        self, network: nn.Module, batch: Any, training: Training, step: int
    ) -> tuple[Tensor, Tensor]:
        refuse(self.name, training, "attack")
        rng = torch.Generator().manual_seed(training.seed * 1_000_003 + step)
        images, targets = batch
        images, targets = training.defence.batch(images, targets, rng)
        device = self.device(network)
        return normalise(images.to(device)), targets.to(device)

    def _object(self, objects: Objects, rng: np.random.Generator) -> Tensor:
        """(S, S) float: the largest piece of a region of a crop, larger ones more often."""
        assert objects.masks is not None
        if not len(objects.masks):
            return torch.zeros(self.size, self.size)
        weight = objects.masks.sum((1, 2)).sqrt().numpy()
        chosen = objects.masks[rng.choice(len(weight), p=weight / weight.sum())]
        return torch.from_numpy(largest_component(chosen.numpy() > 0)).float()
