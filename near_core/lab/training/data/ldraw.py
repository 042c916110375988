"""The parts of an LDraw library as meshes (ldraw.org, file format 1.0.2): some thousands of real things to learn from.

A file's lines begin with their kind: 0 a remark or a statement, 1 another file with a colour, a place and a matrix, 3 a
triangle, 4 a quadrilateral. Colour 16 is the one that whoever includes the file gives it. Y points down, 1 unit is 0.4
mm.
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from pathlib import Path

import numpy as np

from ....errors import NearError
from ....image import srgb_decode
from ....mesh import Material, Mesh, normalize

FOLDERS = {"": ("parts", "p"), "s/": ("parts/s",), "48/": ("p/48",), "8/": ("p/8",)}
INHERITED = 16
EACH = 7  # parts of one kind, at most
LEFT_OUT = ("sticker", "sheet", "baseplate", "cardboard", "string", "obsolete", "needs work", "cloth")
TRIANGLES = 12, 120_000
FLAT = 0.06  # of the longest side: what is thinner says little
MATERIALS = {"CHROME": (0.1, 1.0), "METAL": (0.3, 1.0), "PEARLESCENT": (0.4, 0.5), "RUBBER": (0.9, 0.0)}
PLASTIC = 0.25, 0.0  # roughness, metallic


class LdrawLibrary:
    """A folder that holds LDConfig.ldr, parts and p. Raises NearError when it is none."""

    def __init__(self, folder: Path):
        if not (folder / "LDConfig.ldr").is_file() or not (folder / "parts").is_dir():
            raise NearError(f"{folder} is no LDraw library.", "Choose the folder that holds LDConfig.ldr and parts.")
        self.files = {prefix + path.name.lower(): path for prefix, places in FOLDERS.items() for place in places[::-1]
                      for path in (folder / place).glob("*.dat")}
        self.colors: dict[int, Material] = {}
        for line in (folder / "LDConfig.ldr").read_text("latin1").splitlines():
            found = re.match(r"0 !COLOUR (\S+)\s+CODE\s+(\d+)\s+VALUE\s+#(\w{6})", line)
            if found:
                roughness, metallic = next((f for word, f in MATERIALS.items() if word in line), PLASTIC)
                self.colors[int(found[2])] = Material(found[1], _parse_color(found[3]), roughness, metallic)
        self.solid = [code for code in sorted(self.colors) if code not in (INHERITED, 24)]
        self._kept: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def list_parts(self) -> list[str]:
        """Names of parts, at most EACH of a kind: one for every number, without patterns, stickers and what has
        moved."""
        kinds: dict[str, list[str]] = defaultdict(list)
        for name, path in sorted(self.files.items()):
            if path.parent.name != "parts" or not re.fullmatch(r"[a-z]?\d+[a-z]?\.dat", name):
                continue
            lines = path.read_text("latin1").splitlines()[:15]
            title = lines[0][2:].strip() if lines else ""
            if (not title or title[0] in "~=_|" or any(word in title.lower() for word in LEFT_OUT)
                    or not any("!LICENSE Redistributable" in line for line in lines)):
                continue
            words = title.split()
            kind = words[:2] if words[0] in ("Minifig", "Animal", "Technic", "Figure") else words[:1]
            kinds[" ".join(kind)].append(name)
        return sorted(name for names in kinds.values() for name in sorted(names, key=_hash_name)[:EACH])

    def read_mesh(self, part: str) -> Mesh:
        """A part in a colour drawn by its name, in the asset's frame: Z up, centred, its longest side 1.

        Raises NearError when it is damaged, flat, or too large.
        """
        try:
            corners, codes = self._read(part)
        except (KeyError, ValueError, RecursionError) as error:
            raise NearError(f"{part} can't be read: {error}.", "Leave it out.") from None
        size = np.ptp(corners.reshape(-1, 3), axis=0) if len(corners) else np.zeros(3)
        if not TRIANGLES[0] <= len(corners) <= TRIANGLES[1] or size.min() < FLAT * size.max():
            raise NearError(f"{part} is flat, or its {len(corners)} triangles are too few or many.", "Leave it out.")
        codes = np.where(codes == INHERITED, self.solid[_hash_name(part) % len(self.solid)], codes)
        used, index = np.unique(codes, return_inverse=True)
        direct = lambda code: Material(f"direct {code:x}", _parse_color(f"{code & 0xFFFFFF:06x}"), *PLASTIC)
        materials = tuple(self.colors.get(int(code)) or direct(int(code)) for code in used)
        upright = corners.reshape(-1, 3)[:, [0, 2, 1]] * (1, 1, -1)
        vertices, faces = np.unique(np.round(upright, 4), axis=0, return_inverse=True)
        return normalize(Mesh(vertices.astype(np.float32), faces.reshape(-1, 3).astype(np.int32),
                               material_index=index.reshape(-1).astype(np.int32), materials=materials))[0]

    def _read(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Triangles (N, 3, 3) and their colour codes (N,) of a file, in its own frame, wound as it says."""
        name = name.lower().replace("\\", "/")
        if name in self._kept:
            return self._kept[name]
        corners, codes, parts = [], [], []
        clockwise = inverted = False
        for line in self.files[name].read_text("latin1").splitlines():
            words = line.split()
            if words[:2] == ["0", "BFC"]:
                clockwise = ("CW" in words) or (clockwise and "CCW" not in words)
                inverted = "INVERTNEXT" in words
            elif words and words[0] in "34":
                count = int(words[0])
                polygon = np.array(words[2:2 + 3 * count], float).reshape(count, 3)[::-1 if clockwise else 1]
                for second in range(1, count - 1):
                    corners.append(polygon[[0, second, second + 1]])
                    codes.append(int(words[1], 0))
            elif words and words[0] == "1":
                place, turn = np.array(words[2:5], float), np.array(words[5:14], float).reshape(3, 3)
                inner, codes_in = self._read(" ".join(words[14:]))
                inner = inner @ turn.T + place
                parts.append((inner[:, ::-1] if (np.linalg.det(turn) < 0) != inverted else inner,
                              np.where(codes_in == INHERITED, int(words[1], 0), codes_in)))
                inverted = False
        parts.append((np.array(corners).reshape(-1, 3, 3), np.array(codes, np.int64)))
        made = np.concatenate([p for p, _ in parts]), np.concatenate([c for _, c in parts])
        if self.files[name].parent.name != "parts":  # what many parts are made of
            self._kept[name] = made
        return made


def _parse_color(value: str) -> tuple[float, float, float, float]:
    red, green, blue = srgb_decode(np.array([int(value[i:i + 2], 16) / 255 for i in (0, 2, 4)]))
    return float(red), float(green), float(blue), 1.0


def _hash_name(name: str) -> int:
    return zlib.crc32(name.encode())
