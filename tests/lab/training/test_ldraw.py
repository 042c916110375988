"""Parts of an LDraw library."""

import numpy as np
import pytest

pytest.importorskip("torch")

from near_core.errors import NearError
from near_core.lab.training.data import ldraw
from near_core.mesh import compute_face_normals


def test_ldraw_parts_are_meshes(tmp_path):
    """A box of two files: a wall that another file places six times, mirrored and turned, in colours of its own."""
    with pytest.raises(NearError, match="is no LDraw library"):
        ldraw.LdrawLibrary(tmp_path)
    (tmp_path / "parts").mkdir()
    (tmp_path / "p").mkdir()
    (tmp_path / "LDConfig.ldr").write_text(
        "0 !COLOUR Red CODE 4 VALUE #FF0000 EDGE #000000\n"
        "0 !COLOUR Chrome_Gold CODE 334 VALUE #BBA53D EDGE #BBA53D CHROME\n"
        "0 !COLOUR Main CODE 16 VALUE #7F7F7F EDGE #333333\n")
    (tmp_path / "p" / "wall.dat").write_text(
        "0 A wall\n0 BFC CERTIFY CCW\n4 16 -1 1 -1 1 1 -1 1 1 1 -1 1 1\n3 16 0 1 0 1 1 1 1 1 1\n")
    turns = ("1 0 0 0 1 0 0 0 1", "1 0 0 0 -1 0 0 0 1", "1 0 0 0 0 -1 0 1 0", "1 0 0 0 0 1 0 -1 0",
             "0 1 0 -1 0 0 0 0 1", "0 -1 0 1 0 0 0 0 1")
    head = "0 {}\n0 Author: nobody\n0 !LICENSE Redistributable under CCAL version 2.0\n"
    (tmp_path / "parts" / "8.dat").write_text(head.format("Box") + "".join(
        f"1 {c} 0 0 0 {t} wall.dat\n" for c, t in zip((16, 16, 16, 16, 334, 16), turns)))
    (tmp_path / "parts" / "90.dat").write_text(head.format("~Moved to 8") + "1 16 0 0 0 1 0 0 0 1 0 0 0 1 8.dat\n")
    (tmp_path / "parts" / "91.dat").write_text(head.format("Broken") + "1 16 0 0 0 1 0 0 0 1 0 0 0 1 nothing.dat\n")
    library = ldraw.LdrawLibrary(tmp_path)
    assert library.list_parts() == ["8.dat", "91.dat"]
    with pytest.raises(NearError, match="can't be read"):
        library.read_mesh("91.dat")
    mesh = library.read_mesh("8.dat")
    assert np.abs(mesh.vertices).max(0) == pytest.approx(0.5) and len(mesh.faces) == 18
    assert sorted((m.name, m.metallic) for m in mesh.materials) == [("Chrome_Gold", 1), ("Red", 0)]
    middles = mesh.vertices[mesh.faces].mean(1)
    normal, area = compute_face_normals(mesh)
    facing = (normal * middles).sum(1)[area > 1e-6]
    assert (facing > 0).all() or (facing < 0).all()  # mirrored walls are wound like the others
    at = lambda face: mesh.materials[mesh.material_index[face]].name
    assert (at(middles[:, 0].argmax()), at(middles[:, 0].argmin())) == ("Chrome_Gold", "Red")
