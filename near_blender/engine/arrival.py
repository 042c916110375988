"""A viewport's picture on its way: it is laid out for a texture on a thread, as at 4K that takes half a second."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from .. import colorspace, log
from .._core import errors
from ..client import worker_process

BRIGHTEST = float(np.finfo(np.float16).max)  # what the textures hold


class Arrival:
    """The answer to a render request, once it is ready to be shown. Made in the main thread.
    exposure: what its light is multiplied by."""

    def __init__(self, job: worker_process.JobHandle, exposure: float = 1.0) -> None:
        self._job, self._space, self._exposure = job, colorspace.get_working_space(), exposure
        self._answer: dict[str, Any] = {}
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._await, name="NeAR picture", daemon=True)
        self._thread.start()

    @property
    def phase(self) -> str:
        """What is being worked on."""
        return self._job.phase

    @property
    def done(self) -> bool:
        """Whether take() would not wait."""
        return not self._thread.is_alive()

    def take(self) -> dict[str, Any]:
        """The worker's answer; its `passes` are rows for upload(). Raises the job's NearError, or Cancelled."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._answer

    def _await(self) -> None:
        try:
            answer = self._job.result()
            self._answer = answer | {"passes": {name: lay_out(values, self._space, self._exposure)
                                                for name, values in answer["passes"].items()}}
        except Exception as error:
            self._error = error if isinstance(error, errors.Cancelled | errors.NearError) else log.explain_bug(error)


def lay_out(values: np.ndarray, space: colorspace.Space = colorspace.REC709, exposure: float = 1.0) -> np.ndarray:
    """A premultiplied picture (H, W, 4) float32, linear Rec.709, row 0 on top, or depth (H, W, 1), as rows for upload:
    float32, row 0 at the bottom. space: the working space. exposure: what light is multiplied by."""
    rows: np.ndarray = np.empty(values.shape, np.float32)
    if values.shape[2] == 4 and space != colorspace.REC709:
        values = np.concatenate([colorspace.from_rec709(values[..., :3], space), values[..., 3:]], -1)
    if values.shape[2] == 4 and exposure != 1:
        values = values * np.array([exposure, exposure, exposure, 1], np.float32)
    return np.clip(values[::-1], -BRIGHTEST, BRIGHTEST, out=rows)


def upload(rows: np.ndarray) -> Any:
    """What lay_out gives, (H, W, 4) or (H, W, 1), as a GPUTexture."""
    import gpu
    types: Any = gpu.types
    return types.GPUTexture(rows.shape[1::-1], format="R32F" if rows.shape[2] == 1 else "RGBA16F",
                            data=types.Buffer("FLOAT", rows.size, rows.ravel()))
