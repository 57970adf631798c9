"""Remote sensing: buildings, objects and ships one by one, as RSPrompter lays the sets out."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from unseg.datasets import Reading
from unseg.datasets.coco import read_instances
from unseg.datasets.pairs import pieces, read_pairs
from unseg.evaluate.problem import Problem
from unseg.evaluate.tasks.paper.base import InstanceScores


class WhuTask(InstanceScores):
    """Buildings of the WHU set (Ji et al., IEEE TGRS 2019): the pieces of its masks."""

    name = "whu"
    folder = "WHU"
    problem = Problem("instance", ("building",))
    floor = 0.40
    summary = "WHU, each building's mask (full size)"

    LAYOUT: ClassVar[str] = (
        "the WHU set's layout: {train,test}/{image,label}/NAME.tif, or below imgs/"
    )

    def read(self, root: Path, part: str) -> Reading:
        folder = (root / "imgs" if (root / "imgs").is_dir() else root) / part
        return read_pairs(
            folder / "image", folder / "label", self.LAYOUT,
            name="building", prefix=f"{part}-", objects=pieces,
        )  # fmt: skip


class NwpuTask(InstanceScores):
    """Ten kinds of objects in NWPU VHR-10 (Cheng et al., 2014; masks by Su et al., 2019)."""

    name = "nwpu"
    folder = "NWPU"
    problem = Problem("instance", ())
    floor = 0.35
    summary = "NWPU VHR-10, masks of ten kinds of objects (full size)"
    prefix: ClassVar[str] = "NWPU"

    def read(self, root: Path, part: str) -> Reading:
        file = f"{self.prefix}_instances_{'train' if part == 'train' else 'val'}.json"
        layout = (
            f"RSPrompter's layout: annotations/{self.prefix}_instances_{{train,val}}.json and "
            'imgs/*.jpg (or "positive image set/*.jpg")'
        )
        images = root / "imgs"
        if not images.is_dir() and (root / "positive image set").is_dir():
            images = root / "positive image set"
        return read_instances(root / "annotations" / file, images, layout=layout)


class SsddTask(NwpuTask):
    """Ships in radar images (SSDD, Zhang et al., 2021; masks by Su et al., 2020)."""

    name = "ssdd"
    folder = "SSDD"
    summary = "SSDD, masks of ships in radar images (full size)"
    prefix = "SSDD"
