"""Try a file in another process first: a decoder that hangs or dies takes that process along.

``python -m unseg.images.probe`` is that process. It reads a JSON object a line, with ``path``,
``name``, ``range`` and ``seconds``, decodes the file, and answers with a line: what is wrong with
it, or null. Pixels are not handed over; who asked decodes the file once more.
"""

from __future__ import annotations

import json
import math
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

from unseg.errors import UnsegError
from unseg.images.ranges import RangeChoice

#: Seconds that the process may take to start.
START = 120.0


class Probe:
    """A process that decodes files for as long as it lives; a new one is started when it died.

    Args:
        seconds: that decoding one file may take.
        command: what to start; by default this module.
    """

    def __init__(self, seconds: float, command: tuple[str, ...] = ()) -> None:
        self.seconds = seconds
        self._command = command or (sys.executable, "-m", "unseg.images.probe")
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str | None] = queue.Queue()

    def check(self, path: Path, name: str, choice: RangeChoice = "auto") -> None:
        """Decode a file in the other process.

        A process that dies may have been killed from outside, so the file is tried once more.

        Args:
            path: of the file.
            name: what to call it in messages.
            choice: see :func:`unseg.images.reader.decode`.

        Raises:
            UnsegError: when the file cannot be read, decoding it takes too long, or the process
                dies of it.
        """
        question = {"path": str(path), "name": name, "range": choice, "seconds": self.seconds}
        died = False
        while True:
            answer = self._ask(json.dumps(question))
            if answer is not None:
                break
            if died:
                raise UnsegError(
                    f"{name} makes its decoder crash: it is damaged, or made to do harm; write it "
                    "anew with the program that made it"
                )
            died = True
        if answer:
            raise UnsegError(answer)

    def __reduce__(self) -> tuple[type[Probe], tuple[float, tuple[str, ...]]]:
        """What another process has of it starts a process of its own."""
        return Probe, (self.seconds, self._command)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None

    def _ask(self, line: str) -> str | None:
        """What is wrong, or nothing; None when the process died of it."""
        process = self._started()
        assert process.stdin is not None
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
            answer = self._answers.get(timeout=self.seconds)
        except queue.Empty:
            self.close()
            return (
                f"{json.loads(line)['name']} took longer than {self.seconds:g} seconds to decode "
                "(--timeout): give it more, or leave the file out"
            )
        except OSError:  # it died between two files
            answer = None
        if answer is None:
            self.close()
            return None
        return str(json.loads(answer) or "")

    def _started(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._process, self._answers = process, queue.Queue()
        assert process.stdout is not None
        threading.Thread(target=_collect, args=(process.stdout, self._answers), daemon=True).start()
        try:
            ready = self._answers.get(timeout=START)
        except queue.Empty:
            ready = None
        if ready is None:
            self.close()
            raise UnsegError("the process that tries files (--timeout) does not start")
        return process


def _collect(stream: IO[str], answers: queue.Queue[str | None]) -> None:
    """Pass lines on; None when there are no more."""
    try:
        for line in stream:
            answers.put(line)
    except ValueError:  # closed
        pass
    answers.put(None)


def _answer(question: dict[str, Any]) -> str | None:
    from unseg.images.reader import read_photo

    choice = question["range"]
    try:
        read_photo(
            Path(question["path"]),
            question["name"],
            choice if isinstance(choice, str) else (choice[0], choice[1]),  # type: ignore[arg-type]
        )
    except UnsegError as error:
        return str(error)
    except MemoryError:
        return f"{question['name']} needs more memory than there is: make it smaller"
    return None


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Answer until there are no more questions."""
    # Ctrl-C reaches every process of a terminal; the one that asks decides when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import unseg.images.reader  # noqa: F401  imported before the first file's time runs

    _say("null")
    for line in sys.stdin:
        question = json.loads(line)
        if hasattr(signal, "alarm"):  # should whoever asked be gone, this ends a decoder that hangs
            signal.alarm(math.ceil(question["seconds"]) + 5)
        answer = _answer(question)
        if hasattr(signal, "alarm"):
            signal.alarm(0)
        _say(json.dumps(answer))


if __name__ == "__main__":
    main()
