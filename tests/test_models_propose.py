"""Foreground proposals: the rules on a scripted model, and a real photo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from unseg.models.propose import ProposalConfig, propose_foreground
from unseg.models.sam.base import Architecture, Features, SamBase
from unseg.models.sam.tinyvit import TinyVitConfig

CONFIG = ProposalConfig(input_size=128, points=8)


class Scripted(SamBase):
    """Answers every point with the scene's regions that contain it, like a perfect SAM.

    Args:
        regions: (name to (rows, columns)) slices on the 32 x 32 mask grid of a 128 input.
    """

    def __init__(self, regions: dict[str, tuple[slice, slice]], iou: float = 0.95) -> None:
        tiny = TinyVitConfig((8, 32, 32, 32), (1, 1, 1, 1), (1, 1, 1, 1))
        super().__init__(Architecture("mobile_sam", tiny), 128)
        self.regions, self.iou, self.asked = regions, iou, 0

    def encode(self, pixel_values: Tensor) -> Features:
        return Features(torch.zeros(1, 256, 8, 8), torch.zeros(1, 32, 16, 16))

    def predict_sure_masks(
        self, features: Features, points: Tensor, labels: Tensor, least: float
    ) -> tuple[Tensor, Tensor]:
        count = points.shape[1]
        self.asked += count
        logits, iou = torch.full((1, count, 3, 32, 32), -10.0), torch.zeros(1, count, 3)
        for number, (x, y) in enumerate((points[0, :, 0] / 4).long().tolist()):
            for rows, columns in self.regions.values():
                mask = torch.full((32, 32), -10.0)
                mask[rows, columns] = 10.0
                if mask[y, x] > 0:
                    logits[0, number, 0], iou[0, number, 0] = mask, self.iou
        sure = iou[0].amax(1) >= least
        return logits[0, sure], iou[0, sure]


PERSON = (slice(8, 24), slice(10, 16))
LAMP = (slice(4, 10), slice(20, 26))


def propose(model: SamBase, height: int = 128, width: int = 128) -> tuple[Tensor, int]:
    proposal = propose_foreground(model, torch.zeros(3, height, width), CONFIG)
    assert proposal.mask.shape == (height, width) and proposal.mask.dtype == torch.bool
    return proposal.mask, proposal.count


def test_objects_are_merged_and_counted() -> None:
    mask, count = propose(Scripted({"person": PERSON, "lamp": LAMP}))
    expected = torch.zeros(128, 128, dtype=torch.bool)
    expected[32:96, 40:64] = expected[16:40, 80:104] = True
    assert count == 2
    assert (mask & expected).sum() / (mask | expected).sum() > 0.9


@pytest.mark.parametrize(
    "background",
    [
        (slice(0, 8), slice(0, 32)),  # sky
        (slice(26, 32), slice(0, 32)),  # ground
        (slice(0, 32), slice(0, 9)),  # a wall at the left
        (slice(0, 32), slice(24, 32)),  # a wall at the right
        (slice(20, 21), slice(20, 21)),  # a speck
    ],
)
def test_surroundings_are_left_out(background: tuple[slice, slice]) -> None:
    mask, count = propose(Scripted({"background": background, "person": PERSON}))
    alone, _ = propose(Scripted({"person": PERSON}))
    assert count == 1
    assert torch.equal(mask, alone)


def test_a_portrait_cut_off_by_the_bottom_is_kept() -> None:
    mask, count = propose(Scripted({"person": (slice(10, 32), slice(8, 26))}))
    assert count == 1 and bool(mask[127, 64])


def test_a_close_up_may_touch_the_border() -> None:
    mask, count = propose(Scripted({"face": (slice(0, 30), slice(0, 26))}))
    assert count == 1 and 0.6 < float(mask.float().mean()) < 0.9


@pytest.mark.parametrize("iou", [0.5, 0.89])
def test_nothing_is_returned_when_the_model_is_unsure(iou: float) -> None:
    mask, count = propose(Scripted({"person": PERSON}, iou))
    assert count == 0 and not mask.any()


def test_points_inside_known_masks_are_not_asked_again() -> None:
    empty, crowded = Scripted({}), Scripted({"ground": (slice(14, 32), slice(0, 32))})
    propose(empty)
    propose(crowded)
    assert empty.asked == 64
    assert crowded.asked < 48


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (300, 2), (57, 190)])
def test_any_size(height: int, width: int) -> None:
    mask, count = propose(Scripted({}), height, width)
    assert count == 0 and not mask.any()


def test_thresholds_are_settings() -> None:
    model = Scripted({"person": PERSON}, 0.8)
    image = torch.zeros(3, 128, 128)
    relaxed = propose_foreground(model, image, replace(CONFIG, predicted_iou=0.75))
    assert relaxed.count == 1


def test_a_real_photo(base_dir: Path) -> None:
    """The astronaut and the shuttle model are found, the grey backdrop is not."""
    from skimage import data

    pytest.importorskip("onnx")
    from unseg.models.weights.convert import base_of, read_source

    base = base_of(read_source(base_dir), str(base_dir))
    image = torch.from_numpy(data.astronaut()).permute(2, 0, 1).float()
    proposal = propose_foreground(base, image)
    assert proposal.count >= 2
    assert bool(proposal.mask[100:150, 205:245].all())  # the face
    assert bool(proposal.mask[330:350, 130:250].all())  # the suit
    assert bool(proposal.mask[150:200, 405:425].all())  # the shuttle
    assert not proposal.mask[20:120, 320:360].any()  # the backdrop
