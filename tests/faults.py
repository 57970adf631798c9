"""Run commands in processes of their own that meet a fault: killed, a full disk, bad storage.

``python tests/faults.py`` reads JSON lists of runs, one a line, and answers each with one of exit
codes (negative: the signal) and outputs. It imports the package once and forks for each run, with
stand-ins for the models. A run is ``{"arguments": [...], "root": folder, ...faults}``:

- ``kill_at``: kill -9 itself at the so many-th storage call below ``root``; when odd, after it.
- ``kill_after``: is killed -9 after so many seconds from when it began.
- ``interrupt_at``: is sent SIGINT at that storage call; ``signal`` may name another.
- ``fail``: an errno's name, with ``seed`` and ``share`` (of the storage calls) or ``from`` (the
  call from which all writing fails); a failed write leaves half of its bytes.
- ``memory``: bytes of address space beyond what is in use at the start.
"""

from __future__ import annotations

import errno
import io
import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: Storage calls that change something.
WRITES = ("open for writing", "write", "fsync", "replace", "mkdir")


class Faults:
    """Stands between a process and its storage."""

    def __init__(self, run: dict[str, Any]) -> None:
        self.run, self.root, self.count = run, str(run["root"]), 0
        self.random = random.Random(run.get("seed", 0))
        self.genuine = {name: getattr(os, name) for name in ("fsync", "replace", "unlink", "mkdir")}
        self.open = io.open

    def meet(self, call: str) -> None:
        """Count a storage call, and do what is planned for it."""
        self.count += 1
        if self.count == self.run.get("kill_at"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.count == self.run.get("interrupt_at"):
            os.kill(os.getpid(), getattr(signal, self.run.get("signal", "SIGINT")))
        if "fail" in self.run:
            number = getattr(errno, self.run["fail"])
            late = call in WRITES and self.count >= self.run.get("from", 1 << 60)
            if late or self.random.random() < self.run.get("share", 0):
                raise OSError(number, os.strerror(number))

    def wrapped(self, name: str) -> Callable[..., Any]:
        """One of the system's calls, met first."""

        def call(*arguments: Any, **options: Any) -> Any:
            if name == "fsync" or str(arguments[0]).startswith(self.root):
                self.meet(name)
            return self.genuine[name](*arguments, **options)

        return call

    def opened(self, file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        """``open``, which hands out files whose writing fails half-way."""
        if isinstance(file, int) or not str(file).startswith(self.root):
            return self.open(file, mode, *arguments, **options)
        writing = any(letter in mode for letter in "wxa+")
        self.meet("open for writing" if writing else "open")
        stream = self.open(file, mode, *arguments, **options)
        return Half(stream, self) if writing and "b" in mode else stream

    def install(self) -> None:
        """Put it into place; Path's methods call the same functions."""
        for name in self.genuine:
            setattr(os, name, self.wrapped(name))
        io.open = self.opened  # type: ignore[assignment]


class Half:
    """A file for writing that keeps half of the bytes of a write that fails."""

    def __init__(self, stream: Any, faults: Faults) -> None:
        self.stream, self.faults = stream, faults

    def write(self, data: bytes) -> int:
        """Write, or fail half-way; a kill between two halves leaves the first."""
        half = len(data) // 2
        self.stream.write(data[:half])
        self.stream.flush()
        self.faults.meet("write")
        return half + int(self.stream.write(data[half:]))

    def __enter__(self) -> Half:
        return self

    def __exit__(self, *error: object) -> None:
        self.stream.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def child(run: dict[str, Any], report: int) -> None:
    """One run, in its own process."""
    os.dup2(report, 1)
    os.dup2(report, 2)
    # As from a terminal: what a script starts in the background begins with Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    import noise_stub

    slow = run.get("slow", 0.0)
    if slow:
        quick = noise_stub.BatchSource.noise

        def noise(*arguments: Any) -> Any:
            time.sleep(slow)
            return quick(*arguments)

        noise_stub.BatchSource.noise = noise  # type: ignore[method-assign]
    noise_stub.install()
    if "memory" in run:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + run["memory"]
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    os.environ.update(run.get("environment", {}))
    if "root" in run:
        Faults(run).install()
    sys.argv = ["unseg", *run["arguments"]]
    from unseg.cli.main import main

    main()


def perform(run: dict[str, Any]) -> dict[str, Any]:
    """Fork, wait, and report."""
    reading, writing = os.pipe()
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            os.close(reading)
            child(run, writing)
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        except BaseException as error:  # a traceback would be lost
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    os.close(writing)
    status = 0
    if "kill_after" in run:
        time.sleep(max(0.0, run["kill_after"] - (time.monotonic() - started)))
        os.kill(pid, signal.SIGKILL)
    with os.fdopen(reading, "rb") as stream:
        text = stream.read().decode(errors="replace")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return {"code": status, "text": text, "seconds": time.monotonic() - started}


if __name__ == "__main__":
    # What the children need is loaded, but nothing is computed: threads do not survive a fork.
    import noise_stub  # noqa: F401
    import unseg.cli.main
    import unseg.protect.dataset
    import unseg.protect.draw  # noqa: F401

    for line in sys.stdin:
        sys.stdout.write(json.dumps([perform(run) for run in json.loads(line)]) + "\n")
        sys.stdout.flush()
