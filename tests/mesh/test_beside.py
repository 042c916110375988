"""near_core.mesh.beside: what a mesh file may open beside itself."""

from pathlib import Path

import pytest

from near_core import mesh
from near_core.errors import NearError
from near_core.mesh import beside
from tests.attacks.hunt import is_said_well
from tests.gltf import TRIANGLE, gltf


def test_files_outside_of_the_folder_stay_closed(tmp_path):
    (tmp_path / "secret.bin").write_bytes(TRIANGLE.tobytes())
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link.bin").symlink_to(tmp_path / "secret.bin")
    for uri in ("../secret.bin", "%2e%2e/secret.bin", str(tmp_path / "secret.bin"), "link.bin", "file:///etc/passwd"):
        with pytest.raises(NearError):
            mesh.load(gltf(inside / "a.gltf", {"POSITION": TRIANGLE},
                           header={"buffers": [{"byteLength": 36, "uri": uri}]}))
    (inside / "part.bin").write_bytes(TRIANGLE.tobytes())
    loaded = mesh.load(gltf(inside / "a.gltf", {"POSITION": TRIANGLE},
                            header={"buffers": [{"byteLength": 36, "uri": "part.bin"}]}))
    assert len(loaded.faces) == 1


@pytest.mark.parametrize("name", ["//server/share/a.bin", "\\\\server\\share\\a.bin", "C:\\a.bin", "/net/server/a.bin",
                                  "", ".", "..", "a\0b", "x" * 5000, "loop"])
def test_other_machines_are_not_asked_and_no_name_is_too_odd(tmp_path, monkeypatch, name):
    """A path of a server, even where it is only looked at, has Windows tell that server who is here."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    looked, resolve = [], Path.resolve
    monkeypatch.setattr(Path, "resolve", lambda path: looked.append(str(path)) or resolve(path))
    with pytest.raises(NearError) as raised:
        beside.read_beside(tmp_path / "a.gltf", name)
    assert is_said_well(raised.value) and not [path for path in looked if "server" in path or ":" in path]
