"""What a lamp's nodes make of its light: numbers where they compute some, else a pattern that the second Blender bakes.

A bake is asked for where a lamp is read and taken once it is there; until then the lamp has the mean of its image, or
its own colour. An area with images is baked on its face, all other lamps by direction.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import colorspace, log, scratch
from .._core import cache, errors, scene
from ..client import client, cycles_loss, worker_process
from ..shaders import node_trees, shader_nodes

MOST = 24  # patterns of a scene: those of more lamps are left out
_FALLOFFS = {"Quadratic": 2.0, "Linear": 1.0, "Constant": 0.0}
_means: cache.RecentResults[np.ndarray] = cache.RecentResults(64)
_patterns: cache.RecentResults[Baked | None] = cache.RecentResults(2 * MOST)  # None where it could not be baked


@dataclass(frozen=True)
class LampNodes:
    """What nodes make of a lamp. factor: (3,) float64, linear Rec.709, of its colour and strength. pattern, falloff,
    smooth: as scene.Lamp's. surface: (H, W, 3) float32, factors on the face of an area, its +Y on top and its +X at the
    right, 1 in the mean; None where they are 1."""

    factor: np.ndarray
    pattern: np.ndarray | None = None
    falloff: float = 2.0
    smooth: float = 0.0
    surface: np.ndarray | None = None


Baked = tuple[np.ndarray, np.ndarray]  # (3,) the mean of a pattern; (H, W, 3) float32 over it


class PatternBake:
    """A lamp's pattern on its way, by direction or on the face of an area. name: the lamp's."""

    def __init__(self, light: Any, turn: np.ndarray, frame: int, surface: bool):
        self.name, self._kind = light.name, "SURFACE" if surface else light.type
        self._span = scene.measure_pattern(light.type.lower(), getattr(light, "spot_size", math.pi))
        images = node_trees.list_images(light.node_tree)
        path, self._folder = scratch.hand_over(light, "light")
        self.job: worker_process.JobHandle = client.get_cycles().bake_lamp(
            path, light.name, turn=turn, frame=frame, surface=surface, painted=cycles_loss.collect_painted(images))

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.job.done

    def wait(self, seconds: float) -> bool:
        """Waits seconds at the longest; says whether it is done."""
        return self.job.wait(seconds)

    def take(self) -> Baked | None:
        """The pattern, once it is there; None where it cannot be made. Raises Cancelled."""
        try:
            pattern = self.job.result()["pattern"]
            return self._divide(np.where(np.isfinite(pattern), pattern, 0))
        except errors.NearError as error:
            log.add(f"The pattern of the light {self.name} could not be baked ({error}).")
            return None
        finally:
            if self._folder is not None:
                self._folder.cleanup()

    def _divide(self, pattern: np.ndarray) -> Baked:
        """A pattern as its mean, whatever the sign, and what is left of it: nodes may take light away."""
        if self._kind == "SURFACE":
            mean = np.abs(pattern).mean((0, 1), np.float64)
            return mean, (pattern / np.maximum(mean, 1e-12)).astype(np.float32)
        (high, wide), shape = self._span[::-1], pattern.shape
        up, along = (angle * ((np.arange(count) + 0.5) / count - 0.5) for angle, count in zip((high, wide), shape))
        solid = np.cos(up)[:, None] * np.ones_like(along)
        if self._kind == "SPOT":
            solid = solid * (np.cos(up)[:, None] * np.cos(along) > math.cos(high / 2))
        mean = np.einsum("rc,rcf->f", solid, np.abs(pattern)) / solid.sum()
        return mean, (pattern / np.maximum(mean, 1e-12)).astype(np.float32)


_bakes: dict[str, PatternBake] = {}


def list_bakes() -> list[PatternBake]:
    """Patterns on their way."""
    for key, bake in list(_bakes.items()):
        if bake.done and _bakes.pop(key, None) is not None:
            with contextlib.suppress(errors.Cancelled):  # asked for again
                _patterns.put(key, bake.take())
    return list(_bakes.values())


class LampReader:
    """Reads the nodes of a frame's lamps, those of lamps that share them once."""

    def __init__(self, frame: int) -> None:
        self._frame, self._known, self._keys = frame, dict[Any, LampNodes](), set[str]()

    def read(self, data: Any, matrix: np.ndarray) -> LampNodes:
        """The nodes of data, a lamp that is evaluated and stands at matrix (4, 4)."""
        turn = _find_turn(data, matrix)
        key = data.original, turn.tobytes()
        if key not in self._known:
            self._known[key] = self._read(data, turn)
        return self._known[key]

    def _read(self, data: Any, turn: np.ndarray) -> LampNodes:
        emission, groups = _find_emission(data)
        if emission is None and not _is_wired(data):
            return LampNodes(np.ones(3))
        color, strength, falloff, smooth = _read_constants(emission, groups)
        if color is not None and strength is not None:
            return LampNodes(color * strength, None, falloff, smooth)
        images = node_trees.list_images(data.node_tree)
        on_surface = data.type == "AREA" and bool(images)
        baked = self._find_pattern(data, turn, on_surface) if data.type != "SUN" else None
        if baked is not None and on_surface:
            return LampNodes(baked[0], None, falloff, smooth, baked[1])
        if baked is not None:
            return LampNodes(*baked, falloff, smooth)
        mean = (_means.get_or(node_trees.describe_image(images[0]), lambda: _average(images[0])) if images
                else np.ones(3))
        return LampNodes((mean if color is None else color) * (1 if strength is None else strength), None, falloff,
                         smooth)

    def _find_pattern(self, data: Any, turn: np.ndarray, surface: bool) -> Baked | None:
        """A lamp's pattern where it is known; asked for where it is not, and there are not too many."""
        about = f"{data.type} {getattr(data, 'spot_size', 0)} {turn.tolist()} {colorspace.get_working_space()}"
        nodes = node_trees.compute_fingerprint(data.node_tree, self._frame)
        key = hashlib.sha256(f"{about} {nodes}".encode()).hexdigest()
        if key not in self._keys and len(self._keys) == MOST:
            return None
        self._keys.add(key)
        bakes = list_bakes()
        if key in _patterns:
            return _patterns[key]
        if key not in _bakes and len(bakes) < MOST:  # while a slider is dragged there is one for each step
            try:
                _bakes[key] = PatternBake(data.original, turn, self._frame, surface)
            except OSError:  # no room: it keeps its mean
                _patterns.put(key, None)
        return None


def _find_turn(data: Any, matrix: np.ndarray) -> np.ndarray:
    """(3, 3), how a lamp at matrix (4, 4) stands, as far as its nodes may ask for that."""
    if not (data.use_nodes and data.node_tree and node_trees.uses_type(data.node_tree, "NEW_GEOMETRY")):
        return np.eye(3)
    return np.round(matrix[:3, :3] / np.maximum(np.linalg.norm(matrix[:3, :3], axis=0), 1e-12), 6)


def _read_constants(emission: Any, groups: tuple[Any, ...]
                    ) -> tuple[np.ndarray | None, float | None, float, float]:
    """Colour and strength at one metre, None where they are no constants; falloff and its smoothness."""
    if emission is None:
        return None, None, 2.0, 0.0
    node, output, inner = shader_nodes.find_source(emission.inputs["Strength"], groups)
    falls = node is not None and node.type == "LIGHT_FALLOFF"
    source, inside = (node, inner) if falls else (emission, groups)
    color, strength = _evaluate(emission.inputs["Color"], groups), _evaluate(source.inputs["Strength"], inside)
    number = None if strength is None else float(strength[0])
    if not falls:
        return color, number, 2.0, 0.0
    smooth = _evaluate(node.inputs["Smooth"], inner)
    softened = 0.0 if smooth is None else max(float(smooth[0]), 0.0)
    return color, None if number is None else number / (1 + softened), _FALLOFFS.get(output.name, 2.0), softened


def _evaluate(socket: Any, groups: tuple[Any, ...]) -> np.ndarray | None:
    """(3,) float64 of what arrives at a socket; None where that is no constant."""
    try:
        value = shader_nodes.ShaderEvaluator(groups).evaluate(socket)
    except shader_nodes.Unsupported:
        return None
    return None if value.layout is not None else np.asarray(value.color, np.float64)[:3]


def _average(image: Any) -> np.ndarray:
    """(3,) float64, the mean of an image's colours; pink, as Cycles has it, of one that is gone."""
    if min(image.size) < 1 or not len(image.pixels):
        return np.array([1.0, 0.0, 1.0])
    return shader_nodes.read_pixels(image)[..., :3].mean((0, 1), np.float64)


def _find_output(data: Any) -> Any:
    """The output node of a lamp that has nodes."""
    tree = data.node_tree if data.use_nodes else None
    return tree.get_output_node("CYCLES") if tree is not None else None


def _is_wired(data: Any) -> bool:
    """Whether something is connected to the output of a lamp's nodes."""
    output = _find_output(data)
    return output is not None and output.inputs["Surface"].is_linked


def _find_emission(data: Any) -> tuple[Any, tuple[Any, ...]]:
    """The Emission node of a lamp that has nodes, and the groups around it; None where it has none."""
    output = _find_output(data)
    node, _, groups = (None, None, ()) if output is None else shader_nodes.find_source(output.inputs["Surface"])
    return (node if node is not None and node.type == "EMISSION" else None), groups


def forget() -> None:
    """Gives up what is on its way."""
    for bake in _bakes.values():
        bake.job.cancel()
    _bakes.clear()
    _patterns.clear()
