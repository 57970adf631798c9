"""Average precision as COCO defines it, by faster-coco-eval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from unseg.datasets.samples import Sample
from unseg.errors import UnsegError
from unseg.evaluate.problem import Instances, Prediction


def average_precision(
    pairs: Iterable[tuple[Prediction, Sample]],
    classes: Sequence[str],
    iou_type: Literal["bbox", "segm"],
    max_detections: int = 100,
) -> dict[str, float]:
    """COCO's average precision, over objects of all sizes.

    Masks are run-length encoded pair by pair, so a generator of pairs needs memory for one.

    Args:
        pairs: (objects found, sample with ``instances`` or ``boxes`` and ``categories``).
        classes: names of the problem's classes.
        iou_type: overlap of boxes, or of masks.
        max_detections: how many objects of a class count an image, the best scores first.

    Returns:
        ``ap`` (mean over IoU 0.50, 0.55 .. 0.95 and the classes), ``ap50``, ``ap75``, and
        ``ap/<class>`` of every class that occurs in the ground truth, all in [0, 1].

    Raises:
        UnsegError: when the samples hold no object.
    """
    from faster_coco_eval.core import COCO, COCOeval_faster

    truths: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    images = []
    for number, (instances, sample) in enumerate(pairs, start=1):
        if not isinstance(instances, Instances):
            raise TypeError(f"expected instances, not {type(instances).__name__}")
        height, width = sample.image.shape[:2]
        images.append({"id": number, "height": height, "width": width})
        truths += _truths(sample, number, iou_type)
        found += _detections(instances, number, iou_type)
    if not truths:
        raise UnsegError(
            f"average precision of {', '.join(classes)}: none of the {len(images)} test images "
            "contains an object; give test images with objects"
        )
    for records in (truths, found):
        for index, record in enumerate(records, start=1):
            record["id"] = index
    shared = {
        "images": images,
        "categories": [{"id": i, "name": name} for i, name in enumerate(classes, start=1)],
    }
    evaluation = COCOeval_faster(
        COCO({**shared, "annotations": truths}),
        COCO({**shared, "annotations": found}),
        iou_type,
        print_function=lambda *_: None,
    )
    evaluation.params.maxDets = [max_detections]
    evaluation.evaluate()
    evaluation.accumulate()
    # (IoU, recall, class, area, detections); -1 where a class has no truth.
    precision = np.asarray(evaluation.eval["precision"])[:, :, :, 0, 0]
    present = [i for i in range(len(classes)) if (precision[:, :, i] >= 0).all()]
    thresholds = evaluation.params.iouThrs.round(2).tolist()

    def mean(values: NDArray[Any]) -> float:
        return float(values[..., present].mean())

    return {
        "ap": mean(precision),
        "ap50": mean(precision[thresholds.index(0.5)]),
        "ap75": mean(precision[thresholds.index(0.75)]),
        **{f"ap/{classes[i]}": float(precision[:, :, i].mean()) for i in present},
    }


def _truths(sample: Sample, image: int, iou_type: str) -> list[dict[str, Any]]:
    if sample.categories is None:
        raise UnsegError(f"{sample.name} has no objects with categories to compare with")
    if iou_type == "segm":
        if sample.instances is None:
            raise UnsegError(f"{sample.name} has no instance masks: only boxes can be scored")
        masks = [sample.instances == i + 1 for i in range(len(sample.categories))]
        shapes = [_masked(mask) for mask in masks]
    else:
        shapes = [_boxed(box) for box in sample.object_boxes]
    return [
        {"image_id": image, "category_id": int(category) + 1, "iscrowd": 0, **shape}
        for category, shape in zip(sample.categories, shapes, strict=True)
        # An object may be hidden behind others entirely.
        if shape["area"] > 0
    ]


def _detections(found: Instances, image: int, iou_type: str) -> list[dict[str, Any]]:
    if iou_type == "segm":
        if found.masks is None:
            raise UnsegError("the victim found boxes without masks: only boxes can be scored")
        shapes = [_masked(_array(mask)) for mask in found.masks]
    else:
        shapes = [_boxed(box) for box in _array(found.boxes)]
    rows = zip(found.scores.tolist(), found.categories.tolist(), shapes, strict=True)
    return [
        {
            "image_id": image,
            "category_id": int(category) + 1,
            "iscrowd": 0,
            "score": float(score),
            **shape,
        }
        for score, category, shape in rows
    ]


def _array(tensor: Tensor) -> NDArray[Any]:
    return tensor.detach().cpu().numpy()


def _masked(mask: NDArray[Any]) -> dict[str, Any]:
    from faster_coco_eval.core import mask as rle

    encoded = rle.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {
        "segmentation": encoded,
        "area": float(rle.area(encoded)),
        "bbox": [float(v) for v in rle.toBbox(encoded)],
    }


def _boxed(box: NDArray[Any]) -> dict[str, Any]:
    left, top, right, bottom = (float(v) for v in box)
    width, height = max(0.0, right - left), max(0.0, bottom - top)
    return {"bbox": [left, top, width, height], "area": width * height}
