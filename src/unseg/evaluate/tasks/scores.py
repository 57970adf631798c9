"""Figures that tasks share, from the metrics of torchmetrics and faster-coco-eval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from unseg.datasets.samples import VOID, Sample
from unseg.evaluate.problem import Instances, Prediction


def class_iou(
    pairs: Iterable[tuple[Prediction, Sample]], classes: Sequence[str]
) -> dict[str, float]:
    """Intersection over union of every class, over all pixels of all test images together.

    Args:
        pairs: ((H, W) class map at the photograph's size; sample, whose void pixels do not count).
        classes: names.

    Returns:
        ``miou``, the mean over the classes that occur in truth or prediction, and ``iou/<class>``
        of each of them, in [0, 1].
    """
    from torchmetrics.classification import MulticlassJaccardIndex

    metric = MulticlassJaccardIndex(
        len(classes), average="none", ignore_index=VOID, sync_on_compute=False
    )
    for found, sample in pairs:
        assert isinstance(found, Tensor)
        metric.update(found[None], torch.from_numpy(sample.class_map.astype(np.int64))[None])
    each = metric.compute().double()
    # torchmetrics gives a class that occurs nowhere a zero, which is no figure of it.
    seen = (metric.confmat.sum(0) + metric.confmat.sum(1)).nonzero()[:, 0].tolist()
    return {
        "miou": float(each[seen].mean()) if seen else 0.0,
        **{f"iou/{classes[i]}": float(each[i]) for i in seen},
    }


def components(found: Tensor, most: int) -> Instances:
    """The connected pieces of a foreground as objects of class 0.

    Args:
        found: (H, W) class map; 1 is foreground. Pieces touch at sides, not at corners alone.
        most: how many pieces are kept, the largest; noise may give thousands.

    Returns:
        At most ``most`` objects with masks, largest first, all with score 1: a class map does not
        say how sure it is.
    """
    from scipy import ndimage

    labels, count = ndimage.label((found == 1).cpu().numpy())
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    kept = np.argsort(-sizes, kind="stable")[:most] + 1
    slices = ndimage.find_objects(labels)
    boxes = [(x.start, y.start, x.stop, y.stop) for y, x in (slices[i - 1] for i in kept)]
    return Instances(
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        scores=torch.ones(len(kept)),
        categories=torch.zeros(len(kept), dtype=torch.int64),
        masks=torch.from_numpy(labels[None] == kept[:, None, None]),
    )
