"""The extension NeAR Matte: a larger network that finds objects in photos, packed apart for those who want it."""

import hashlib
import json
import shutil
import tarfile
import zlib
from pathlib import Path

from .packing import list_archives, read_version, write_zip
from .shell import CACHE, DIST, PYTHON, ROOT, Stop, run, say, step

PACKAGE = "@imgly/background-removal-data@1.4.5"  # of the npm registry
MODEL = "/models/medium"  # ISNet, of 16 bits; the small one also computes in 8 bits, which leaves specks
SHA256 = "b6e8497ba978a6f5fbb647e419d2696cd80df5a23cb6a8ea532021911bd76acb"
MANIFEST = '''schema_version = "1.0.0"
id = "near_matte"
version = "{version}"
name = "NeAR Matte"
tagline = "A larger network that finds objects in photos, for NeAR"
maintainer = "NeAR maintainers"
type = "add-on"
blender_version_min = "4.2.0"
license = ["SPDX:AGPL-3.0-only"]
tags = ["Import-Export"]
'''
SOURCE = '''isnet.onnx is made of the network that `npm pack {package}` brings in pieces, {model} in its
dist/resources.json, put together in the order of their offsets (SHA-256 {digest}):

    python shrink.py WHOLE.onnx isnet.onnx

Python packages: numpy 1.26, onnx.
'''
ENTRY = '''"""A network that the extension NeAR finds here; nothing of it runs by itself."""


def register():
    pass


def unregister():
    pass
'''


def pack(package: Path) -> Path:
    """Packs dist/near-matte.zip. package: the file that `npm pack` wrote of PACKAGE. Returns the zip's path."""
    with step("pack"):
        staging, whole = CACHE / "matte", CACHE / "isnet.onnx"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        data, licence = _read(package)
        whole.write_bytes(data)
        run(PYTHON, "-m", "release.isnet", whole, staging / "isnet.onnx", quiet=True)
        (staging / "model.json").write_text(json.dumps({"digest": SHA256, "graphs": ["isnet"]}))
        (staging / "LICENSE").write_bytes(licence)
        (staging / "NOTICE").write_text(_tell_licence())
        (staging / "SOURCE").write_text(SOURCE.format(package=PACKAGE, model=MODEL, digest=SHA256))
        shutil.copy(ROOT / "release" / "isnet.py", staging / "shrink.py")
        (staging / "__init__.py").write_text(ENTRY)
        (staging / "blender_manifest.toml").write_text(MANIFEST.format(version=read_version()))
        archive = DIST / "near-matte.zip"
        DIST.mkdir(exist_ok=True)
        write_zip(staging, archive)
        if (DIST / "index.json").is_file():
            list_archives(DIST)
    say(f"{archive.relative_to(ROOT)}: {archive.stat().st_size / 1e6:.1f} MB")
    return archive


def _read(package: Path) -> tuple[bytes, bytes]:
    """The network in a package, put together of its pieces, and the package's licence."""
    try:
        with tarfile.open(package) as files:
            read = lambda name: files.extractfile(f"package/{name}").read()
            pieces = json.loads(read("dist/resources.json"))[MODEL]["chunks"]
            data = b"".join(read(f"dist/{each['hash']}") for each in sorted(pieces, key=lambda each: each["offsets"]))
            licence = read("LICENSE.md")
    except (OSError, EOFError, LookupError, ValueError, TypeError, AttributeError, tarfile.TarError,
            zlib.error) as error:
        raise Stop(f"{package} is not what `npm pack {PACKAGE}` writes.") from error
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise Stop(f"The network in {package} is not the one that was looked at. Take `npm pack {PACKAGE}`.")
    return data, licence


def _tell_licence() -> str:
    """What NOTICE says of the network."""
    return next(part for part in (ROOT / "NOTICE").read_text().split("\n\n") if part.startswith("The extension")) + "\n"
