"""Run a notebook in a kernel of its own, with the network blocked.

    python tests/run_notebook.py IN.ipynb OUT.ipynb

writes the notebook with its outputs. Only sockets of this machine's file system work in the
kernel, which the kernel itself and ``datasets`` need. Caches go to a temporary folder.
"""

from __future__ import annotations

import os
import sys
import tempfile

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

BLOCK = """
import socket as _socket

_open = _socket.socket.connect


def _connect(self, address):
    if self.family != _socket.AF_UNIX:
        _refuse()
    return _open(self, address)


def _refuse(*arguments, **options):
    raise OSError(101, "Network is unreachable")


_socket.socket.connect = _socket.socket.connect_ex = _connect
_socket.getaddrinfo = _socket.gethostbyname = _socket.create_connection = _refuse
try:
    _socket.create_connection(("127.0.0.1", 80))
except OSError as _error:
    assert _error.errno == 101
else:
    raise AssertionError("the network is not blocked")
"""


def main(source: str, target: str) -> None:
    """Run and write."""
    notebook = nbformat.read(source, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(BLOCK))
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "HF_HOME": folder,
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_OFFLINE": "1",
            "IPYTHONDIR": folder,
            "JUPYTER_RUNTIME_DIR": folder,
        }
        # The sockets' paths begin with ip; relative ones would be sought where the kernel runs.
        sockets = f"{folder}/kernel"
        manager = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=sockets)
        client = NotebookClient(
            notebook, km=manager, timeout=500, startup_timeout=300, coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        )  # fmt: skip
        client.execute()
    del notebook.cells[0]
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of day
        if cell.cell_type == "code":
            cell.execution_count -= 1  # the cell that blocks does not count
            for output in cell.outputs:
                output.get("data", {}).pop("image/jpeg", None)  # beside the same as PNG
                if "execution_count" in output:
                    output.execution_count -= 1
    nbformat.write(notebook, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
