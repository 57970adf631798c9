"""Tasks: data and metric. A new task is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable

from unseg.evaluate.tasks.base import Part, Task
from unseg.evaluate.tasks.ccp import CcpTask
from unseg.evaluate.tasks.person import PersonTask

TASKS: dict[str, Callable[[], Task]] = {
    PersonTask.name: PersonTask,
    CcpTask.name: CcpTask,
}

__all__ = ["TASKS", "Part", "Task"]
