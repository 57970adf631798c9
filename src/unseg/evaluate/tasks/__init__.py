"""Tasks: data and metric. A new task is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable

from unseg.evaluate.tasks.base import Part, Task
from unseg.evaluate.tasks.ccp import CcpTask
from unseg.evaluate.tasks.clicked import ClickedTask
from unseg.evaluate.tasks.detection import DetectionTask
from unseg.evaluate.tasks.instance import InstanceTask
from unseg.evaluate.tasks.interactive import InteractiveTask
from unseg.evaluate.tasks.medical import MedicalTask
from unseg.evaluate.tasks.panoptic import PanopticTask
from unseg.evaluate.tasks.paper import PAPER
from unseg.evaluate.tasks.person import PersonTask
from unseg.evaluate.tasks.remote import RemoteTask
from unseg.evaluate.tasks.semantic import SemanticTask
from unseg.evaluate.tasks.trees import TreesTask

TASKS: dict[str, Callable[[], Task]] = {
    PersonTask.name: PersonTask,
    CcpTask.name: CcpTask,
    SemanticTask.name: SemanticTask,
    MedicalTask.name: MedicalTask,
    InstanceTask.name: InstanceTask,
    PanopticTask.name: PanopticTask,
    DetectionTask.name: DetectionTask,
    InteractiveTask.name: InteractiveTask,
    ClickedTask.name: ClickedTask,
    RemoteTask.name: RemoteTask,
    TreesTask.name: TreesTask,
    **PAPER,
}

__all__ = ["TASKS", "Part", "Task"]
