"""Published images of data sets that do not fit in memory: made once, then read from files."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

from unseg.datasets.samples import LazySamples, Sample
from unseg.errors import UnsegError
from unseg.files import write_atomically

ARRAYS = tuple(field.name for field in fields(Sample) if field.name not in ("name", "photo"))
"""What is published: a file's own grey or 16 bits are not."""


def kept(samples: LazySamples, folder: Path) -> LazySamples:
    """Samples that are computed when first asked for and found in ``folder`` ever after.

    Several processes may share the folder: a file appears whole or not at all.

    Args:
        samples: whose reading is costly.
        folder: holds ``0000000.npz`` and so on; its name must say what the samples are.
    """

    def read(i: int) -> Sample:
        path = folder / f"{i:07d}.npz"
        if path.is_file():
            return _load(path, samples.names[i])
        sample = samples[i]
        _save(sample, path)
        return sample

    return LazySamples(samples.names, read)


def _load(path: Path, name: str) -> Sample:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Sample(name, **{key: arrays[key] for key in arrays.files})
    except Exception as error:  # numpy and zipfile raise whatever a damaged file leads to
        raise UnsegError(
            f"{path} cannot be read ({type(error).__name__}): delete it and it will be made again"
        ) from error


def _save(sample: Sample, path: Path) -> None:
    arrays = {key: getattr(sample, key) for key in ARRAYS if getattr(sample, key) is not None}

    def write(part: Path) -> None:
        with part.open("wb") as file:
            np.savez_compressed(file, **arrays)

    try:
        write_atomically(path, write)
    except UnsegError as error:
        raise UnsegError(
            f"{path} cannot be written ({error.__cause__}): protected images of data sets that do "
            "not fit in memory are kept there; choose a writable folder with enough space with "
            "--cache"
        ) from error
