"""Hugging Face checkpoints from a local folder: what full-size victims start from."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from unseg.errors import UnsegError
from unseg.provenance import sha256_files

VARIABLE = "UNSEG_CHECKPOINTS"
FILES = "config.json and model.safetensors"


def find_checkpoint(name: str) -> Path:
    """The folder of a checkpoint: a path, or a folder's name below ``UNSEG_CHECKPOINTS``.

    Raises:
        UnsegError: when there is no such folder, or it lacks ``config.json`` or the weights as
            ``model.safetensors``.
    """
    root = Path(os.environ.get(VARIABLE, "checkpoints"))
    folder = Path(name) if Path(name).is_dir() else root / name
    if not folder.is_dir():
        raise UnsegError(
            f"checkpoint {name}: neither it nor {root / name} is a folder: download the model's "
            f"{FILES} into it, or set {VARIABLE} to the folder that holds your checkpoints"
        )
    weights = _weights(folder)
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    missing += [] if weights else ["model.safetensors"]
    if missing:
        found = ", ".join(sorted(p.name for p in folder.iterdir())) or "nothing"
        raise UnsegError(
            f"{folder} has no {' and no '.join(missing)} but {found}: expected a Hugging Face "
            f"folder with {FILES}; weights in other formats are not read: save them again with "
            "save_pretrained"
        )
    return folder


def identity(name: str) -> str:
    """What tells a checkpoint from others in a result's key: folder name and a checksum."""
    folder = find_checkpoint(name)
    return f"{folder.resolve().name}@{_checksum(folder.resolve())[:16]}"


@dataclass(frozen=True)
class Around:
    """How a model is built around a backbone that comes from a checkpoint of its own.

    Args:
        body: dotted name of the backbone in the model.
        stages: of the backbone whose features the model reads, 1 the finest.
        channels: field of the model's configuration that takes the channels of those stages.
        settings: further fields of it.
        fresh: called with the new model, for what its library initialises badly.
    """

    body: str
    stages: Sequence[int] = (1, 2, 3, 4)
    channels: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    fresh: Callable[[nn.Module], None] = lambda network: None


def from_local(
    model_class: Any, name: str, labels: int, *, around: Around | None = None, **config: Any
) -> nn.Module:
    """A transformers model that starts from a local checkpoint; nothing is downloaded.

    A checkpoint of the model's own architecture gives all weights that fit: those of other sizes,
    such as the classifier of another data set, are new. A checkpoint of a backbone alone (Swin,
    ConvNeXt, ResNet) gives the backbone, its batch norms frozen, and all else is new.

    Args:
        model_class: for example ``SegformerForSemanticSegmentation``.
        name: see :func:`find_checkpoint`.
        labels: classes of the new classifier.
        around: for models that take any backbone.
        config: fields of the model's configuration that change no weight's size.

    Raises:
        UnsegError: when the folder lacks a file, or holds something that does not fit.
    """
    folder = find_checkpoint(name)
    wanted = model_class.config_class.model_type
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
        if kind == wanted:
            network: nn.Module = model_class.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, num_labels=labels,
                ignore_mismatched_sizes=True, dtype=torch.float32, **config,
            )  # fmt: skip
        elif around is not None:
            network = _around(model_class, folder, labels, around, config)
        else:
            raise UnsegError(f"{folder} is a {kind}: expected a {wanted}")
    except UnsegError:
        raise
    except Exception as error:  # transformers raises whatever its readers meet
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnsegError(
            f"{folder} does not fit {model_class.__name__} ({first}): expected a checkpoint of "
            f"{wanted}" + (" or of a backbone with feature maps" if around else "")
        ) from error
    return network.train()


def _around(
    model_class: Any, folder: Path, labels: int, around: Around, config: Mapping[str, Any]
) -> nn.Module:
    """A new model whose backbone comes from a folder."""
    from transformers import MODEL_FOR_BACKBONE_MAPPING, AutoConfig
    from transformers.models.rt_detr.modeling_rt_detr import replace_batch_norm

    # AutoBackbone asks the hub even for a folder; the mapping behind it does not.
    own = AutoConfig.from_pretrained(folder, local_files_only=True)
    own.out_features = [f"stage{number}" for number in around.stages]
    backbone_class: Any = MODEL_FOR_BACKBONE_MAPPING[type(own)]
    backbone = backbone_class.from_pretrained(
        folder, config=own, local_files_only=True, use_safetensors=True, dtype=torch.float32
    )
    fields = {**around.settings, **config}
    if around.channels:
        fields[around.channels] = list(backbone.channels)
    network: nn.Module = model_class(
        model_class.config_class(backbone_config=backbone.config, num_labels=labels, **fields)
    )
    around.fresh(network)
    body = network.get_submodule(around.body)
    body.load_state_dict(backbone.state_dict())
    # A few photographs a step would spoil their statistics: the published recipes freeze them.
    with torch.no_grad():
        replace_batch_norm(body)
    return network


def _weights(folder: Path) -> list[Path]:
    """One file, or the shards that an index names."""
    whole = folder / "model.safetensors"
    if whole.is_file():
        return [whole]
    return sorted(folder.glob("model-*-of-*.safetensors"))


@cache
def _checksum(folder: Path) -> str:
    return sha256_files([folder / "config.json", *_weights(folder)])
