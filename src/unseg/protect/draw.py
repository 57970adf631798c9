"""Masks as files, drawn by the base SAM: from boxes, or proposed."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from unseg import files
from unseg.errors import UnsegError
from unseg.files import read_bytes
from unseg.images.photo import Photo
from unseg.images.reader import decode
from unseg.masks.boxes import Boxes
from unseg.masks.labels import Target
from unseg.protect.apply import at_photo_size, model_image, propose
from unseg.protect.plan import Job, Plan
from unseg.protect.sources import BoxReader, MaskProposer


class Drawer:
    """Writes a mask for each image of a plan.

    Args:
        plan: its output folder is the masks'.
        proposer: finds the foreground, or what lies in boxes.
        boxes: by the images' names without suffix; None to propose.
        target: ``union`` gives 0 and 255, ``class`` the boxes' labels, ``instance`` their numbers.
        overwrite: whether masks that are there are replaced.

    Raises:
        UnsegError: when there are boxes and the proposer cannot read them.
    """

    def __init__(
        self,
        plan: Plan,
        proposer: MaskProposer,
        boxes: Mapping[str, Boxes] | None,
        target: Target = "union",
        *,
        overwrite: bool = False,
    ) -> None:
        if boxes is not None and not isinstance(proposer, BoxReader):
            raise UnsegError("this model's base cannot read boxes: use --model default")
        self.plan, self.proposer, self.boxes = plan, proposer, boxes
        self.target, self.overwrite = target, overwrite
        #: Images that get a mask; those without a box have no object.
        self.jobs = [job for job in plan.jobs if boxes is None or self._boxes_of(job) is not None]
        self.without = len(plan.jobs) - len(self.jobs)
        self.drawn = 0

    def draw(self, job: Job) -> None:
        """Write the mask of one image.

        Raises:
            UnsegError: when the image cannot be read, or the mask cannot be written.
        """
        if job.refusal is not None:
            raise UnsegError(job.refusal)
        path = self.plan.out / job.output
        files.refuse_taken(self.plan.out, job.output, overwrite=self.overwrite)
        labels = self._labels(decode(read_bytes(job.path, job.source), job.source), job)
        stream = io.BytesIO()
        Image.fromarray(labels).save(stream, "PNG", compress_level=6)
        files.write_atomically(path, stream.getvalue())
        self.drawn += 1

    def _boxes_of(self, job: Job) -> Boxes | None:
        assert self.boxes is not None
        name = job.source.rpartition(".")[0] or job.source
        return self.boxes.get(name, self.boxes.get(name.rpartition("/")[2]))

    def _labels(self, photo: Photo, job: Job) -> NDArray[np.uint8] | NDArray[np.uint16]:
        if self.boxes is None:
            return propose(photo, self.proposer).mask.astype(np.uint8) * np.uint8(255)
        boxes = self._boxes_of(job)
        assert boxes is not None and isinstance(self.proposer, BoxReader)
        numbers = draw_boxes(photo, boxes, self.proposer)
        if self.target == "instance":
            return numbers.astype(np.uint16)
        if self.target == "class":
            labels = np.concatenate([[0], boxes.labels])[numbers]
            wide = boxes.labels.max() >= 255
            return labels.astype(np.uint16) if wide else labels.astype(np.uint8)
        return (numbers > 0).astype(np.uint8) * np.uint8(255)


def draw_boxes(photo: Photo, boxes: Boxes, reader: BoxReader) -> NDArray[np.int32]:
    """(H, W), at the photo's size: 0, or the number of the box whose object a pixel is of."""
    image = model_image(photo)
    height, width = image.shape[1:]
    scale = np.array([width / photo.size[0], height / photo.size[1]] * 2, np.float32)
    return at_photo_size(reader.in_boxes(image, boxes.in_pixels(*photo.size) * scale), photo)
