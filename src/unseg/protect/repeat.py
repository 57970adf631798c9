"""A pipeline whose images may be begun twice: what a worker had in hand that died."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from unseg.errors import UnsegError
from unseg.files import refuse_taken
from unseg.protect.pipeline import Pipeline
from unseg.protect.plan import Job


def repeatable(pipeline: Pipeline, jobs: Sequence[Job]) -> tuple[Pipeline, list[Job]]:
    """A pipeline that replaces what is there, and jobs of which none would replace a stranger's.

    What may not be replaced is found out once, before the first image, as the second try of an
    image would take the first one's file for somebody else's.

    Args:
        pipeline: of the run.
        jobs: that are left to do; none of their files is this run's yet.
    """
    if pipeline.overwrite:
        return pipeline, list(jobs)
    checked = []
    for job in jobs:
        try:
            for name in (job.output, job.mask):
                refuse_taken(pipeline.out, name, overwrite=False)
        except UnsegError as error:
            job = replace(job, refusal=job.refusal or str(error))
        checked.append(job)
    return replace(pipeline, overwrite=True), checked
