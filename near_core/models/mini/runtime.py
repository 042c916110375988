"""near-mini at work: its exported graphs in onnxruntime."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from pathlib import Path
from threading import Lock

import numpy as np

from ...cache import RecentResults, count_bytes
from ...errors import NearError
from ..onnx import load_onnxruntime

REMEMBERED = {"matte", "intrinsics", "structure"}  # graphs that only look at a photo and its camera
KEPT = 256 << 20  # bytes of their answers
FOLDER = Path(__file__).parents[2] / "weights" / "onnx"  # of this build


class NearMini:
    """The embedded model. Every graph is loaded when first asked for.

    folder: what lab.networks.graphs.export wrote. threads: 0 = all.
    """

    def __init__(self, folder: Path = FOLDER, threads: int = 0):
        self.folder, self.threads = Path(folder), threads
        about = self.folder / "model.json"
        described = json.loads(about.read_text()) if os.path.isfile(about) else {"digest": "", "graphs": []}
        runs = importlib.util.find_spec("onnxruntime") is not None
        self.digest: str = described["digest"] if runs else ""
        # none: the analytic renderer works alone
        self.graphs: tuple[str, ...] = tuple(described["graphs"]) if runs else ()
        self._sessions: dict = {}
        self._options: dict = {}  # of runs
        self._loading = Lock()

    def run(self, graph: str, **inputs: np.ndarray) -> list[np.ndarray]:
        """One network. inputs: arrays by the names of lab.networks.graphs.ALL[graph].inputs. Returns its outputs.

        Raises MemoryError where there is too little.
        """
        if graph not in self.graphs:
            raise NearError("The embedded model has no part named {graph}.", "Reinstall the add-on.", graph=graph)
        with self._loading:  # many threads ask at once: one loads it
            session = self._sessions.get(graph) or self._load(graph)
        typed = {k: np.ascontiguousarray(v, np.int64 if v.dtype.kind in "iu" else np.float32)
                 for k, v in inputs.items()}
        try:
            made = session.run(None, typed, self._options.get(graph))
        except Exception as error:  # onnxruntime tells of memory in words alone
            if "allocate memory" in str(error) or "bad_alloc" in str(error):
                raise MemoryError(str(error)) from error
            raise
        # an output of onnxruntime's own would keep alive all that it took to compute it
        return [output.copy() for output in made]

    def _load(self, graph: str):
        try:
            onnxruntime = load_onnxruntime()
        except ImportError as error:
            raise NearError("onnxruntime is not there.", "Reinstall the add-on.") from error
        options = onnxruntime.SessionOptions()
        # the lighting decoder is asked by several threads at once, each with few rows
        options.intra_op_num_threads = 1 if graph == "lad" else self.threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_mem_pattern = False  # no two inputs have the same size
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(str(self.folder / f"{graph}.onnx"), options,
                                               providers=["CPUExecutionProvider"])
        if graph != "lad":  # which is asked for little, often; the others hand back what they took
            self._options[graph] = onnxruntime.RunOptions()
            self._options[graph].add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._sessions[graph] = session
        return session


class RememberingMini(NearMini):
    """The embedded model that need not look at a photo twice: made again with other hints, an asset only takes what
    depends on them."""

    def __init__(self, folder: Path = FOLDER, threads: int = 0):
        super().__init__(folder, threads)
        self._answers: RecentResults[list[np.ndarray]] = RecentResults(KEPT, count_bytes)

    def run(self, graph: str, **inputs: np.ndarray) -> list[np.ndarray]:
        """As NearMini.run; the arrays must not be written to."""
        if graph not in REMEMBERED:
            return super().run(graph, **inputs)
        digest = hashlib.sha1(graph.encode(), usedforsecurity=False)
        for name in sorted(inputs):
            digest.update(f"{name} {inputs[name].shape} {inputs[name].dtype}".encode())
            digest.update(np.ascontiguousarray(inputs[name]))
        return self._answers.get_or(digest.hexdigest(), lambda: super(RememberingMini, self).run(graph, **inputs))
