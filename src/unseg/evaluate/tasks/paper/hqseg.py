"""HQSeg-44K to train on, and the four sets of fine masks that it is tested with."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from unseg.datasets import Reading
from unseg.datasets.base import joined
from unseg.datasets.pairs import read_pairs
from unseg.datasets.samples import Sample
from unseg.evaluate.clicks import Mask
from unseg.evaluate.problem import Problem
from unseg.evaluate.tasks.interactive import InteractiveTask
from unseg.evaluate.tasks.paper.base import PaperTask

LAYOUT = (
    "HQSeg-44K's layout: DIS5K/{DIS-TR,DIS-VD}/{im,gt}, thin_object_detection/ThinObject5K/"
    "{images,masks}_{train,test}, thin_object_detection/COIFT/{images,masks}, "
    "thin_object_detection/HRSOD/{images,masks_max255} and cascade_psp/{DUTS-TR,DUTS-TE,ecssd,"
    "fss_all,MSRA_10K} with NAME.jpg beside NAME.png"
)
THIN = "thin_object_detection"
TRAIN = (
    ("DIS5K/DIS-TR/im", "DIS5K/DIS-TR/gt"),
    (f"{THIN}/ThinObject5K/images_train", f"{THIN}/ThinObject5K/masks_train"),
    *(
        (f"cascade_psp/{name}",) * 2
        for name in ("fss_all", "DUTS-TR", "DUTS-TE", "ecssd", "MSRA_10K")
    ),
)
"""Folders of photographs and masks that make HQSeg-44K."""


class HQSegTask(InteractiveTask, PaperTask):
    """Clicks on fine masks: mean IoU and boundary IoU after one and three of them.

    Trained on HQSeg-44K as HQ-SAM is (Ke et al., NeurIPS 2023). Its authors test with the box
    around the mask as the only prompt; here it is the clicks of the other interactive task, so
    that any interactive victim can be asked. The target is the whole mask.
    """

    folder = "HQSeg-44K"
    problem = Problem("interactive", ("object",), frozenset({0}))
    images: ClassVar[str]
    masks: ClassVar[str]

    def read(self, root: Path, part: str) -> Reading:
        pairs = TRAIN if part == "train" else ((self.images, self.masks),)
        # The same stems occur in several sets.
        return joined([
            read_pairs(root / images, root / masks, LAYOUT, name="object", prefix=_prefix(images))
            for images, masks in pairs
        ])  # fmt: skip

    load = PaperTask.load

    def targets(self, sample: Sample) -> list[Mask]:
        return [sample.mask] if np.any(sample.mask) else []


def _prefix(folder: str) -> str:
    """``DIS5K/DIS-TR/im`` to ``DIS-TR-``, ``.../COIFT/images`` to ``COIFT-``."""
    names = [name for name in folder.split("/") if not name.startswith("im")]
    return f"{names[-1]}-"


class DisTask(HQSegTask):
    """DIS5K's validation part (Qin et al., ECCV 2022)."""

    name = "dis"
    images, masks = "DIS5K/DIS-VD/im", "DIS5K/DIS-VD/gt"
    summary = "DIS5K by clicks, trained on HQSeg-44K (full size)"


class CoiftTask(HQSegTask):
    """COIFT (Liew et al., WACV 2021)."""

    name = "coift"
    images, masks = f"{THIN}/COIFT/images", f"{THIN}/COIFT/masks"
    summary = "COIFT by clicks, trained on HQSeg-44K (full size)"


class HrsodTask(HQSegTask):
    """HRSOD (Zeng et al., ICCV 2019)."""

    name = "hrsod"
    images, masks = f"{THIN}/HRSOD/images", f"{THIN}/HRSOD/masks_max255"
    summary = "HRSOD by clicks, trained on HQSeg-44K (full size)"


class ThinObjectTask(HQSegTask):
    """ThinObject-5K's test part (Liew et al., WACV 2021)."""

    name = "thinobject"
    images, masks = f"{THIN}/ThinObject5K/images_test", f"{THIN}/ThinObject5K/masks_test"
    summary = "ThinObject-5K by clicks, trained on HQSeg-44K (full size)"
