"""What is optional to install: the one table of the extras, and the error when one is missing."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from unseg.errors import UnsegError


@dataclass(frozen=True)
class Extra:
    """One of the extras that ``pip install 'unseg[NAME]'`` adds.

    Args:
        purpose: what it is for, as the subject of "... needs ...".
        modules: what is imported, by the name of the package that brings it.
    """

    purpose: str
    modules: dict[str, str]


EXTRAS = {
    "train": Extra(
        "training",
        {
            "accelerate": "accelerate",
            "scipy": "scipy",
            "tensorboard": "tensorboard",
            "matplotlib": "matplotlib",
            "kornia": "kornia",
        },
    ),
    "eval": Extra(
        "evaluation",
        {
            "accelerate": "accelerate",
            "monai": "monai",
            "scipy": "scipy",
            "torchmetrics": "torchmetrics",
            "faster-coco-eval": "faster_coco_eval",
            "kornia": "kornia",
            "matplotlib": "matplotlib",
        },
    ),
    "import": Extra("reading ONNX files", {"onnx": "onnx"}),
    "demo": Extra("the demo", {"scikit-image": "skimage"}),
    "dicom": Extra("reading DICOM files", {"pydicom": "pydicom", "imagecodecs": "imagecodecs"}),
    "tiff": Extra(
        "reading TIFF files of many bands", {"tifffile": "tifffile", "imagecodecs": "imagecodecs"}
    ),
    "ray": Extra("--engine ray", {"ray": "ray", "pyarrow": "pyarrow"}),
    "parquet": Extra("a manifest in Parquet", {"pyarrow": "pyarrow"}),
    "s3": Extra("an s3:// address", {"s3fs": "s3fs"}),
    "heif": Extra("reading HEIF files", {"pillow-heif": "pillow_heif"}),
    "docs": Extra(
        "building the documentation",
        {"sphinx": "sphinx", "myst-parser": "myst_parser", "furo": "furo"},
    ),
    "ui": Extra("the page", {"gradio": "gradio"}),
}
"""Every extra but ``dev``, by name. pyproject.toml lists the same packages with their versions."""


def require(extra: str, what: str | None = None, *, packages: tuple[str, ...] = ()) -> None:
    """Refuse to go on without an extra. Nothing is imported, so asking costs nothing.

    Args:
        extra: a key of :data:`EXTRAS`.
        what: who needs it, such as ``unseg train``; the extra's purpose by default.
        packages: the only packages of the extra that are needed here; all by default.

    Raises:
        UnsegError: in one line, naming the packages that are missing and how to install them.
    """
    known = EXTRAS[extra]
    missing = [
        package
        for package in packages or known.modules
        if find_spec(known.modules[package]) is None
    ]
    if not missing:
        return
    listed = " and ".join([", ".join(missing[:-1]), missing[-1]] if missing[1:] else missing)
    raise UnsegError(
        f"{what or known.purpose} needs {listed}, which {'are' if missing[1:] else 'is'} not "
        f"installed: pip install 'unseg[{extra}]'"
    )
