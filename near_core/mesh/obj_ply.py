"""OBJ and PLY files as meshes, read by trimesh."""

from __future__ import annotations

import codecs
import io
import logging
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..errors import Message, NearError, join
from ..image.guard import FORMATS
from . import texture
from .beside import read_beside
from .mesh import MAX_TRIANGLES, Material, Mesh, merge, too_many, turn_upright

# options of a map in an .mtl -> how many values may follow
_OPTIONS = {"-blendu": 1, "-blendv": 1, "-cc": 1, "-clamp": 1, "-texres": 1, "-bm": 1, "-boost": 1, "-imfchan": 1,
            "-type": 1, "-mm": 2, "-o": 3, "-s": 3, "-t": 3}
MAX_MATERIALS = 2000  # each goes through all vertices
MOST_TOLD = 5  # of the files that a mesh does without
logging.getLogger("trimesh").addHandler(logging.NullHandler())  # else it prints what it does not find
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)


def read(path: Path, notes: list[str] | None = None) -> Mesh:
    """All geometry of the file; OBJ is turned to Z-up, PLY is Z-up already. notes: takes a sentence for each file that
    it does without. Raises NearError."""
    try:
        from trimesh.exchange.obj import load_obj
        from trimesh.exchange.ply import load_ply
    except ImportError as error:
        raise NearError("Reading {file} needs the Python package trimesh.", "Use a .glb file.",
                        file=path.name) from error
    obj, data, folder = path.suffix.lower() == ".obj", files.read(path), _Folder(path)
    data = _clean(data) if obj else data
    (_check_materials if obj else _check_counts)(data, path)
    try:
        loaded = (load_obj if obj else load_ply)(io.BytesIO(data), resolver=folder)
        found = [each for each in loaded.get("geometry", {"": loaded}).values() if len(each.get("faces", ()))]
        if not found:
            raise NearError("{file} has no faces.", "Choose a mesh with a surface.", file=path.name)
        parts, materials = zip(*(_part(arguments, index, obj, folder) for index, arguments in enumerate(found)))
        if notes is not None:
            notes += list(folder.lost.values())[:MOST_TOLD]
        return merge(list(parts), materials)
    except (NearError, MemoryError):
        raise
    except Exception as error:  # trimesh raises what it meets
        raise NearError("{file} is damaged or not complete.", "Export the mesh again.", file=path.name) from error


def _clean(text: bytes) -> bytes:
    """An .obj or .mtl without the mark of its encoding, its lines ended as everywhere: those of old Macs end
    otherwise."""
    text = text.removeprefix(codecs.BOM_UTF8)
    return text if b"\n" in text else text.replace(b"\r", b"\n")


def read_flags(path: Path) -> set[str]:
    """What the materials that an .obj names hold: flat always, alpha where a map cuts holes, blend where one is less
    than half opaque. Raises NearError when the file can't be read."""
    found = {"flat"}
    try:
        named = re.findall(rb"^mtllib[ \t]+(\S.*)", _clean(files.read(path)), re.MULTILINE)
    except OSError as error:
        raise NearError("{file} could not be read ({reason}).", "Check the file.", file=path.name,
                        reason=error.strerror) from error
    for name in named:
        try:
            text = _clean(read_beside(path, name.decode(errors="replace").strip())).decode(errors="replace")
        except NearError:  # without materials it is grey
            continue
        found |= {"alpha"} if re.search(r"^[ \t]*map_d\b", text, re.MULTILINE | re.IGNORECASE) else set()
        found |= {"blend"} if any(float(d) < 0.5 for d in re.findall(
            r"^[ \t]*d[ \t]+(\d*\.?\d+)", text, re.MULTILINE)) else set()
    return found


class _Folder:
    """Where trimesh finds other files: beside the mesh and nowhere else."""

    def __init__(self, path: Path):
        self.path = path
        self.file_name = path.name
        self.read: dict[str, bytes] = {}  # thousands of materials may name one picture
        self.pictures: dict[str, np.ndarray] = {}
        self.lost: dict[str, Message] = {}  # what is wrong with the others, by their names

    def get(self, name: str) -> bytes:
        """The file `name`, which may be an absolute path of another machine; options of a map may stand before it.
        Raises FileNotFoundError, which trimesh expects."""
        name = _split_options(name)[0]
        for each in dict.fromkeys((name, re.split(r"[\\/]", name)[-1])):
            try:
                if each not in self.read:
                    data = read_beside(self.path, each)
                    self.read[each] = _clean(data) if each.lower().endswith(".mtl") else data
                if not _is_foreign(self.read[each]):
                    self.lost.pop(name, None)
                    return self.read[each]
                raise NearError("{file} is not a picture NeAR can read.", "Choose a .png, .jpg or .exr file.",
                                file=each)
            except NearError as error:
                self.lost[name] = join(error.what, error.fix)
        raise FileNotFoundError(name)

    __getitem__ = get

    def picture(self, image) -> np.ndarray | None:
        """A texture that trimesh opened, (h, w, 4) uint8. Raises NearError where it, or all of them, are too large."""
        if image is None:
            return None
        name = str(image.info.get("file_path", len(self.pictures)))
        if name not in self.pictures:
            texture.check_size(image.width, image.height, f"A texture of {self.path.name}")
            self.pictures[name] = np.asarray(image.convert("RGBA"))
            texture.require_room(self.pictures.values(), self.path.name)
        return self.pictures[name]


def _is_foreign(data: bytes) -> bool:
    """Whether Pillow would take the file for a picture of a kind that we do not have it read: some of these it hands to
    a program or to the system."""
    from PIL import Image

    try:
        return Image.open(io.BytesIO(data)).format not in (*FORMATS, "MPO")  # a phone's JPEG
    except Exception:  # it raises what it meets: no picture, or one that is damaged
        return False


def _check_materials(data: bytes, path: Path) -> None:
    count = len(set(re.findall(rb"usemtl[^\n]*", data)))
    if count > MAX_MATERIALS:
        raise NearError("{file} has {count:,} materials.", "Join those that are alike and export it again.",
                        file=path.name, count=count)


def _check_counts(data: bytes, path: Path) -> None:
    """A PLY header may promise anything; what it promises has to fit into the file before it is allocated."""
    header = data[:found.start()] if (found := re.search(rb"^end_header", data, re.MULTILINE)) else data
    for kind, count in re.findall(rb"^[ \t]*element[ \t]+(\w+)[ \t]+(\d+)", header, re.MULTILINE):
        promised = int(count[:19])  # of more digits than a file has bytes, the first say enough
        if kind == b"face" and promised > MAX_TRIANGLES:
            raise too_many(path.name, promised)
        if promised > len(data):
            raise NearError("{file} is damaged or not complete.", "Export the mesh again.", file=path.name)


def _part(arguments: dict[str, Any], index: int, y_up: bool, folder: _Folder) -> tuple[Mesh, Material]:
    """One geometry of a file, given as what trimesh's reader passes on to trimesh.Trimesh: its triangles, all of the
    material `index`, and that material."""
    from trimesh import Trimesh

    upright = turn_upright if y_up else np.asarray
    geometry = Trimesh(**{**arguments, "process": False})
    faces, visual = np.asarray(geometry.faces), geometry.visual
    if len(faces) > MAX_TRIANGLES:
        raise too_many("The mesh", len(faces))
    normal = uv = color = None
    given = arguments.get("vertex_normals")  # geometry.vertex_normals makes up what the file lacks
    if given is not None and np.shape(given) == geometry.vertices.shape:
        normal = upright(np.asarray(given, np.float32))[faces]
    if getattr(visual, "uv", None) is not None:
        _, scale, offset = _split_options(_name_picture(visual))
        uv = (np.asarray(visual.uv, np.float32)[:, :2] * scale + offset)[faces]
    if visual.kind == "vertex":
        code = np.asarray(visual.vertex_colors)
        color = np.concatenate([texture.LINEAR[code[:, :3]], code[:, 3:] / np.float32(255)], 1)[faces]
    elif visual.kind == "face":
        code = np.asarray(visual.face_colors)
        color = np.concatenate([texture.LINEAR[code[:, :3]], code[:, 3:] / np.float32(255)], 1)[:, None].repeat(3, 1)
    return Mesh(upright(np.asarray(geometry.vertices, np.float32)), faces, uv, normal, color,
                np.full(len(faces), index, np.int32)), _material(visual, folder)


def _material(visual, folder: _Folder) -> Material:
    """Kd linear, Ns as Blender reads it (roughness = 1 - sqrt(Ns / 1000)), and the Pr, Pm extension."""
    if visual.kind in ("vertex", "face"):
        return Material(base_color=(1.0, 1.0, 1.0, 1.0))
    source = getattr(visual, "material", None)
    extra = getattr(source, "kwargs", None) or {}
    if not extra and not _name_picture(visual):  # trimesh puts a dark picture where there is no material
        return Material()
    number = lambda key, default: float(np.ravel(extra.get(key, default))[0])
    color = [float(x) for x in np.ravel(extra.get("kd", (1, 1, 1)))]
    shine = number("ns", 250.0)
    picture = folder.picture(source.image)
    return Material(
        name=str(source.name or ""), base_color=(*(color * 3)[:3], number("d", 1.0)),
        roughness=number("pr", 1 - math.sqrt(min(max(shine, 0), 1000) / 1000)), metallic=number("pm", 0.0),
        base_color_map=picture if picture is None or "map_d" in extra else texture.drop_alpha(picture))


def _name_picture(visual) -> str:
    """What the .mtl says of the picture that a visual shows: options and file name, "" without one."""
    image = getattr(getattr(visual, "material", None), "image", None)
    return "" if image is None else str(image.info.get("file_path", ""))


def _split_options(text: str) -> tuple[str, np.ndarray, np.ndarray]:
    """The file name of a map's line in an .mtl, and the scale and offset (2,) float32 of its UVs (-s, -o)."""
    words, placed = text.split(), {"-s": np.ones(2, np.float32), "-o": np.zeros(2, np.float32)}
    while len(words) > 1 and words[0] in _OPTIONS:
        most, option, values = _OPTIONS[words[0]], words.pop(0), []
        while len(values) < most and len(words) > 1 and (most == 1 or _NUMBER.fullmatch(words[0])):
            values.append(words.pop(0))
        if option in placed:
            placed[option][:len(values[:2])] = [float(value) for value in values[:2]]
        text = " ".join(words)
    return text.strip(), placed["-s"], placed["-o"]
