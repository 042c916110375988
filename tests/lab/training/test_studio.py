"""Objects that are packed, bent and photographed anew, against what the mesh itself and Cycles' cameras say."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("manifold3d")

from near_core.create.view import cell_centres  # noqa: E402
from near_core.lab.datasets import procedural  # noqa: E402
from near_core.lab.training.data import bending, packed_objects, raster, relight, samples, scenes, studio  # noqa: E402
from near_core.lab.training.stages import (
    joint,  # noqa: E402
    structure,
)
from near_core.scene import camera as cameras  # noqa: E402

CPU = torch.device("cpu")
SEEDS = (3, 8)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Meshes, what they are packed as, and a studio of them under a grey sky with one sun."""
    from safetensors.numpy import save_file
    folder = tmp_path_factory.mktemp("pool")
    found = [procedural.make(seed) for seed in SEEDS]
    for seed, mesh in zip(SEEDS, found):
        save_file(packed_objects.pack_surface(mesh) | {"finished": np.array(True)}, folder / f"{seed}.safetensors")
    packed = [packed_objects.load_object(folder / f"{seed}.safetensors") for seed in SEEDS]
    sky = np.full((32, 64, 3), 0.5, np.float32)
    sky[6:8, 10:12] = 60
    save_file(packed_objects.prepare_lights([sky]), folder / "lights.safetensors")
    coarse, fine, suns = packed_objects.load_lights(folder / "lights.safetensors", CPU)
    return found, packed, studio.Studio(packed, fine, suns, CPU), coarse


def test_what_is_packed_is_the_surface(made):
    found, packed, _, _ = made
    for mesh, kept in zip(found, packed):
        points = samples.sampling.sample_points(mesh, 4)
        from scipy.spatial import cKDTree
        apart = cKDTree(points.position).query(kept.position)[0] * 128
        assert np.median(apart) < 0.6 and apart.max() < 2  # cells
        assert np.linalg.norm(kept.normal, axis=1) == pytest.approx(1, abs=1e-4)
        assert (np.unpackbits(kept.inside).reshape(128, 128, 128) == samples.find_inside(
            samples.sampling.sample_points(mesh, samples.SAMPLES).position)).all()


def test_bending_is_undone():
    rng = torch.Generator().manual_seed(1)
    changed = bending.Bending(torch.tensor([False, True]), rng)
    points = torch.rand(400, 3, generator=rng) - 0.5
    of = torch.arange(400) % 2
    bent = changed.bend(points, of)
    assert torch.equal(bent[of == 1], points[of == 1])
    assert (bent - points)[of == 0].abs().max() > 0.02
    assert (changed.unbend(bent, of) - points).abs().max() < 2e-3


def test_a_still_object_is_seen_as_its_mesh_is(made):
    """Depth, thickness and normals of a splatted object are those that `train subjects` finds of its mesh."""
    found, _, room, _ = made
    scene = scenes.Scene(room.stock, np.arange(2), 2)
    camera = cameras.orbit(30, 20, 2.4, 40, raster.RASTER, raster.RASTER)
    matrix = torch.from_numpy(camera.world_to_camera.astype(np.float32)).expand(2, 4, 4).contiguous()
    side = camera.width / camera.intrinsics[0, 0]
    window = torch.tensor([[0, 0, side]] * 2, dtype=torch.float32)
    front, back, row = raster.rasterize_surfels(scene.position, scene.tangents, scene.entry, matrix, window)
    for number, mesh in enumerate(found):
        depth, rest = samples.render_layers(samples.sampling.sample_points(mesh, 16), camera)
        both = (row[number].numpy() >= 0) & (rest[-1] > 0)
        assert both.sum() > 0.97 * (rest[-1] > 0).sum()
        off = front[number].numpy()[both] - 2.4 - depth[0][both]
        assert np.median(np.abs(off)) < 0.004 and np.percentile(np.abs(off), 95) < 0.02
        off = (back - front)[number].numpy()[both] - depth[1][both]
        assert np.median(np.abs(off)) < 0.01
        normal = scene.normal[row[number][torch.from_numpy(both)]].numpy() @ camera.world_to_camera[:3, :3].T
        true = rest[:3, both].T / 127.5 - 1
        assert np.median(np.abs((normal * true).sum(1))) > 0.98


def test_the_solid_holds_the_surface_however_it_is_bent(made):
    _, _, room, _ = made
    room.restart(5)
    scene = scenes.Scene(room.stock, np.array([0, 1, 0, 1]), 2)
    cell = ((scene.position + 0.5) * 64).long().clamp(0, 63)
    held = scene.solid[scene.entry, cell[:, 0], cell[:, 1], cell[:, 2]] > 0
    for entry in range(4):
        mine = scene.entry == entry
        assert held[mine].float().mean() > (0.99 if entry < 2 else 0.95)
        assert float(scene.position[mine].abs().max()) <= 0.501
    kept = np.unpackbits(made[1][0].inside).reshape(64, 2, 64, 2, 64, 2).mean((1, 3, 5))
    assert scene.solid[0].numpy() == pytest.approx(kept)


def test_shots_fit_the_networks_grids(made):
    """What Structure looks up of a shot is where the shot shows it, in a mirror too."""
    _, _, room, coarse = made
    room.restart(2)
    with torch.no_grad():
        shots = room.shoot(3, 1, 0.5, 3)  # none has pictures: all are bent
    assert shots.image.shape == (3, 4, 128, 128) and shots.solid.shape == (3, 64, 64, 64)
    assert shots.uv.shape == (3, 2, 64**3, 2) and torch.isfinite(shots.image).all() and torch.isfinite(shots.layers).all()
    for number in range(3):
        inside = shots.solid[number].flatten() > 0.99
        alpha = torch.nn.functional.grid_sample(shots.image[number:number + 1, 3:], shots.uv[number:number + 1, :1, inside],
                                                align_corners=False)
        assert alpha.mean() > 0.97
        front = torch.nn.functional.grid_sample(shots.layers[number:number + 1, :1], shots.uv[number:number + 1, :1, inside],
                                                mode="nearest", align_corners=False)[0, 0, 0] * shots.reach[number]
        before = (shots.depth[number, 0, inside] < front - 0.03).float().mean()
        assert before < 0.05


def test_a_grey_sky_lights_all_sides_alike(made):
    """Under an even sky a convex, white, rough object is as bright as the sky, but for what it sheds itself."""
    _, packed, room, _ = made
    lights = relight.Lights(torch.full((1, 3, 8, 8, 18), 0.5))
    even = studio.Studio(packed[:1], lights, (np.float32([[[0, 0, 1.0]]]), np.ones((1, 1, 3), np.float32)), CPU)
    even.stock.color[:] = 255
    even.stock.material[:] = torch.tensor([1.0, 0.0])
    scene = scenes.Scene(even.stock, np.zeros(1, np.int64), 1)
    matrix = studio.orbit(torch.tensor([0.4]), torch.tensor([0.3]), torch.tensor([2.4]))
    window = torch.tensor([[0, 0, 0.73]])
    _, _, row = raster.rasterize_surfels(scene.position, scene.tangents, scene.entry, matrix, window)
    photo = scene.shade(row, matrix, window)
    seen = photo[0, :3][:, photo[0, 3] > 0]
    assert float(seen.median()) == pytest.approx(0.5, abs=0.1) and float(seen.quantile(0.95)) < 0.6


def test_one_step_of_both_networks(made):
    _, _, room, coarse = made
    torch.manual_seed(0)
    room.restart(1)
    networks = joint.JointNetworks()
    with torch.no_grad():
        shots = room.shoot(2, 1, 0.0, 1)
    loss, parts = joint.judge(networks, shots, coarse, True)
    loss.backward()
    assert math.isfinite(loss.item()) and 0 <= float(parts["iou"]) <= 1
    for part in (networks.intrinsics.out[-1], networks.structure.fine[-1]):
        assert part.weight.grad.abs().sum() > 0
    assert structure.CENTRES == pytest.approx(cell_centres(64))


def test_ldraw_parts_are_meshes(tmp_path):
    """A box of two files: a wall that another file places six times, mirrored and turned, in colours of its own."""
    from near_core.errors import NearError
    from near_core.lab.training.data import ldraw
    from near_core.mesh import compute_face_normals
    with pytest.raises(NearError, match="is no LDraw library"):
        ldraw.Library(tmp_path)
    (tmp_path / "parts").mkdir()
    (tmp_path / "p").mkdir()
    (tmp_path / "LDConfig.ldr").write_text(
        "0 !COLOUR Red CODE 4 VALUE #FF0000 EDGE #000000\n0 !COLOUR Chrome_Gold CODE 334 VALUE #BBA53D EDGE #BBA53D CHROME\n"
        "0 !COLOUR Main CODE 16 VALUE #7F7F7F EDGE #333333\n")
    (tmp_path / "p" / "wall.dat").write_text("0 A wall\n0 BFC CERTIFY CCW\n4 16 -1 1 -1 1 1 -1 1 1 1 -1 1 1\n3 16 0 1 0 1 1 1 1 1 1\n")
    turns = ("1 0 0 0 1 0 0 0 1", "1 0 0 0 -1 0 0 0 1", "1 0 0 0 0 -1 0 1 0", "1 0 0 0 0 1 0 -1 0",
             "0 1 0 -1 0 0 0 0 1", "0 -1 0 1 0 0 0 0 1")
    head = "0 {}\n0 Author: nobody\n0 !LICENSE Redistributable under CCAL version 2.0\n"
    (tmp_path / "parts" / "8.dat").write_text(head.format("Box") + "".join(f"1 {c} 0 0 0 {t} wall.dat\n" for c, t in zip(
        (16, 16, 16, 16, 334, 16), turns)))
    (tmp_path / "parts" / "90.dat").write_text(head.format("~Moved to 8") + "1 16 0 0 0 1 0 0 0 1 0 0 0 1 8.dat\n")
    (tmp_path / "parts" / "91.dat").write_text(head.format("Broken") + "1 16 0 0 0 1 0 0 0 1 0 0 0 1 nothing.dat\n")
    library = ldraw.Library(tmp_path)
    assert library.parts() == ["8.dat", "91.dat"]
    with pytest.raises(NearError, match="can't be read"):
        library.mesh("91.dat")
    mesh = library.mesh("8.dat")
    assert np.abs(mesh.vertices).max(0) == pytest.approx(0.5) and len(mesh.faces) == 18
    assert sorted((m.name, m.metallic) for m in mesh.materials) == [("Chrome_Gold", 1), ("Red", 0)]
    middles = mesh.vertices[mesh.faces].mean(1)
    normal, area = compute_face_normals(mesh)
    facing = (normal * middles).sum(1)[area > 1e-6]
    assert (facing > 0).all() or (facing < 0).all()  # mirrored walls are wound like the others
    at = lambda face: mesh.materials[mesh.material_index[face]].name
    assert (at(middles[:, 0].argmax()), at(middles[:, 0].argmin())) == ("Chrome_Gold", "Red")
