"""Ray Data: a pool of actors, each of which holds the models, on this machine or on a cluster.

An actor that dies is started anew, and what it had in hand is given out again. Records come back
only when their images are written, and this process alone writes them down.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any

from unseg.errors import UnsegError
from unseg.extras import require
from unseg.protect.engines.base import Engine, Item, ItemWorker
from unseg.protect.manifest import Record

#: Bytes of shared memory that a cluster on this machine may take for what is handed over.
STORE = 200 << 20
#: Ray takes 127.0.0.1 for no address and would listen where other machines reach it.
LOOPBACK = "127.0.0.2"
#: Nothing is reported; and a busy machine may take its time.
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_agent_register_timeout_ms": "300000",
    "RAY_worker_register_timeout_seconds": "300",
}
#: A line of a message that says what went wrong, and not that something did.
_SAYS = re.compile(r"(?!ray\.)[\w.]*(Error|Exception): ")
#: How often a cluster that does not start in time is tried.
TRIES = 4


class RayData(Engine):
    """A pool of actors of Ray Data.

    A cluster is joined where ``RAY_ADDRESS`` names one, or the program has joined one already; else
    one of this machine's is made, which no other machine reaches and which ends with the run.
    Nothing is reported to anybody, and there is no dashboard.

    Args:
        workers: actors; by default one for each GPU, or where there is none for each processor.

    Raises:
        UnsegError: when there are no workers.
    """

    name = "ray"
    summary = "actors of Ray Data, on this machine or a cluster"
    repeats = True

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise UnsegError(f"--workers {workers}: expected at least 1")
        self.workers = workers

    def start(self) -> None:
        require("ray")

    def run(
        self,
        worker: ItemWorker[Item],
        items: Sequence[Item],
        together: Callable[[Item], object],
        stopped: Callable[[], bool],
        handful: int = 16,
    ) -> Iterator[Record]:
        if not items:
            return
        self.start()
        ray, ours = _joined(self.workers)
        try:
            yield from self._spread(ray, worker, items, together, stopped, handful)
        except (ray.exceptions.RayError, OSError) as error:
            raise UnsegError(
                f"Ray gave up ({_reason(error)}): what has a record is done, and --resume goes on"
            ) from error
        finally:
            if ours:
                ray.shutdown()

    def _spread(
        self,
        ray: Any,
        worker: ItemWorker[Item],
        items: Sequence[Item],
        together: Callable[[Item], object],
        stopped: Callable[[], bool],
        handful: int,
    ) -> Iterator[Record]:
        import ray.cloudpickle as pickler  # which also knows classes of the user's own script

        chunks = list(_chunks(items, together, handful))
        gpus = float(ray.cluster_resources().get("GPU", 0))
        many = self.workers or int(gpus or ray.cluster_resources().get("CPU", 1))
        many = max(1, min(many, len(chunks)))
        resources: dict[str, Any] = {"num_cpus": 1}
        if gpus:
            resources["num_gpus"] = min(1.0, gpus / many)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        held = ray.put(pickler.dumps(worker))  # once, for all actors and their successors
        rows = [{"items": pickler.dumps(chunk)} for chunk in chunks]
        # Ray Data starts an actor anew that died, and gives out again what it had in hand.
        done = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            Actor, fn_constructor_args=([held], _threads(many)), batch_size=None,
            compute=ray.data.ActorPoolStrategy(size=many), **resources,
        )  # fmt: skip
        for row in done.iter_rows():
            yield Record.model_validate_json(row["record"])
            if stopped():
                return


class Actor:
    """What lives in a process of the pool.

    Args:
        held: a list of one reference to the worker, pickled.
        threads: that torch may use.
    """

    def __init__(self, held: list[Any], threads: int) -> None:
        import ray
        import torch

        torch.set_num_threads(threads)
        self.worker: ItemWorker[Any] = pickle.loads(ray.get(held[0]))  # noqa: S301  our own

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Records of lists of items, as JSON."""
        records = []
        for one in batch["items"]:
            items = pickle.loads(one)  # noqa: S301  our own
            records += [record.model_dump_json() for record in self.worker.run(items)]
        return {"record": records}


def _chunks(
    items: Sequence[Item], together: Callable[[Item], object], size: int
) -> Iterator[list[Item]]:
    """Items in lists of about a size, without parting those that belong together."""
    chunk: list[Item] = []
    for _, group in groupby(items, key=together):
        chunk += group
        if len(chunk) >= size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _reason(error: Exception) -> str:
    """The line of Ray's long messages that says what went wrong.

    Example:
        >>> text = "ray::Map()\\n  File x\\nValueError: too large\\n\\nUDF failed"
        >>> _reason(OSError(text))
        'ValueError: too large'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if _SAYS.match(line)]
    return ((said or lines or [type(error).__name__])[0]).removeprefix("unseg.errors.")[:300]


def _threads(workers: int) -> int:
    import torch

    return max(1, torch.get_num_threads() // workers)


def _begin(ray: Any, options: dict[str, Any]) -> None:
    """Connect; Ray waits 30 seconds for its own processes, which a busy machine may not keep to."""
    for left in range(TRIES, 0, -1):
        try:
            ray.init(**options)
            return
        except Exception as error:
            ray.shutdown()
            if left == 1 or "timed out" not in str(error):
                raise


def _joined(workers: int | None) -> tuple[Any, bool]:
    """Ray, connected to a cluster, and whether this run connected it."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    import ray
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    if ray.is_initialized():
        return ray, False
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if not os.environ.get("RAY_ADDRESS"):
        options |= {
            "address": "local",
            "include_dashboard": False,
            "object_store_memory": STORE,
            "_node_ip_address": LOOPBACK if sys.platform == "linux" else "127.0.0.1",
        }
        if workers is not None:
            options["num_cpus"] = max(workers, os.cpu_count() or 1)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    path = os.environ.get("PYTHONPATH")
    try:
        # Processes on this machine find the user's own modules, as this one does.
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        _begin(ray, options)
    except Exception as error:  # of many kinds, from its own processes
        text = " ".join(str(error).split())[:300]
        raise UnsegError(f"Ray does not start ({type(error).__name__}: {text})") from error
    finally:
        if path is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = path
    with suppress(ValueError):  # in another thread than the main one nothing was set
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return ray, True
