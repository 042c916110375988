"""Finds, loads and calls the compiled library; nothing here builds it (`python -m kernels.lab.build` does)."""

import ctypes
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

ABI_VERSION = 31
BUILD = "python -m kernels.lab.build"
ISAS = ("baseline", "avx2", "avx512")
POINTER, INTEGER, REAL = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double

_library: ctypes.CDLL | None = None
_functions: dict[tuple, Callable[..., int]] = {}  # a crowd's picture takes thousands of calls
_failure: str | None = None


class KernelsMissing(RuntimeError):
    """The compiled library is absent, foreign or out of date, or another part of it is asked for than there is; the
    message says so, and what to do, to people who work on it."""


def this_platform() -> str:
    """This machine's folder below kernels/lib: linux-x64, linux-arm64, windows-x64, macos-arm64 or macos-x64."""
    system = {"linux": "linux", "win32": "windows", "darwin": "macos"}.get(sys.platform, sys.platform)
    machine = platform.machine().lower()
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(machine, machine)
    return f"{system}-{machine}"


def library_path(name: str | None = None) -> Path:
    """Where the library of the platform `name` (default: this machine's) belongs."""
    name = name or this_platform()
    extension = {"windows": "dll", "macos": "dylib"}.get(name.split("-")[0], "so")
    return Path(__file__).parent / "lib" / name / f"near_kernels.{extension}"


def load() -> ctypes.CDLL:
    """The library, loaded once: this machine's, or the file that the variable NEAR_KERNELS names. Raises
    KernelsMissing, with the same reason on every later call."""
    global _library, _failure
    if _library is None and _failure is None:
        try:
            _library = _open(Path(os.environ.get("NEAR_KERNELS") or library_path()))
        except KernelsMissing as error:
            _failure = str(error)
        except (OSError, AttributeError) as error:
            _failure = f"The compiled kernels for {this_platform()} cannot be loaded ({error}). Run {BUILD}"
    if _library is None:
        raise KernelsMissing(_failure)
    return _library


def _open(path: Path) -> ctypes.CDLL:
    if not os.path.isfile(path):
        raise KernelsMissing(f"The compiled kernels for {this_platform()} are missing. Run {BUILD}")
    library = ctypes.CDLL(str(path))
    version = library.near_abi_version()
    if version != ABI_VERSION:
        raise KernelsMissing(f"The compiled kernels have ABI {version}, not {ABI_VERSION}. Run {BUILD}")
    return library


def isa() -> str:
    """The instruction set in use: the best this machine has, or the lower one named by the variable NEAR_ISA."""
    best = load().near_isa()
    wanted = os.environ.get("NEAR_ISA") or ISAS[best]
    if wanted not in ISAS:
        raise KernelsMissing(f"The variable NEAR_ISA is {wanted!r}. Set it to one of {', '.join(ISAS)}, or not at all")
    return ISAS[min(best, ISAS.index(wanted))]


class Kernel:
    """One exported kernel, `near_<name>_<isa>`: called with numpy arrays (or None), integers and floats."""

    def __init__(self, name: str, *argtypes: type):
        self.name, self.argtypes = name, argtypes

    def __call__(self, *arguments) -> None:
        """Runs the kernel. Raises MemoryError or RuntimeError by its code, KernelsMissing, ctypes.ArgumentError."""
        if len(arguments) != len(self.argtypes):
            raise TypeError(f"{self.name} takes {len(self.argtypes)} arguments, not {len(arguments)}.")
        key = load(), self, os.environ.get("NEAR_ISA")
        function = _functions.get(key) or _functions.setdefault(key, self._find())
        code = function(*(a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments))
        if code == 1:
            raise MemoryError(f"{self.name} ran out of memory.")
        if code:
            raise RuntimeError(f"{self.name} failed with code {code}.")

    def _find(self) -> Callable[..., int]:
        function = getattr(load(), f"near_{self.name}_{isa()}")
        function.argtypes, function.restype = self.argtypes, ctypes.c_int32
        return function


def require(name: str, array: np.ndarray, shape: tuple[int | None, ...], dtype=np.float32) -> np.ndarray:
    """Returns `array` if it is C-contiguous with this dtype and shape (None: any length), else raises ValueError."""
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name} must be a numpy array, not {type(array).__name__}.")
    if array.dtype != dtype:
        raise ValueError(f"{name} must be {np.dtype(dtype).name}, not {array.dtype.name}.")
    fits = array.ndim == len(shape)
    for n, m in zip(shape, array.shape):
        fits = fits and (n is None or n == m)
    if not fits:
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} must have shape ({wanted}), not {array.shape}.")
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous.")
    return array
