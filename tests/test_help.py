"""What --help says: every command shows examples, and they use what there is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from unseg.cli.main import app


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """(name, command) of every command, those of groups too."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    for key, one in command.commands.items():
        yield from commands(one, f"{name} {key}".strip())


COMMANDS = dict(commands(get_command(app)))


def examples(text: str) -> Iterator[list[str]]:
    """Arguments of every call of ours in the examples, the command's name first."""
    _, _, after = text.partition("Example")
    for paragraph in re.split(r"\n\s*\n|&&", after):
        if paragraph.strip().startswith(("unseg ", "accelerate launch ")):
            words = shlex.split(paragraph)
            yield words[words.index("unseg") + 1 :]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example_of_itself(name: str) -> None:
    found = list(examples(COMMANDS[name].help))
    assert any(words[: len(name.split())] == name.split() for words in found)


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_use_options_that_there_are(name: str) -> None:
    for words in examples(COMMANDS[name].help):
        called = next(one for size in (2, 1) if (one := " ".join(words[:size])) in COMMANDS)
        known = {
            option for one in COMMANDS[called].params for option in (*one.opts, *one.secondary_opts)
        }
        used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert used <= known, called
