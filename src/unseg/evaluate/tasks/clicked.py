"""People that a user clicks on: objects before a background, in COCO's layout (Penn-Fudan)."""

from __future__ import annotations

from unseg.evaluate.problem import Problem
from unseg.evaluate.tasks.instance import InstanceTask
from unseg.evaluate.tasks.interactive import InteractiveTask


class ClickedTask(InteractiveTask, InstanceTask):
    """The other interactive task where most of an image is nobody's, as in the paper's data.

    People alone are protected, and clicked on: up to three an image, the largest.
    """

    name = "clicked"
    folder = InstanceTask.folder
    problem = Problem("interactive", ("person",), frozenset({0}))
    summary = "clicked people, COCO layout (Penn-Fudan)"

    load = InstanceTask.load
