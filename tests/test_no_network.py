"""No command asks the network for anything: sockets are blocked, and all of them work."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from noise_stub import photo

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def blocked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every way to another machine fails, and is written down."""
    asked: list[str] = []

    def refuse(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            asked.append(name)
            raise OSError(101, "Network is unreachable")

        return call

    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse(name))
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, refuse(name))
    return asked


def test_commands_work_with_sockets_blocked(cli: Cli, blocked: list[str], tmp_path: Path) -> None:
    for part in ("images", "labels"):
        (tmp_path / "set" / part).mkdir(parents=True)
    for i in range(2):
        pixels = photo(40, 60, seed=i)
        Image.fromarray(pixels).save(tmp_path / "set" / "images" / f"{i}.png")
        Image.fromarray((pixels[..., 0] > 140).astype(np.uint8)).save(
            tmp_path / "set" / "labels" / f"{i}.png"
        )
    photos, out = tmp_path / "set" / "images", tmp_path / "out"
    for line in (
        ("protect", photos, "-o", out, "--posted", "--timeout", "60"),
        ("verify", out, "--originals", photos),
        ("posted", out, "--originals", photos),
        ("masks", photos, "-o", tmp_path / "masks"),
        ("dataset", tmp_path / "set", "--layout", "pairs", "--splits", "all", "-o",
         tmp_path / "copy"),
    ):  # fmt: skip
        code, _, err = cli(*line)
        assert code == 0, (line, err)
    assert not blocked


def test_the_shipped_weights_are_loaded_with_sockets_blocked(
    in_process: Callable[..., Any], blocked: list[str]
) -> None:
    assert in_process("doctor", "--device", "cpu").returncode == 0
    assert not blocked
