"""OpenImageDenoise as Blender has loaded it, guided by what of a surface is without noise.

What Cycles hands it follows rays from smooth surfaces to what they meet. Where these are a little rough, rays scatter,
and both albedo and normal are noise that the denoiser takes for detail and keeps. There the surface itself guides it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

import bpy
import numpy as np

from .._core import errors, image
from ..shaders import node_trees
from .filter import SHADERS

GUIDES = ("Denoising Albedo", "Denoising Normal")  # as Cycles makes them
MARKED = "Material Index"  # the pass that says what is clear
SURFACE = ("Diffuse Color", "Glossy Color", "Transmission Color", "Environment", "Normal", MARKED)  # is seen first
_QUALITIES = {"FAST": 4, "BALANCED": 5, "HIGH": 6}
_FLOAT3 = 3
_CPU = 1
_MIRRORS = 0.5  # of what a surface sends on, from which it may be one that Cycles looks past
_ROUGH = 0.3  # from which Cycles has surfaces guide by themselves, and a little more
_CLEAR = 0.1  # roughness below which mirrors and glass show sharply what they show
_SIGNATURES = {"NewDevice": [ctypes.c_int], "SetDeviceInt": [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int],
               "SetDeviceBool": [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_bool], "CommitDevice": [ctypes.c_void_p],
               "ReleaseDevice": [ctypes.c_void_p], "NewFilter": [ctypes.c_void_p, ctypes.c_char_p],
               "SetSharedFilterImage": [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int,
                                        *[ctypes.c_size_t] * 5],
               "SetFilterBool": [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_bool],
               "SetFilterInt": [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int],
               "CommitFilter": [ctypes.c_void_p], "ExecuteFilter": [ctypes.c_void_p],
               "ReleaseFilter": [ctypes.c_void_p],
               "GetDeviceError": [ctypes.c_void_p, ctypes.POINTER(ctypes.c_char_p)]}


class Denoiser:
    """The library, with a device that is kept."""

    def __init__(self) -> None:
        self._library = _find_library()
        self._device: tuple[int, Any] = -1, None  # with how many threads

    def suits(self, cycles: Any) -> bool:
        """Whether it can do what a scene asks of Cycles: noisy guides, no filter before this one."""
        return (self._library is not None and cycles.denoising_input_passes == "RGB_ALBEDO_NORMAL"
                and cycles.denoising_prefilter == "FAST" and cycles.denoising_quality in _QUALITIES)

    def clean(self, color: np.ndarray, guides: tuple[np.ndarray, np.ndarray], quality: str, threads: int) -> np.ndarray:
        """A picture (H, W, 3) without its noise. guides: albedo and normal (H, W, 3), which may have some, too.
        quality: FAST, BALANCED or HIGH. threads: 0 for all. Raises NearError where OpenImageDenoise fails."""
        device = self._open(threads)
        one = self._call("NewFilter", device, b"RT")
        kept = {name: np.ascontiguousarray(values[::-1], np.float32) for name, values in (  # as Cycles has rows
            (b"color", color), (b"albedo", guides[0]), (b"normal", guides[1]), (b"output", np.empty_like(color)))}
        height, width, _ = color.shape
        for name, values in kept.items():
            self._call("SetSharedFilterImage", one, name, values.ctypes.data, _FLOAT3, width, height, 0, 0, 0)
        self._call("SetFilterBool", one, b"hdr", True)
        self._call("SetFilterInt", one, b"quality", _QUALITIES[quality])
        self._call("CommitFilter", one)
        self._call("ExecuteFilter", one)
        self._call("ReleaseFilter", one)
        said = ctypes.c_char_p()
        if self._call("GetDeviceError", device, ctypes.byref(said)):
            raise errors.NearError("Cycles could not draw the ordinary objects ({reason}).",
                                   "See the log in Check Setup.", reason=(said.value or b"").decode(errors="replace"))
        return kept[b"output"][::-1]

    def _open(self, threads: int) -> Any:
        known, device = self._device
        if known != threads:
            if device is not None:
                self._call("ReleaseDevice", device)
            device = self._call("NewDevice", _CPU)
            self._call("SetDeviceInt", device, b"numThreads", threads)
            self._call("SetDeviceBool", device, b"setAffinity", False)  # other threads work on these cores, too
            self._call("CommitDevice", device)
            self._device = threads, device
        return device

    def _call(self, name: str, *arguments: Any) -> Any:
        function = getattr(self._library, f"oidn{name}")
        function.argtypes = _SIGNATURES[name]
        function.restype = (ctypes.c_void_p if name.startswith("New") else
                            ctypes.c_int if name.startswith("Get") else None)
        return function(*arguments)


class Marks:
    """Which materials of the open file are clear: what they mirror or let through is sharp, and guides best."""

    def __init__(self) -> None:
        """misleads: whether rays scatter from any of the others, and Cycles looks where they go."""
        seen = [(material, _list_roughness(material)) for material in bpy.data.materials]
        self._own = [(material, material.pass_index, int(any(value < _CLEAR for value in values)))
                     for material, values in seen]
        self.misleads = any(_CLEAR <= value < _ROUGH for _, values in seen for value in values)

    def put(self, wanted: bool) -> None:
        """Has the pass MARKED be 1 where something is clear, else 0; or as the artist has it."""
        for material, own, clear in self._own:
            index = clear if wanted else own
            if material.pass_index != index:
                material.pass_index = index


def _list_roughness(material: Any) -> list[float]:
    """Of each shader that mirrors or refracts; _CLEAR where a texture says."""
    trees = node_trees.list_trees(material.node_tree) if material.node_tree else ()
    sockets = [node.inputs.get("Roughness") for tree in trees for node in tree.nodes if node.type in SHADERS]
    return [_CLEAR if socket.is_linked else socket.default_value for socket in sockets if socket is not None]


def _find_library() -> Any:
    """The library that is loaded already; None where it is linked otherwise, or another version."""
    try:
        if sys.platform == "win32":
            kernel = ctypes.windll.kernel32
            kernel.GetModuleHandleW.restype = ctypes.c_void_p
            handle = kernel.GetModuleHandleW("OpenImageDenoise.dll")
            found = ctypes.CDLL("OpenImageDenoise.dll", handle=handle) if handle else None
        else:
            name = "@rpath/libOpenImageDenoise.2.dylib" if sys.platform == "darwin" else "libOpenImageDenoise.so.2"
            found = ctypes.CDLL(name, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
    except OSError:
        return None
    return found if all(hasattr(found, f"oidn{name}") for name in _SIGNATURES) else None


def choose_guides(albedo: np.ndarray, normal: np.ndarray, colors: list[np.ndarray], surface: np.ndarray,
                  clear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Albedo and normal (H, W, 3) that a denoiser is to see.

    albedo, normal: as Cycles would hand them over. colors: the first four of SURFACE, (H, W, 3) each; the World's is
    its albedo, too. surface: the fifth, turned. clear: (H, W) bool, where Marks has put one.
    """
    diffuse, glossy, transmitted, world = colors
    mirrored = glossy + transmitted
    own = diffuse + mirrored
    meant = (image.luminance(mirrored) > _MIRRORS * image.luminance(own)) & ~clear
    first = np.clip(own + np.clip(world, 0, 1), 0, 1)
    return np.where(meant[..., None], first, albedo), np.where(meant[..., None], surface, normal)


def turn(normals: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Normals (H, W, 3) of the world in the space of Cycles' camera, which looks along +Z. matrix: camera to world."""
    axes = np.asarray(matrix, np.float64)[:3, :3]
    axes = axes / np.maximum(np.linalg.norm(axes, axis=0), 1e-12) * (1, 1, -1)
    return normals @ axes.astype(np.float32)
