"""From what a frozen SAM sees to prompts for its mask decoder, without a user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from unseg.evaluate.victims.objects import Objects
from unseg.models.sam.base import Features, SamBase


@dataclass(frozen=True)
class Proposals:
    """What every cell of the prompter's map offers.

    Args:
        logits: (B, N, C) float, one sigmoid a class.
        boxes: (B, N, 4) float xyxy, in pixels of the model's square.
        codes: (B, N, D) float, from which the prompts are made.
        centres: (N, 2) float xy of the cells.
    """

    logits: Tensor
    boxes: Tensor
    codes: Tensor
    centres: Tensor


@dataclass(frozen=True)
class Picks:
    """Proposals that get a mask.

    Args:
        image: (m,) int64, which image of the batch.
        cell: (m,) int64, which proposal.
        boxes: (m, 4) float xyxy, what the mask decoder is told about the place.
    """

    image: Tensor
    cell: Tensor
    boxes: Tensor


class Prompter(nn.Module):
    """Proposals at the early feature's stride, and SAM's mask decoder asked with their prompts.

    A prompt is SAM's embedding of the two corners of a box, shifted by what the proposal's code
    says, and further tokens that are made of the code alone.

    Args:
        base: its encoder stays frozen; its mask decoder is trained where it requires gradients.
        classes: how many there are.
        width: channels of the map.
        tokens: prompt tokens besides the box's two corners.
    """

    def __init__(self, base: SamBase, classes: int, *, width: int = 96, tokens: int = 3) -> None:
        super().__init__()
        self.base = base
        self.stride = base.early_stride
        self.from_embedding = nn.Conv2d(base.embed_dim, width, 1)
        self.from_early = nn.Conv2d(base.early_channels, width, 1)
        self.trunk = nn.Sequential(_block(width), _block(width))
        self.classifier = nn.Conv2d(width, classes, 1)
        self.regressor = nn.Conv2d(width, 4, 1)
        self.prompts = nn.Sequential(
            nn.Linear(width, base.embed_dim), nn.GELU(),
            nn.Linear(base.embed_dim, (2 + tokens) * base.embed_dim),
        )  # fmt: skip
        # Focal loss starts from rare objects, boxes from a fixed size, and prompts from the box's.
        nn.init.constant_(self.classifier.bias, -4.6)  # type: ignore[arg-type]
        nn.init.zeros_(self.prompts[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.prompts[-1].bias)  # type: ignore[arg-type]

    def forward(
        self, features: Features, choose: Callable[[Proposals], Picks | None]
    ) -> tuple[Proposals, Picks | None, Tensor | None]:
        """Propose, choose, and segment what was chosen.

        Args:
            features: of B images.
            choose: which proposals get a mask; None is none.

        Returns:
            Proposals, what was chosen, and its mask logits (m, 1, 4g, 4g).
        """
        proposals = self.propose(features)
        picks = choose(proposals)
        if picks is None or not len(picks.image):
            return proposals, picks, None
        return proposals, picks, self.segment(features, proposals, picks)

    def propose(self, features: Features) -> Proposals:
        """What every cell offers."""
        early = self.from_early(features.early)
        context = self.from_embedding(features.embedding)
        x = early + F.interpolate(context, early.shape[-2:], mode="bilinear", align_corners=False)
        x = self.trunk(x)
        side = torch.arange(x.shape[-1], device=x.device)
        rows, columns = torch.meshgrid(side, side, indexing="ij")
        centres = (torch.stack([columns, rows], -1).flatten(0, 1) + 0.5) * self.stride
        reach = self.regressor(x).clamp(-4, 6).exp().flatten(2).transpose(1, 2) * 2 * self.stride
        low, high = centres - reach[..., :2], centres + reach[..., 2:]
        boxes = torch.cat([low, high], dim=-1).clamp(0, x.shape[-1] * self.stride)
        logits = self.classifier(x).flatten(2).transpose(1, 2)
        return Proposals(logits, boxes, x.flatten(2).transpose(1, 2), centres)

    def segment(self, features: Features, proposals: Proposals, picks: Picks) -> Tensor:
        """Mask logits (m, 1, 4g, 4g) of the picks."""
        base = self.base
        codes = proposals.codes[picks.image, picks.cell]
        learned = self.prompts(codes).unflatten(1, (-1, base.embed_dim))[:, None]
        corners, dense = base.prompt_encoder(None, None, picks.boxes[:, None], None)
        sparse = torch.cat([corners + learned[:, :, :2], learned[:, :, 2:]], dim=2)
        embedding = features.embedding[picks.image]
        logits, _ = base.mask_decoder(
            image_embeddings=embedding,
            image_positional_embeddings=base.dense_pe(embedding.shape[-1]).expand_as(embedding),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        return logits[:, 0]


def _block(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1, bias=False), nn.GroupNorm(8, width), nn.GELU()
    )


@torch.no_grad()
def match(
    logits: Tensor, boxes: Tensor, centres: Tensor, objects: Objects, copies: int, size: int
) -> tuple[Tensor, Tensor]:
    """Proposals to objects, by the Hungarian method with DETR's costs.

    Every object is matched to several proposals, which shortens training; non-maximum suppression
    thins them out again.

    Args:
        logits: (N, C), of one image.
        boxes: (N, 4) xyxy.
        centres: (N, 2) of the cells; those outside an object's box are matched last.
        objects: what is to be found, boxes relative to the square.
        copies: proposals an object.
        size: side of the square, in pixels.

    Returns:
        (m,) proposals and (m,) objects, int64, sorted by proposal.
    """
    from monai.data.box_utils import box_giou

    if not len(objects.classes):
        none = torch.empty(0, dtype=torch.int64, device=logits.device)
        return none, none
    truth = corners(objects.boxes) * size
    probability = logits.sigmoid()[:, objects.classes]
    present = 0.25 * (1 - probability) ** 2 * -(probability + 1e-8).log()
    absent = 0.75 * probability**2 * -(1 - probability + 1e-8).log()
    apart = torch.cdist(boxes, truth, p=1) / size
    x, y = centres[:, None, 0], centres[:, None, 1]
    outside = (x < truth[:, 0]) | (x > truth[:, 2]) | (y < truth[:, 1]) | (y > truth[:, 3])
    overlap = torch.as_tensor(box_giou(boxes, truth))
    cost = 2 * (present - absent) + 5 * apart - 2 * overlap + 100 * outside
    found, wanted = linear_sum_assignment(cost.repeat(1, copies).cpu().numpy())
    device = logits.device
    return (
        torch.from_numpy(found).to(device),
        (torch.from_numpy(wanted) % len(truth)).to(device),
    )


def corners(boxes: Tensor) -> Tensor:
    """Centre and size to xyxy."""
    middle, half = boxes[:, :2], boxes[:, 2:] / 2
    return torch.cat([middle - half, middle + half], dim=1)
