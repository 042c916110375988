"""Procedural materials of training objects, drawn at random: of one colour, or with maps that tile."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from ...directions import unit
from ...image import srgb_decode
from ...mesh import Material

SIZE = 192  # texels of a map
TEXTURED = 0.65  # of the materials have maps

# kind -> (weight, hue range, saturation range, value range (sRGB), roughness range, metallic range)
KINDS = {
    "plastic": (20, (0, 1), (0.1, 0.95), (0.08, 0.95), (0.15, 0.55), (0, 0)),
    "rubber": (8, (0, 1), (0, 0.5), (0.05, 0.5), (0.6, 0.95), (0, 0)),
    "paint": (14, (0, 1), (0.2, 0.9), (0.2, 0.95), (0.25, 0.8), (0, 0)),
    "ceramic": (10, (0, 1), (0, 0.6), (0.45, 0.97), (0.06, 0.25), (0, 0)),
    "clay": (7, (0.02, 0.12), (0.2, 0.7), (0.3, 0.8), (0.75, 1), (0, 0)),
    "wood": (12, (0.04, 0.11), (0.3, 0.75), (0.2, 0.75), (0.35, 0.8), (0, 0)),
    "fabric": (9, (0, 1), (0.05, 0.8), (0.1, 0.9), (0.8, 1), (0, 0)),
    "stone": (6, (0.05, 0.65), (0, 0.2), (0.15, 0.85), (0.45, 0.95), (0, 0)),
    "steel": (9, (0.5, 0.7), (0, 0.08), (0.55, 0.9), (0.12, 0.6), (1, 1)),
    "gold": (4, (0.08, 0.13), (0.35, 0.65), (0.75, 1), (0.1, 0.5), (1, 1)),
    "copper": (3, (0.02, 0.07), (0.35, 0.6), (0.7, 0.95), (0.15, 0.55), (1, 1)),
    "tinted metal": (3, (0, 1), (0.2, 0.7), (0.4, 0.9), (0.15, 0.5), (1, 1)),
    "car paint": (3, (0, 1), (0.5, 1), (0.2, 0.9), (0.08, 0.3), (0.2, 0.8)),
}
# what a surface of a kind may be worn down to, or inlaid with
PARTNERS = {"paint": ("steel", "wood", "stone", "paint"), "car paint": ("steel",),
            "steel": ("clay", "rubber", "copper"), "wood": ("wood",), "stone": ("stone",),
            "fabric": ("fabric",), "clay": ("clay", "ceramic")}
PATTERNS = ("noise", "stripes", "checker", "spots", "gradient", "rings", "bricks", "weave", "worn", "brushed")


@dataclass(frozen=True)
class UniformMaterial:
    """One colour, roughness and metallic all over. color: (3,) sRGB 0..1. roughness, metallic: 0..1."""

    kind: str
    color: tuple[float, float, float]
    roughness: float
    metallic: float

    @property
    def linear(self) -> tuple[float, float, float]:
        """The colour, linear Rec.709."""
        red, green, blue = map(float, srgb_decode(np.array(self.color)))
        return red, green, blue


def draw_uniform(chance: np.random.Generator, kinds: tuple[str, ...] = tuple(KINDS)) -> UniformMaterial:
    """A uniform material at random, of one of `kinds` by their weights."""
    weights = np.array([KINDS[kind][0] for kind in kinds], float)
    kind = kinds[chance.choice(len(kinds), p=weights / weights.sum())]
    _, hue, saturation, value, roughness, metallic = KINDS[kind]
    color = colorsys.hsv_to_rgb(chance.uniform(*hue) % 1, chance.uniform(*saturation), chance.uniform(*value))
    return UniformMaterial(kind, color, float(chance.uniform(*roughness)), float(chance.uniform(*metallic)))


def draw_material(chance: np.random.Generator) -> Material:
    """A material at random; most have maps that tile: two uniform materials mixed by a pattern."""
    first = draw_uniform(chance)
    if chance.random() > TEXTURED:
        return Material(first.kind, (*first.linear, 1.0), first.roughness, first.metallic)
    second = _choose_partner(chance, first)
    pattern = _choose_pattern(chance, first)
    height = PATTERN_MAKERS[pattern](chance)
    grain = (make_noise(chance, chance.uniform(0.8, 1.6)) - 0.5) * chance.uniform(0, 0.25)
    mix = height[..., None]
    color = _lerp(np.array(first.color), np.array(second.color), mix) * (1 + grain[..., None] * 0.6)
    roughness = np.clip(_lerp(first.roughness, second.roughness, height) + grain, 0.04, 1)
    metallic = _lerp(first.metallic, second.metallic, height)
    bumpy = chance.random() < 0.35
    return Material(
        f"{first.kind} {pattern}", (1.0, 1.0, 1.0, 1.0), 1.0, 1.0,
        base_color_map=_to_bytes(np.concatenate([color, np.ones_like(mix)], -1)),
        roughness_map=_to_bytes(roughness), metallic_map=_to_bytes(metallic),
        normal_map=_make_normal_map(_blur(height) + grain, chance.uniform(1, 5)) if bumpy else None)


def _choose_partner(chance: np.random.Generator, first: UniformMaterial) -> UniformMaterial:
    if first.kind in PARTNERS and chance.random() < 0.7:
        return draw_uniform(chance, PARTNERS[first.kind])
    if chance.random() < 0.5:  # the same stuff in another colour and polish
        return draw_uniform(chance, (first.kind,))
    return draw_uniform(chance)


def _choose_pattern(chance: np.random.Generator, first: UniformMaterial) -> str:
    likely = {"wood": ("rings", "rings", "stripes"), "fabric": ("weave", "weave", "stripes", "checker"),
              "steel": ("brushed", "worn", "noise"), "paint": ("worn", "stripes", "gradient"),
              "stone": ("noise", "bricks", "spots"), "clay": ("bricks", "noise", "spots")}
    if first.kind in likely and chance.random() < 0.7:
        return str(chance.choice(likely[first.kind]))
    return str(chance.choice([p for p in PATTERNS if p != "weave" or chance.random() < 0.3]))


# --- patterns: (SIZE, SIZE) float64 in 0..1 that continue over their edges

def _grid() -> tuple[np.ndarray, np.ndarray]:
    axis = (np.arange(SIZE) + 0.5) / SIZE
    u, v = np.meshgrid(axis, axis)
    return u, v


def make_noise(chance: np.random.Generator, slope: float = 1.2, stretch: float = 1.0) -> np.ndarray:
    """Noise whose amplitudes fall as 1 / frequency^(slope + 1), stretched along v, scaled to 0..1."""
    fy, fx = np.meshgrid(np.fft.fftfreq(SIZE), np.fft.rfftfreq(SIZE), indexing="ij")
    frequency = np.hypot(fx, fy * stretch)
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(chance.standard_normal((SIZE, SIZE))) / frequency ** (slope + 1)
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, (SIZE, SIZE))
    low, high = np.percentile(field, (1, 99))
    return np.clip((field - low) / max(high - low, 1e-9), 0, 1)


def _soften_step(field: np.ndarray, edge: float, softness: float) -> np.ndarray:
    return np.clip((field - edge) / max(softness, 1e-3) + 0.5, 0, 1)


def _stripes(chance: np.random.Generator) -> np.ndarray:
    u, v = _grid()
    a, b = chance.integers(0, 7), chance.integers(-3, 6)
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * (a * u + (b or 2) * v) + chance.uniform(0, 4) * make_noise(chance, 2) * 0.5)
    return _soften_step(wave, chance.uniform(0.25, 0.75), chance.choice([0.05, 0.3, 1]))


def _checker(chance: np.random.Generator) -> np.ndarray:
    u, v = _grid()
    n = 2 * chance.integers(1, 6)
    return ((np.floor(u * n) + np.floor(v * n)) % 2).astype(float)


def _spots(chance: np.random.Generator) -> np.ndarray:
    u, v = _grid()
    nearest = np.full((SIZE, SIZE), 9.0)
    for x, y in chance.random((chance.integers(4, 40), 2)):
        du, dv = np.abs(u - x), np.abs(v - y)
        nearest = np.minimum(nearest, np.hypot(np.minimum(du, 1 - du), np.minimum(dv, 1 - dv)))
    return 1 - _soften_step(nearest, chance.uniform(0.03, 0.1), chance.choice([0.01, 0.05]))


def _gradient(chance: np.random.Generator) -> np.ndarray:
    u, v = _grid()
    return 0.5 + 0.5 * np.cos(2 * np.pi * (v if chance.random() < 0.7 else u) + chance.uniform(0, 6))


def _rings(chance: np.random.Generator) -> np.ndarray:
    u, v = _grid()
    along, across = (u, v) if chance.random() < 0.5 else (v, u)
    bend = make_noise(chance, 1.8, chance.choice([0.15, 0.3]) if along is v else 1.0)
    rings = (chance.integers(3, 9) * across + chance.uniform(0.5, 2.5) * bend) % 1
    fibres = make_noise(chance, 0.3, 0.05 if along is v else 6)
    return np.clip(0.75 * np.abs(2 * rings - 1) + 0.25 * fibres, 0, 1)


def _bricks(chance: np.random.Generator) -> np.ndarray:
    u, v = _grid()
    rows, columns, gap = 2 * chance.integers(2, 6), chance.integers(2, 5), chance.uniform(0.04, 0.12)
    y = v * rows
    x = u * columns + 0.5 * (np.floor(y) % 2)
    inside = (np.minimum(x % 1, 1 - x % 1) > gap / 2) & (np.minimum(y % 1, 1 - y % 1) > gap)
    return np.where(inside, 0.15 * make_noise(chance, 1), 1.0)


def _weave(chance: np.random.Generator) -> np.ndarray:
    u, v = _grid()
    n = chance.integers(8, 28)
    over = np.sin(np.pi * n * u) ** 2, np.sin(np.pi * n * v) ** 2
    return np.where((np.floor(u * n) + np.floor(v * n)) % 2 > 0, over[0], 1 - over[1])


def _worn(chance: np.random.Generator) -> np.ndarray:
    return _soften_step(make_noise(chance, chance.uniform(0.5, 1.2)), chance.uniform(0.55, 0.8), 0.08)


def _brushed(chance: np.random.Generator) -> np.ndarray:
    return make_noise(chance, chance.uniform(0, 0.6), chance.choice([0.03, 0.08]))


def _noise(chance: np.random.Generator) -> np.ndarray:
    return make_noise(chance, chance.uniform(0.4, 2))


PATTERN_MAKERS = dict(zip(PATTERNS, (_noise, _stripes, _checker, _spots, _gradient, _rings, _bricks, _weave, _worn,
                                     _brushed)))


def _lerp(a, b, t):
    return a + (b - a) * t


def _blur(field: np.ndarray) -> np.ndarray:
    """A hard-edged pattern as a height whose slopes a map can hold."""
    for axis in (0, 1):
        for _ in range(2):
            field = (np.roll(field, 1, axis) + 2 * field + np.roll(field, -1, axis)) / 4
    return field


def _make_normal_map(height: np.ndarray, strength: float) -> np.ndarray:
    """Tangent-space normal map (SIZE, SIZE, 3) uint8 of a tiling height, green along +V; row 0 is the top."""
    du = (np.roll(height, -1, 1) - np.roll(height, 1, 1)) / 2
    dv = (np.roll(height, 1, 0) - np.roll(height, -1, 0)) / 2
    normal = np.stack([-du * strength, -dv * strength, np.ones_like(height)], -1)
    return _to_bytes(0.5 + 0.5 * unit(normal))


def _to_bytes(field: np.ndarray) -> np.ndarray:
    return np.round(np.clip(field, 0, 1) * 255).astype(np.uint8)
