"""How much memory the published networks take, and how much there is."""
import ctypes
import os
import sys

import torch

from ...errors import NearError

RESERVE = 512 << 20  # bytes left to everything else


def free(device):
    """Bytes that can still be taken on a device."""
    device = torch.device(device)
    if device.type == "cuda":
        reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + reserved
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    if sys.platform == "linux":
        with open("/proc/meminfo", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
    if sys.platform == "win32":
        return _free_windows()
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2  # macOS tells only the whole; half is a guess


def _free_windows():
    class Status(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
            (name, ctypes.c_ulonglong)
            for name in ("total", "free", "page", "page_free", "own", "own_free", "extended")]

    status = Status(length=ctypes.sizeof(Status))
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return status.free


def estimate_activations(network, rows, tokens=0):
    """Bytes that a call takes beyond the weights: rows of float32 features that live at the same time, by measurement
    (docs/published-networks.md). network: its name in the checkpoint; rows: voxels; tokens: of the context."""
    if network == "hdri_encoder":
        return 900 << 20
    if network == "image_encoder":
        return 400 << 20
    if network.startswith("sparse_structure"):
        return 1200 << 20
    width, copies = {"decoder": (768, 10), "renderer": (768, 8), "slat_flow_model": (1024, 14)}.get(network, (1024, 2))
    return rows * width * 4 * copies + 4096 * 4 * width * 4 * 3 + tokens * width * 4 * 2 * 8


class Shortage(NearError):
    """Not enough memory on a device."""


def require(device, needed, purpose):
    """Raises NearError where less than `needed` bytes are free."""
    there = free(device)
    if needed + RESERVE > there:
        raise Shortage(
            f"{purpose} takes about {needed / 1e9:.1f} GB, but only {max(there, 0) / 1e9:.1f} GB are free on {device}.",
            "Close other programs, choose another device or half precision, or use the embedded model.")
