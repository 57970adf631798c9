"""One run at a time on an address: an object that one writer makes, and keeps young.

Object stores know no locks, but of two that create an object one does. The holder writes it anew
every so often; one that has not for minutes is taken for dead.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from unseg.errors import UnsegError
from unseg.storage.stores import Store

#: The holder writes its object this often, in seconds.
BEAT = 20.0
#: One that is older is taken for a dead run's.
DEAD_AFTER = 180.0
#: Seconds after which it is looked at again whether a dead run's place was taken by one alone.
SETTLE = 2.0


class Lease:
    """What a holder has in hand.

    Args:
        store: that is held.
        name: of the object.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.store, self.name = store, name
        self._token = secrets.token_hex(8)
        self._started = round(time.time())
        self._lost = threading.Event()

    def check(self) -> None:
        """Make sure that nobody took the place meanwhile.

        Raises:
            UnsegError: when somebody did.
        """
        if self._lost.is_set():
            raise UnsegError(
                f"{self.store} was taken over by another run, as this one was silent for "
                f"{DEAD_AFTER:.0f} seconds: wait until that is done, and go on with --resume"
            )

    def content(self) -> bytes:
        """What the object says."""
        return json.dumps({
            "token": self._token, "pid": os.getpid(), "host": platform.node(),
            "started": self._started, "beat": time.time(),
        }).encode()  # fmt: skip

    def ours(self) -> bool:
        """Whether the object is this holder's."""
        return (self.store.read_json(self.name) or {}).get("token") == self._token

    def beat(self) -> None:
        """Write the object anew, if it is still ours."""
        with suppress(UnsegError):  # storage that fails in passing
            if self.ours():
                self.store.put(self.name, self.content())
            elif self.store.has(self.name):
                self._lost.set()


@contextmanager
def leased(store: Store, name: str, others: Callable[[], list[str]] = list) -> Iterator[Lease]:
    """Hold a store against other runs.

    Args:
        store: that is written to.
        name: of the object that stands for the run.
        others: says which objects are of runs that must not be there at the same time; asked when
            this run's is there, so that of two that begin at once not both go on.

    Raises:
        UnsegError: when another run holds it.
    """
    lease = Lease(store, name)
    _take(lease)
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT):
            lease.beat()

    threading.Thread(target=beat, daemon=True).start()
    try:
        for other in others():
            found = store.read_json(other)
            if found is not None and _alive(found):
                raise _busy(store, other, found)
        yield lease
    finally:
        over.set()
        with suppress(UnsegError):
            if lease.ours():
                store.remove(name)


def _take(lease: Lease) -> None:
    store, name = lease.store, lease.name
    # A store that was asked again, as its answer was lost, refuses what it took from us.
    if store.create(name, lease.content()) or lease.ours():
        return
    found = store.read_json(name)
    if found is not None and _alive(found):
        raise _busy(store, name, found)
    store.remove(name)
    if not store.create(name, lease.content()):
        raise _busy(store, name, store.read_json(name) or {})
    time.sleep(SETTLE)
    if not lease.ours():
        raise _busy(store, name, store.read_json(name) or {})


def _alive(found: dict[str, Any]) -> bool:
    beat = found.get("beat")
    if not isinstance(beat, int | float) or time.time() - beat > DEAD_AFTER:
        return False
    return not (found.get("host") == platform.node() and _gone(found.get("pid")))


def _gone(pid: object) -> bool:
    """Whether a process of this machine has ended."""
    if not isinstance(pid, int) or pid <= 0 or os.name == "nt":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _busy(store: Store, name: str, found: dict[str, Any]) -> UnsegError:
    who = ""
    if isinstance(found.get("started"), int):
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(found["started"]))
        who = f" (process {found.get('pid')} on {found.get('host')} since {since})"
    return UnsegError(
        f"the output {store} is in use by another run{who}: wait until it is done, or choose "
        f"another with -o, or remove {name} there if that run is over"
    )
