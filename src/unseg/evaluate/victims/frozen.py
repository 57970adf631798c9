"""Victims on a frozen SAM encoder: what it sees of the training photographs is computed once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from unseg.datasets.samples import Sample, to_tensor
from unseg.errors import UnsegError
from unseg.evaluate.defences.base import Defence
from unseg.evaluate.victims.base import Training
from unseg.models.geometry import letterbox
from unseg.models.sam.base import Features, SamBase

HELD = 2000
"""Most photographs whose embeddings are held in memory; further ones are looked at each time."""


def shipped_base(size: int) -> SamBase:
    """The MobileSAM that ships with the package, frozen, for squares of ``size`` pixels."""
    from unseg.models.registry import load_generator

    return load_generator().base.at_size(size).requires_grad_(False).eval()


def fresh_heads(base: SamBase) -> SamBase:
    """The same encoder under a prompt encoder and mask decoder with random weights."""
    fresh = SamBase(base.architecture, base.image_size)
    fresh.encoder = base.encoder
    return fresh.requires_grad_(False).eval()


def train_decoder(base: SamBase) -> None:
    """Let the mask decoder learn, but for heads that are never asked: of other masks, of IoU."""
    decoder = base.mask_decoder.requires_grad_(True)
    decoder.iou_prediction_head.requires_grad_(False)
    for spare in list(decoder.output_hypernetworks_mlps)[1:]:
        spare.requires_grad_(False)


@torch.no_grad()
def look(base: SamBase, pixels: Tensor) -> Features:
    """What a base's encoder sees of one image, on the CPU and in half precision, to be held.

    Args:
        base: on any device.
        pixels: (1, 3, S, S) float, normalised; S is the base's input.
    """
    device = next(base.parameters()).device
    seen = base.encode(pixels.to(device))
    return Features(seen.embedding.half().cpu(), seen.early.half().cpu())


def stacked(seen: Sequence[Features]) -> Features:
    """Features of single images as a batch, in full precision."""
    return Features(
        torch.cat([one.embedding for one in seen]).float(),
        torch.cat([one.early for one in seen]).float(),
    )


class Seen:
    """Embeddings of photographs, each computed when it is first needed.

    Args:
        base: whose encoder looks.
        samples: may be lazy.
    """

    def __init__(self, base: SamBase, samples: Sequence[Sample]) -> None:
        self._base, self._samples = base, samples
        self._held: dict[int, Features] = {}

    def __getitem__(self, index: int) -> Features:
        """Of one photograph, letterboxed to the base's input."""
        if index in self._held:
            return self._held[index]
        image = to_tensor(self._samples[index].image)[None]
        seen = look(self._base, letterbox(image, self._base.image_size)[0])
        if len(self._held) < HELD:
            self._held[index] = seen
        return seen


def moved(features: Features, device: torch.device) -> Features:
    """The same on another device."""
    return Features(features.embedding.to(device), features.early.to(device))


def refuse(name: str, training: Training, *hooks: str) -> None:
    """Say that a victim never calls some hooks of a defence.

    Raises:
        UnsegError: when the defence overrides one of them.
    """
    for hook in hooks:
        if getattr(type(training.defence), hook) is not getattr(Defence, hook):
            raise UnsegError(
                f"the defence {training.defence.name} changes batches of pixels, which {name} does "
                "not train on: choose another victim for it"
            )
