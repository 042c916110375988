"""near_core.mesh.files: files by their suffix, and files that are not what they say."""


import pytest
import trimesh

from near_core import mesh
from near_core.errors import NearError


@pytest.mark.parametrize("suffix", [".glb", ".obj", ".ply"])
def test_truncated_files_are_named(tmp_path, suffix):
    whole = trimesh.creation.icosphere(2).export(file_type=suffix[1:])
    whole = whole.encode() if isinstance(whole, str) else whole
    path = tmp_path / f"cut{suffix}"
    for length in (0, 3, 11, 15, 40, 200, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:length])
        try:
            mesh.load(path)  # a shorter .obj may still be a mesh
        except NearError as error:
            assert "cut" in error.what and error.fix
        else:
            assert suffix == ".obj" and length > 200


def test_unknown_files(tmp_path):
    (tmp_path / "a.blend").write_bytes(b"BLENDER")
    for path in (tmp_path / "a.blend", tmp_path / "none.glb"):
        with pytest.raises(NearError):
            mesh.load(path)
