"""The known layouts by name, and which of them a folder has."""

from __future__ import annotations

from pathlib import Path

from unseg.datasets.layout import Layout
from unseg.errors import UnsegError
from unseg.registry import Registry

LAYOUTS: Registry[Layout] = Registry(
    "layout",
    Layout,
    {
        "coco": "unseg.datasets.coco:Coco",
        "coco-panoptic": "unseg.datasets.coco_panoptic:CocoPanoptic",
        "voc": "unseg.datasets.voc:Voc",
        "ade20k": "unseg.datasets.ade20k:Ade20k",
        "cityscapes": "unseg.datasets.cityscapes:Cityscapes",
        "yolo": "unseg.datasets.yolo:Yolo",
        "yolo-seg": "unseg.datasets.yolo:YoloSeg",
        "labelme": "unseg.datasets.labelme:Labelme",
        "dicom": "unseg.datasets.dicom:Dicom",
        "geotiff": "unseg.datasets.geotiff:GeoTiff",
        "pairs": "unseg.datasets.pairs:Pairs",
    },
)
"""Every layout by its name. A new one is one file and one line here; users give module:Name."""

#: Files and folders below one without a layout that are looked at, to name what may be meant.
INNER = 50


def open_layout(root: Path, name: str = "auto") -> Layout:
    """The layout of a data set.

    Args:
        root: folder of the data set.
        name: a known name or ``module:Name``; ``auto`` finds out.

    Raises:
        UnsegError: when the folder has none of the layouts, several, or not the one named.
    """
    if not root.is_dir():
        raise UnsegError(
            f"{root} is not a folder: expected a data set, such as one in COCO's layout"
        )
    if name != "auto":
        if name in LAYOUTS and not LAYOUTS.load(name).detect(root):
            other = detect(root)
            raise UnsegError(
                f"{root} is not in the layout {name}: expected {LAYOUTS.load(name).summary}"
                + (f"; it looks like {' or '.join(other)}" if other else "")
            )
        return LAYOUTS.build(name, root=root)
    found = detect(root)
    if not found:
        kinds = "; ".join(f"{one}: {LAYOUTS.load(one).summary}" for one in LAYOUTS)
        below = [path for depth in ("*", "*/*") for path in sorted(root.glob(depth))]
        inner = next((one for one in below[:INNER] if one.is_dir() and detect(one)), None)
        if inner is not None:
            raise UnsegError(
                f"{root} has none of the known layouts, but {inner} is {' or '.join(detect(inner))}"
                ": give that folder"
            )
        raise UnsegError(f"{root} has none of the known layouts: expected {kinds}")
    if len(found) > 1:
        raise UnsegError(f"{root} may have the layout {' or '.join(found)}: name it with --layout")
    return LAYOUTS.build(found[0], root=root)


def detect(root: Path) -> list[str]:
    """Names of the layouts that a folder has most surely; several of the same rank."""
    scores = {name: LAYOUTS.load(name).detect(root) for name in LAYOUTS}
    best = max(scores.values())
    return [name for name, score in scores.items() if score == best > 0]
