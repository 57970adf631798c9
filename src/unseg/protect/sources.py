"""Where noise and masks come from: what protection asks of a model, and how one is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unseg.errors import UnsegError

if TYPE_CHECKING:
    from unseg.models.salience import SalienceHead
    from unseg.models.sam.base import SamBase


class NoiseSource(Protocol):
    """Makes noise for an image; :class:`unseg.models.generator.NoiseGenerator` is one.

    Attributes:
        model_id: name written into manifests.
        sha256: hex checksum of the weights.
    """

    model_id: str
    sha256: str

    def noise(self, image: Tensor, masks: Tensor, codes: Sequence[int] | None = None) -> Tensor:
        """Noise (n, 3, H, W) in [-1, 1] for an image (3, H, W) in [0, 255], masks (n, H, W).

        Prompts with different codes ask for different textures; without codes all are 0.
        """
        ...


@runtime_checkable
class BatchedNoiseSource(Protocol):
    """A source that can make noise for several images in one pass."""

    def noise_batch(
        self,
        images: Sequence[Tensor],
        masks: Sequence[Tensor],
        codes: Sequence[Sequence[int]] | None = None,
    ) -> list[Tensor]:
        """:meth:`NoiseSource.noise` for images and masks of different sizes."""
        ...


@dataclass(frozen=True)
class Proposal:
    """Proposed foreground.

    Args:
        mask: (H, W), bool.
        count: number of objects in it; 0 when nothing was found.
        note: what an owner should know about it.
    """

    mask: NDArray[np.bool_]
    count: int
    note: str | None = None


class MaskProposer(Protocol):
    """Finds the foreground of an image without a mask.

    Attributes:
        sha256: hex checksum of the weights it has beside the generator's; empty for none.
    """

    sha256: str

    def propose(self, image: Tensor) -> Proposal:
        """Foreground of an image (3, H, W), float, in [0, 255]."""
        ...


@runtime_checkable
class BoxReader(Protocol):
    """A proposer that can say what lies in boxes."""

    def in_boxes(self, image: Tensor, boxes: NDArray[np.float32]) -> NDArray[np.int32]:
        """(H, W), 0 or the number of the box, from 1, whose object a pixel is of.

        Args:
            image: (3, H, W), float, in [0, 255].
            boxes: (n, 4), left, top, right and bottom in pixels.
        """
        ...


class SamProposer:
    """The generator's own base SAM as a proposer.

    Args:
        base: the SAM.
        salience: finds what stands out (:mod:`unseg.models.salience`); where nothing does, and
            without it, the base's own proposals are taken (:mod:`unseg.models.propose`).
    """

    def __init__(self, base: SamBase, salience: SalienceHead | None = None) -> None:
        self.base, self.salience = base, salience
        self.sha256 = "" if salience is None else salience.sha256

    def propose(self, image: Tensor) -> Proposal:
        """See :meth:`MaskProposer.propose`."""
        from unseg.models.propose import propose_foreground
        from unseg.models.salience import salient_mask

        note = None
        if self.salience is not None:
            mask, count = salient_mask(self.base, self.salience, image)
            if count:
                return Proposal(mask.cpu().numpy(), count)
            note = "nothing stands out, so what looks like an object was taken"
        found = propose_foreground(self.base, image)
        return Proposal(found.mask.cpu().numpy(), found.count, note)

    def in_boxes(self, image: Tensor, boxes: NDArray[np.float32]) -> NDArray[np.int32]:
        """See :meth:`BoxReader.in_boxes`."""
        from unseg.models.propose import masks_of_boxes

        found = masks_of_boxes(self.base, image, torch.from_numpy(boxes))
        return np.asarray(found.cpu().numpy(), np.int32)


def pick_device(name: str) -> str:
    """Turn ``--device`` into a torch device: ``auto`` prefers CUDA, then Apple's MPS.

    Raises:
        UnsegError: when the device is unknown or not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError as error:
        raise UnsegError(
            f"--device {name} is not known: expected auto, cpu, cuda, cuda:N or mps"
        ) from error
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(kind, False):
        raise UnsegError(f"--device {name} is not available on this machine: use --device auto")
    return name


def load_models(
    name_or_path: str, device: str, salience: str = "default"
) -> tuple[NoiseSource, MaskProposer]:
    """Load a generator, and the proposer made of its base SAM.

    Args:
        name_or_path: ``default``, a shipped name or a ``.safetensors`` file.
        device: from :func:`pick_device`.
        salience: ``default`` is the shipped head where it suits the generator's base, ``none`` no
            head, all else a file written by ``unseg train-salience``.

    Raises:
        UnsegError: when a model is missing, damaged, or a head was trained on another base.
    """
    from unseg.models.registry import load_generator
    from unseg.models.salience import load_salience

    generator = load_generator(name_or_path, device)
    if salience == "none":
        return generator, SamProposer(generator.base)
    head = load_salience(None if salience == "default" else Path(salience))
    if head.suits(generator.base):
        return generator, SamProposer(generator.base, head.to(device))
    if salience == "default":
        return generator, SamProposer(generator.base)
    raise UnsegError(
        f"{salience} was trained on another base than {name_or_path} has: train one with "
        "unseg train-salience --base, or give --salience none"
    )
