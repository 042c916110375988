"""Published checkpoints on disk: what there is, where it comes from, fetching and verifying it.

Only Python's standard library: this runs in Blender's own Python, before any other is set up.
"""

from __future__ import annotations

import json
import os
import re
import urllib.parse
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from .. import files
from ..errors import NearError
from ..progress import Progress, part, silent
from . import download

LONGEST, DEEPEST = 200, 8  # bytes of a name, and folders: systems take no more than 255, less our endings
RECORD = "near-download.json"  # in the folder: what was asked for; its presence says that the folder is ours
WEIGHTS = (".safetensors", ".pt", ".pth")
WANTED = (".json", ".yaml", *WEIGHTS)
MOST_FILES = 1000


@dataclass(frozen=True)
class Source:
    """A published checkpoint. repository: OWNER/NAME on the hub; page: what a person reads about it; use: what it is
    for. chosen: the model that draws; others stand beside it. parts: pattern of the paths that are wanted."""

    name: str
    title: str
    repository: str
    licence: str
    notes: str
    page: str
    use: str
    chosen: bool = False
    parts: str = ""


CATALOGUE = {each.name: each for each in (
    Source("near", "NeAR", "luh0502/NeAR", "Apache-2.0, as its page says",
           "Its page excludes no territory. The authors' own pipeline takes meshes from Hunyuan3D-2.1, whose licence "
           "excludes the European Union, the United Kingdom and South Korea; that is not part of this download.",
           "https://huggingface.co/luh0502/NeAR", "draws assets, and gives the voxels of new ones their latent",
           chosen=True),
    Source("dinov2", "DINOv2 ViT-L/14 with registers", "facebook/dinov2-with-registers-large",
           "Apache-2.0, as its page says", "Its licence excludes no territory.",
           "https://huggingface.co/facebook/dinov2-with-registers-large",
           "reads photos for NeAR and TRELLIS; needed to create from photos", parts=r"config\.json|model\.safetensors"),
    Source("trellis", "TRELLIS, structure networks", "microsoft/TRELLIS-image-large", "MIT, as its page says",
           "Its licence excludes no territory.", "https://huggingface.co/microsoft/TRELLIS-image-large",
           "tells an object's shape from photos; not needed where a mesh gives the shape",
           parts=r"pipeline\.json|ckpts/ss_(flow_img|dec)_.*"))}


@dataclass(frozen=True)
class File:
    """A file of a checkpoint. path: relative; size: bytes; digest: as download.fetch takes it."""

    path: str
    size: int
    digest: str


@dataclass
class Record:
    """What a folder was downloaded from. revision: the commit; verified: every hash was found to be right."""

    repository: str
    revision: str
    files: list[File] = field(default_factory=list)
    verified: bool = False


def find_hub() -> str:
    """The hub's address; HF_ENDPOINT names another, as for the hub's own tools."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def find(name: str) -> Source:
    """A source by name. Raises NearError."""
    if name not in CATALOGUE:
        raise NearError("There is no checkpoint named {name}.", "Choose from {choices}.", name=name,
                        choices=", ".join(CATALOGUE))
    return CATALOGUE[name]


def look_up(source: Source) -> Record:
    """Asks the hub for the newest revision and its files, with sizes and hashes. Raises NearError."""
    repository = urllib.parse.quote(source.repository)
    try:
        revision = str(json.loads(download.read(f"{find_hub()}/api/models/{repository}"))["sha"])
        listed = json.loads(download.read(f"{find_hub()}/api/models/{repository}/tree/{revision}?recursive=true"))
        files = [_checked(_file(entry)) for entry in listed if entry["type"] == "file"]
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise NearError("The hub's description of {name} could not be read.", "Try again later.",
                        name=source.title) from error
    wanted = [each for each in _wanted(files) if re.fullmatch(source.parts or ".*", each.path)]
    if not re.fullmatch(r"\w{7,64}", revision) or not wanted or len(wanted) > MOST_FILES:
        raise NearError("{name} holds no checkpoint.", "Look at its page.", name=source.repository)
    return Record(source.repository, revision, wanted)


def _file(entry: dict) -> File:
    path = PurePosixPath(entry["path"])
    if path.is_absolute() or ".." in path.parts or re.search(r'[\\:*?"<>|\x00-\x1f]', entry["path"]) \
            or max(map(len, map(str.encode, path.parts)), default=0) > LONGEST or len(path.parts) > DEEPEST:
        raise ValueError("path")
    large = entry.get("lfs")
    if large:
        return File(str(path), int(large["size"]), f"sha256:{large['oid']}")
    return File(str(path), int(entry["size"]), f"git:{entry['oid']}")


def _wanted(files: list[File]) -> list[File]:
    """Settings and weights; where weights come in several formats, the safe one."""
    safe = {each.path.removesuffix(".safetensors") for each in files}
    return [each for each in files if each.path.endswith(WANTED) and not (
        each.path.endswith(WEIGHTS[1:]) and each.path.rpartition(".")[0] in safe)]


def fetch(name: str, folder: Path, progress: Progress = silent) -> Record:
    """Downloads a checkpoint, or what is missing of it; an interrupted call goes on with the revision it began.

    Raises NearError, or what progress raises; both leave what has come so far.
    """
    folder, source = Path(folder), find(name)
    files.make_folder(folder)
    progress("Asking for sizes and hashes", 0.0)
    record = read_record(folder) or look_up(source)
    write_record(folder, record)
    total, done = max(1, sum(each.size for each in record.files)), 0
    for each in record.files:
        step = part(progress, done / total, (done + each.size) / total)
        if size_on_disk(folder, each) != each.size:
            url = f"{find_hub()}/{urllib.parse.quote(record.repository)}/resolve/{record.revision}/" \
                  f"{urllib.parse.quote(each.path)}"
            download.fetch(url, folder / each.path, each.digest, each.size, step)
        done += each.size
    record.verified = True
    write_record(folder, record)
    return record


def verify(folder: Path, progress: Progress = silent) -> Record:
    """Reads every file and compares its hash. Raises NearError that names the first that is missing or differs."""
    folder = Path(folder)
    record = read_record(folder)
    if record is None:
        raise NearError("Nothing was downloaded into this folder.", "Download the checkpoint first.")
    record.verified = False
    write_record(folder, record)
    total, done = max(1, sum(each.size for each in record.files)), 0
    for each in record.files:
        step = part(progress, done / total, (done + each.size) / total)
        if size_on_disk(folder, each) != each.size:
            raise NearError("{file} is not complete.", "Download again; only what is missing is fetched.",
                            file=each.path)
        if not download.matches(folder / each.path, each.digest, step):
            files.remove(folder / each.path)
            raise NearError("{file} was damaged and has been removed: its hash differs.",
                            "Download again; only what is missing is fetched.", file=each.path)
        done += each.size
    record.verified = True
    write_record(folder, record)
    return record


def remove(folder: Path) -> None:
    """Deletes a folder that fetch made; others are left alone."""
    if os.path.isfile(Path(folder) / RECORD):
        files.remove(folder)


def count_bytes(folder: Path, record: Record) -> int:
    """Bytes of a record's files that are there, parts included."""
    return sum(size_on_disk(folder, each) or size_on_disk(folder, File(each.path + ".part", 0, ""))
               for each in record.files)


def size_on_disk(folder: Path, each: File) -> int:
    """Bytes of a file of a checkpoint that are there; 0 where it is not."""
    path = Path(folder) / each.path
    return path.stat().st_size if os.path.isfile(path) else 0


def read_record(folder: Path) -> Record | None:
    """What a folder was downloaded from; None where it was not, or nobody can tell."""
    try:
        stored = json.loads(files.read(Path(folder) / RECORD))
        record = Record(**stored | {"files": [_checked(File(**each)) for each in stored["files"]]})
        fits = (re.fullmatch(r"[\w.-]+/[\w.-]+", record.repository, re.ASCII)
                and re.fullmatch(r"\w{7,64}", record.revision, re.ASCII) and isinstance(record.verified, bool))
        return record if fits else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
        return None


def _checked(each: File) -> File:
    _file({"path": each.path, "size": each.size, "oid": ""})
    if not (isinstance(each.digest, str) and isinstance(each.size, int) and 0 <= each.size < 2**60):
        raise ValueError("a file's size or hash")
    return each


def write_record(folder: Path, record: Record) -> None:
    """Notes what a folder is downloaded from, so that a later start goes on with the same. Raises NearError."""
    files.write(Path(folder) / RECORD, json.dumps(asdict(record), indent=1))
