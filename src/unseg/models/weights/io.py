"""Our own weight files: safetensors with the base's description in the metadata."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from unseg.errors import UnsegError
from unseg.models.sam.base import Architecture, SamBase
from unseg.models.sam.vit import VitConfig, resize_positions

REMEDY = "make such a file with 'unseg weights import FILE -o OUT'"


def build_base(design: Architecture, state: Mapping[str, Tensor], image_size: int = 1024,
               where: str = "the weights") -> SamBase:  # fmt: skip
    """A base with the given weights, in float32, in eval mode, frozen.

    Args:
        design: the model's shape.
        state: our names to tensors of any float dtype.
        image_size: side of the model's input; a ViT's position tables are interpolated to it.
        where: how messages name the origin.

    Raises:
        UnsegError: when names or shapes do not fit the design.
    """
    base = SamBase(design, image_size)
    wanted = base.state_dict()
    given = {name: value.detach().float() for name, value in state.items()}
    if isinstance(design.encoder, VitConfig):
        given = resize_positions(given, wanted)
    _compare(given, wanted, design.name, where)
    base.load_state_dict(given)
    return base.requires_grad_(False).eval()


def _compare(given: dict[str, Tensor], wanted: dict[str, Tensor], name: str, where: str) -> None:
    missing = sorted(wanted.keys() - given.keys())
    unknown = sorted(given.keys() - wanted.keys())
    shapes = [k for k in wanted if k in given and given[k].shape != wanted[k].shape]
    if missing:
        raise UnsegError(
            f"{where}: {len(missing)} of the {len(wanted)} parameters of {name} are missing, "
            f"first {missing[0]}; this is another model or a damaged file"
        )
    if unknown:
        raise UnsegError(
            f"{where}: {len(unknown)} parameters do not belong to {name}, first {unknown[0]}; "
            "this is another model"
        )
    if shapes:
        key = shapes[0]
        raise UnsegError(
            f"{where}: {key} has shape {tuple(given[key].shape)}, expected "
            f"{tuple(wanted[key].shape)} for {name}; this is another model"
        )
    broken = [k for k, v in given.items() if not torch.isfinite(v).all()]
    if broken:
        raise UnsegError(f"{where}: {broken[0]} holds NaN or infinity; the file is damaged")


def save_base(base: SamBase, path: Path, metadata: Mapping[str, str] | None = None,
              overwrite: bool = False, half_encoder: bool = False) -> None:  # fmt: skip
    """Write a base; the file appears complete or not at all.

    Args:
        base: the model.
        path: the file to write, .safetensors.
        metadata: further facts, e.g. the source's sha256.
        overwrite: replace an existing file.
        half_encoder: store the image encoder in float16.

    Raises:
        UnsegError: when the file exists and ``overwrite`` is false, or it cannot be written.
    """
    state = {
        name: value.half() if half_encoder and name.startswith("encoder.") else value
        for name, value in base.state_dict().items()
    }
    facts = {**(metadata or {}), "base": base.name, "architecture": base.architecture.to_json()}
    save_tensors(state, path, facts, overwrite)


def save_tensors(state: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str],
                 overwrite: bool = False) -> None:  # fmt: skip
    """Write tensors and metadata as safetensors, atomically.

    Raises:
        UnsegError: when the file exists and ``overwrite`` is false, or it cannot be written.
    """
    if path.exists() and not overwrite:
        raise UnsegError(f"{path} exists: choose another name or pass --overwrite")
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        save_file({k: v.contiguous() for k, v in state.items()}, temporary, dict(metadata))
        # mkstemp makes the file private; give it the permissions any new file would have.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        raise UnsegError(f"{path} cannot be written ({error}): choose a writable place") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def module_sha256(module: nn.Module) -> str:
    """Hex sha256 over the names, types, shapes and bytes of a module's weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        tensor = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_tensors(path: Path, remedy: str = REMEDY) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors and the metadata of a safetensors file.

    Args:
        path: the file.
        remedy: what messages tell the user to do.

    Raises:
        UnsegError: when the file is missing, truncated or no safetensors file.
    """
    if not path.is_file():
        raise UnsegError(f"{path} is not a file: {remedy}")
    try:
        with safe_open(path, framework="pt") as stream:
            return {k: stream.get_tensor(k) for k in stream.keys()}, stream.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UnsegError(
            f"{path} is damaged, truncated or no safetensors file ({error}): {remedy}"
        ) from error


def load_base(path: Path | str, image_size: int = 1024) -> SamBase:
    """Load a base written by :func:`save_base`, in float32, in eval mode, frozen.

    Args:
        path: a .safetensors file.
        image_size: side of the model's input in pixels, a multiple of 64.

    Raises:
        UnsegError: when the file is missing, damaged, or no base of ours.
    """
    path = Path(path)
    state, metadata = read_tensors(path)
    if "architecture" not in metadata:
        raise UnsegError(f"{path} does not say which base model it holds: {REMEDY}")
    return build_base(Architecture.from_json(metadata["architecture"]), state, image_size,
                      str(path))  # fmt: skip
