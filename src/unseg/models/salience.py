"""What stands out in a photograph: a small head on the frozen encoder finds the foreground.

Salient object detection without a network of its own. The head learned from people who were cut
out and pasted into other pictures (:mod:`unseg.train.salience`); what it took from them is
"foreground", so it finds animals, boats and buildings, too.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unseg.errors import UnsegError
from unseg.models.geometry import letterbox, unletterbox
from unseg.models.sam.base import EMBED_DIM, SamBase
from unseg.models.weights.io import read_tensors, save_tensors
from unseg.provenance import sha256_file

FORMAT = "unseg-salience-1"
REMEDY = "give a file written by unseg train-salience"
SHIPPED = "salience-mobile-sam-1"
"""Name of the weights that ship with the package."""


@dataclass(frozen=True)
class SalienceConfig:
    """A head's shape, and what it is for.

    Args:
        width: channels of its hidden layers.
        image_size: side of the encoder's input in pixels.
        threshold: a pixel is foreground where its probability is larger.
        base: the base's :meth:`~unseg.models.sam.base.Architecture.to_json`; it reads no other.
    """

    width: int = 48
    image_size: int = 512
    threshold: float = 0.7
    base: str = ""


class SalienceHead(nn.Module):
    """Logits of "foreground" from a frozen encoder's embedding.

    The encoder's early feature would sharpen outlines, but with it the head learns to see the edges
    of what was pasted, and finds less in photographs (docs/experiments/masks.md).

    Args:
        config: its shape.
    """

    def __init__(self, config: SalienceConfig) -> None:
        super().__init__()
        self.config = config
        self.sha256 = ""
        width = config.width
        self.deep = nn.Sequential(nn.GroupNorm(1, EMBED_DIM), nn.Conv2d(EMBED_DIM, width, 3, 1, 1))
        self.around = nn.Conv2d(width, width, 3, padding=1)
        self.finer = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.fine = nn.Conv2d(width, width, 3, padding=1)
        self.logits = nn.Conv2d(width, 1, 1)

    def forward(self, embedding: Float[Tensor, "b c g g"]) -> Float[Tensor, "b 1 2*g 2*g"]:
        """Embeddings (B, 256, g, g) to logits (B, 1, 2g, 2g)."""
        x = F.gelu(self.deep(embedding))
        x = x + F.gelu(self.around(x))
        x = F.gelu(self.finer(x))
        return self.logits(x + F.gelu(self.fine(x)))

    def suits(self, base: SamBase) -> bool:
        """Whether a base is of the kind that this head was trained on, and takes its input size."""
        resizable = base.name == "mobile_sam" or base.image_size == self.config.image_size
        return resizable and self.config.base == base.architecture.to_json()


@torch.no_grad()
def salient_mask(
    base: SamBase,
    head: SalienceHead,
    image: Float[Tensor, "3 h w"],
    smallest: float = 0.002,
    least: float = 0.005,
) -> tuple[Bool[Tensor, "h w"], int]:
    """What stands out in an image.

    Args:
        base: the frozen SAM with the head's encoder.
        head: trained.
        image: (3, H, W), float, RGB, in [0, 255]; any height and width.
        smallest: connected pieces of a smaller share of the image are left out.
        least: where all pieces together cover a smaller share, nothing stands out.

    Returns:
        (H, W) bool on the image's device, and its number of connected pieces, 0 for nothing.
    """
    import cv2

    model = base.at_size(head.config.image_size)
    device = next(model.parameters()).device
    pixels, frame = letterbox(image[None].to(device), model.image_size)
    logits = unletterbox(head(model.encode(pixels).embedding), frame)[0, 0]
    found = logits.sigmoid() > head.config.threshold
    _, labels, stats, _ = cv2.connectedComponentsWithStats(found.cpu().numpy().astype(np.uint8))
    large = stats[:, cv2.CC_STAT_AREA] >= smallest * labels.size
    large[0] = False
    if stats[large, cv2.CC_STAT_AREA].sum() < least * labels.size:
        large[:] = False
    return torch.from_numpy(large[labels]).to(image.device), int(large.sum())


def write_salience(head: SalienceHead, path: Path, training: dict[str, Any]) -> None:
    """Write a head, atomically; weights in fp16.

    Args:
        head: trained.
        path: a ``.safetensors`` file.
        training: settings, seed and data of the run.
    """
    state = {name: value.half() for name, value in head.state_dict().items()}
    settings = json.dumps(asdict(head.config))
    facts = {"format": FORMAT, "settings": settings, "training": json.dumps(training)}
    save_tensors(state, path, facts, overwrite=True)


def load_salience(path: Path | None = None) -> SalienceHead:
    """Load a head, by default the shipped one.

    Returns:
        The head in evaluation mode, on the CPU, in float32; ``sha256`` is its file's.

    Raises:
        UnsegError: when the file is missing, damaged, or of another kind.
    """
    path = path or Path(str(resources.files("unseg") / "assets" / f"{SHIPPED}.safetensors"))
    tensors, found = read_tensors(path, REMEDY)
    if found.get("format") != FORMAT:
        raise UnsegError(f"{path} is not an {FORMAT} file: {REMEDY}")
    try:
        head = SalienceHead(SalienceConfig(**json.loads(found["settings"])))
        head.load_state_dict({name: value.float() for name, value in tensors.items()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UnsegError(f"{path} does not fit the head it describes: {REMEDY}") from error
    head.sha256 = sha256_file(path)
    return head.requires_grad_(False).eval()
