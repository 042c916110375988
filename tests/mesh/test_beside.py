"""near_core.mesh.beside: what a mesh file may open beside itself."""


import pytest

from near_core import mesh
from near_core.errors import NearError
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
