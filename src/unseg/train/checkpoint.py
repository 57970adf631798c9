"""Checkpoints of a run: atomic, and enough to continue the same trajectory."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from unseg.errors import UnsegError
from unseg.models.registry import write_generator

if TYPE_CHECKING:
    from unseg.train.bilevel import Progress, Trainer

STATE = "state.pt"
PARTS = ("generator", "surrogate", "generator_optimiser", "surrogate_optimiser")


def save_state(trainer: Trainer) -> Path:
    """Write weights, optimisers and progress; random numbers follow from the step number."""
    unwrap = trainer.accelerator.unwrap_model
    generator = unwrap(trainer.generator)
    head = {n: p for n, p in generator.named_parameters() if p.requires_grad}
    head |= {n: b for n, b in generator.named_buffers() if n.startswith("codebook.")}
    state = {
        "config": json.dumps(trainer.config.as_dict()),
        "files": trainer.files,
        "progress": json.dumps(asdict(trainer.progress)),
        "generator": {name: tensor.detach().cpu() for name, tensor in head.items()},
        "surrogate": unwrap(trainer.surrogate).state_dict(),
        "generator_optimiser": trainer.generator_optimiser.state_dict(),
        "surrogate_optimiser": trainer.surrogate_optimiser.state_dict(),
    }
    if trainer.accelerator.scaler is not None:
        state["scaler"] = trainer.accelerator.scaler.state_dict()
    path = trainer.folder / STATE
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)
    return path


def load_state(trainer: Trainer) -> Progress:
    """Put a trainer back to where :func:`save_state` left it.

    Raises:
        UnsegError: when there is no checkpoint, it is damaged, or its settings differ.
    """
    from unseg.train.bilevel import Progress

    path = trainer.folder / STATE
    if not path.exists():
        raise UnsegError(f"{path} does not exist: there is nothing to resume, leave out --resume")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        settings, progress = json.loads(state["config"]), Progress(**json.loads(state["progress"]))
        parts = {name: state[name] for name in PARTS}
    except Exception as error:  # torch and json raise whatever a damaged file leads to
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UnsegError(
            f"{path} is not a checkpoint of unseg train ({first}): start again in a new folder"
        ) from error
    now = json.loads(json.dumps(trainer.config.as_dict()))
    if changed := sorted(name for name in now if now[name] != settings.get(name)):
        raise UnsegError(
            f"{path} was trained with other settings ({', '.join(changed)}): resume with the "
            "same ones or start in a new folder"
        )
    if state.get("files", trainer.files) != trainer.files:
        raise UnsegError(
            f"{path} was trained on other files: resume with the same corpora as they were, or "
            "start in a new folder"
        )
    unwrap = trainer.accelerator.unwrap_model
    unwrap(trainer.generator).load_state_dict(parts["generator"], strict=False)
    unwrap(trainer.surrogate).load_state_dict(parts["surrogate"])
    trainer.generator_optimiser.load_state_dict(parts["generator_optimiser"])
    trainer.surrogate_optimiser.load_state_dict(parts["surrogate_optimiser"])
    if trainer.accelerator.scaler is not None and "scaler" in state:
        trainer.accelerator.scaler.load_state_dict(state["scaler"])
    return progress


def save_generator(trainer: Trainer, name: str, card: dict[str, Any] | None) -> Path:
    """Export ``name.safetensors``, which ``--model`` takes."""
    generator = trainer.accelerator.unwrap_model(trainer.generator)
    progress = {k: v for k, v in asdict(trainer.progress).items() if k != "history"}
    training = {"config": trainer.config.as_dict(), "progress": progress, **(card or {})}
    path = trainer.folder / f"{name}.safetensors"
    write_generator(generator, path, training=training)
    return path
