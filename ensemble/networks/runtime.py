"""The only access to ONNX Runtime: sessions, devices, threads and memory."""

import ctypes.util
import os
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from ensemble.networks.fused_attention import fuse_attention
from ensemble.networks.stable_sums import steady

Tensor = NDArray[np.float32]

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
PROVIDER_NAMES = {CUDA: "CUDA", CPU: "CPU"}
QUIET = 3  # log errors only: a missing GPU is no reason for warnings
_loading = Lock()


class Session:
    """A loaded network. provider: where it runs, "CUDA" or "CPU". inputs, outputs: shapes by name."""

    def __init__(self, path: Path) -> None:
        self._session = ort.InferenceSession(_prepared(path), _options(), providers=_providers())
        self.provider = PROVIDER_NAMES[self._session.get_providers()[0]]
        self.inputs = {node.name: node.shape for node in self._session.get_inputs()}
        self.outputs = {node.name: node.shape for node in self._session.get_outputs()}

    def run(self, **tensors: Tensor) -> dict[str, Tensor]:
        """Evaluate the network on arrays passed by input name.

        Returns arrays by output name. All are float32, of the shapes (as in `inputs` and `outputs`) of the network.
        """
        return self.named(tensors)

    def named(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Evaluate the network on a dict of arrays, for names that are no Python identifiers.

        Parameters
        ----------
        tensors
            float32 arrays by name, of the shapes (as in `inputs`) that the network takes.

        Returns
        -------
        float32 arrays by name, of the shapes (as in `outputs`) that the network returns.
        """
        return dict(zip(self.outputs, self._session.run(list(self.outputs), tensors), strict=True))


def session(path: Path) -> Session:
    """The session of a file, loaded once per process and thread-safe. Call it after any fork: sessions own threads."""
    with _loading:
        return _loaded(path)


@lru_cache(maxsize=8)
def _loaded(path: Path) -> Session:
    return Session(path)


def cores() -> int:
    """Number of processors that this process may use. A container often has fewer than the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _prepared(path: Path) -> bytes:
    model = onnx.load(path)
    fuse_attention(model)
    steady(model)
    return bytes(model.SerializeToString())


def _options() -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.log_severity_level = QUIET
    options.intra_op_num_threads = cores()
    options.inter_op_num_threads = 1
    # Threads that spin while they wait would take processor time from the web server and from other jobs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Softmax produces denormal numbers; calculating with them costs a sixth of htdemucs' time.
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    # Memory plans (pattern, reuse) and blocked (NCHWc) convolutions, which reorder whole tensors, keep far more tensors
    # alive than needed: htdemucs peaks at 5.0 GB with them and at 0.8 GB without, at the same speed.
    options.enable_mem_pattern = False
    options.enable_mem_reuse = False
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    return options


def _providers() -> list[str]:
    """CUDA first where a driver exists and this build supports it; requesting it elsewhere only logs errors."""
    if CUDA in ort.get_available_providers() and ctypes.util.find_library("cuda"):
        ort.preload_dlls()
        return [CUDA, CPU]
    return [CPU]
