"""The paper's data sets in their own layouts, at full size; read when they are asked for."""

from __future__ import annotations

from unseg.evaluate.tasks.base import Task
from unseg.evaluate.tasks.paper.ade20k import Ade20kTask
from unseg.evaluate.tasks.paper.cityscapes import (
    CityscapesInstanceTask,
    CityscapesPanopticTask,
    CityscapesTask,
)
from unseg.evaluate.tasks.paper.coco import CocoDetectionTask, CocoInstanceTask, CocoPanopticTask
from unseg.evaluate.tasks.paper.hqseg import CoiftTask, DisTask, HrsodTask, ThinObjectTask
from unseg.evaluate.tasks.paper.kvasir import KvasirTask
from unseg.evaluate.tasks.paper.remote import NwpuTask, SsddTask, WhuTask
from unseg.evaluate.tasks.paper.voc import VocTask

PAPER: dict[str, type[Task]] = {
    task.name: task
    for task in (
        VocTask, Ade20kTask, CocoInstanceTask, CocoDetectionTask, CocoPanopticTask,
        CityscapesTask, CityscapesInstanceTask, CityscapesPanopticTask, DisTask, CoiftTask,
        HrsodTask, ThinObjectTask, WhuTask, NwpuTask, SsddTask, KvasirTask,
    )
}  # fmt: skip

__all__ = ["PAPER"]
