"""Our own weight files: safetensors with the base's description in the metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from unseg.errors import UnsegError
from unseg.files import write_atomically
from unseg.models.sam.base import Architecture, SamBase
from unseg.models.sam.vit import VitConfig, resize_positions

REMEDY = "make such a file with 'unseg weights import FILE -o OUT'"


_DRAWING = {"uniform_", "normal_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_",
            "xavier_uniform_", "xavier_normal_"}  # fmt: skip


class _Unfilled(TorchFunctionMode):
    """Leaves tensors that are to be filled with random numbers as they are."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = kwargs or {}
        if getattr(func, "__name__", "") in _DRAWING:  # torch's own, and those of torch.nn.init
            return args[0] if args else given["tensor"]
        return func(*args, **given)


def unfilled() -> TorchFunctionMode:
    """Build modules in this thread without drawing their first weights.

    For what is loaded at once: the drawing takes longer than the reading. Whoever uses it has to
    give every parameter its weights, and torch's random numbers are not drawn.
    """
    return _Unfilled()


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


def halved(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A base's weights as they are stored in little more than half the size.

    The image encoder, and the self-attention and MLPs of the mask decoder's transformer, 8.4 of
    MobileSAM's 9.8 million parameters, become float16. The rest keeps its type: rounding the
    frequencies of the position encoding moves the borders of masks, and rounding the attention
    between tokens and image or the heads can turn a proposed object over (docs/model/base.md).

    Args:
        state: our names to tensors.
    """

    def rounds(name: str, value: Tensor) -> bool:
        wide = ".mlp." in name or ".self_attn." in name
        inner = name.startswith("mask_decoder.transformer.") and wide and value.ndim > 1
        return (name.startswith("encoder.") or inner) and value.dtype == torch.float32

    return {name: value.half() if rounds(name, value) else value for name, value in state.items()}


def save_base(base: SamBase, path: Path, metadata: Mapping[str, str] | None = None,
              overwrite: bool = False, half: bool = False) -> None:  # fmt: skip
    """Write a base; the file appears complete or not at all.

    Args:
        base: the model.
        path: the file to write, .safetensors.
        metadata: further facts, e.g. the source's sha256.
        overwrite: replace an existing file.
        half: store it as :func:`halved` does.

    Raises:
        UnsegError: when the file exists and ``overwrite`` is false, or it cannot be written.
    """
    state = base.state_dict()
    facts = {**(metadata or {}), "base": base.name, "architecture": base.architecture.to_json()}
    save_tensors(halved(state) if half else state, path, facts, overwrite)


def save_tensors(state: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str],
                 overwrite: bool = False) -> None:  # fmt: skip
    """Write tensors and metadata as safetensors, atomically.

    Raises:
        UnsegError: when the file exists and ``overwrite`` is false, or it cannot be written.
    """
    if path.exists() and not overwrite:
        raise UnsegError(f"{path} exists: choose another name or pass --overwrite")
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    write_atomically(path, _ordered(save(tensors, dict(metadata))))


def _ordered(data: bytes) -> bytes:
    """A safetensors file with its metadata in order: the library shuffles them at every call."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format aligns what follows
    return len(text).to_bytes(8, "little") + text + data[end:]


def module_sha256(module: nn.Module) -> str:
    """Hex sha256 over the names, types, shapes and bytes of a module's weights."""
    return state_sha256(module.state_dict())


def state_sha256(state: Mapping[str, Tensor]) -> str:
    """Hex sha256 over the names, types, shapes and bytes of tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
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
            f"{path} is damaged, truncated or not a safetensors file ({error}): {remedy}"
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
