"""Photos and meshes become assets: with the trained model where it is exported."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from near_core import image
from near_core.asset.layout import VoxelMaterial
from near_core.create import create
from near_core.create.config import DETAILS
from near_core.create.create import create_from_image, create_from_mesh
from near_core.create.hints import Hints
from near_core.create.shot import ORTHOGRAPHIC, Shot
from near_core.create.view import project
from near_core.directions import decode_octahedral
from near_core.errors import Cancelled, NearError
from near_core.mesh import Mesh
from near_core.models.mini.runtime import REMEMBERED, NearMini, RememberingMini
from near_core.render.renderer import Renderer
from near_core.scene import Camera, Instance
from near_core.scene import camera as cameras
from near_core.scene.environment import uniform
from tests.create.pictures import box, disc, mask_of

ARMCHAIR = Path(__file__).resolve().parents[2] / "near_blender" / "assets" / "armchair.png"


def test_a_mesh_keeps_its_size_when_normalized():
    asset = create_from_mesh(box((4.0, 2.0, 1.0)), name="box", normalize=True)
    assert asset.extent == pytest.approx(4.0)
    assert np.abs(asset.surfels.position).max() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("change", [{"faces": np.int32([[0, 1, -2**31]])}, {"material_index": np.int32([-2**31] * 12)},
                                    {"vertices": np.full((8, 3), np.nan, np.float32)}])
def test_a_mesh_that_is_taken_as_it_is_is_looked_through(change):
    with pytest.raises(NearError):
        create_from_mesh(replace(box((0.4, 0.2, 0.1)), **change), name="box")


def test_a_mesh_without_faces_is_refused_in_a_sentence():
    with pytest.raises(NearError) as caught:
        create_from_mesh(Mesh(np.zeros((3, 3), np.float32), np.zeros((0, 3), np.int32)), name="nothing", normalize=True)
    assert caught.value.what and caught.value.fix


def test_a_photo_becomes_an_asset_of_its_colour(model, photo, red):
    (picture, camera), asset = photo, red.asset
    assert red.previews and red.previews[0][0].shape == (256, 256)
    assert len(asset.coords) > 500 and asset.slat.shape == (len(asset.coords), 16)
    sure = asset.material[:, VoxelMaterial.CONFIDENCE] > np.median(asset.material[:, VoxelMaterial.CONFIDENCE])
    color = asset.material[sure, VoxelMaterial.BASE_COLOR].astype(float).mean(0)
    assert color[0] > 2 * max(color[1:])
    made = Renderer(model).render([Instance(asset, np.eye(4))], camera, uniform((1, 1, 1)))
    alpha, truth = made["Combined"][..., 3] > 0.5, picture[..., 3] > 127
    assert (alpha & truth).sum() / (alpha | truth).sum() > 0.5
    taken = cameras.from_json(asset.camera)
    np.testing.assert_allclose(taken.world_to_camera, camera.world_to_camera, atol=1e-9)
    np.testing.assert_allclose(taken.intrinsics, camera.intrinsics, atol=1e-6)
    shown = (asset.surfels.normal * camera.directions_to(asset.surfels.position)).sum(1) > 0.3
    assert asset.surfels.confidence[shown].mean() > 0.7 and asset.surfels.confidence[~shown].mean() < 0.2


@pytest.mark.parametrize("middle, radius, said", [(1, 0.3, 1), (0.6, 0.1, 0)])
def test_things_apart_are_told_where_nobody_said_what_is_object(model, monkeypatch, middle, radius, said):
    """What is much smaller than the other is a part of it. Photos whose alpha or mask says it take no hints."""
    y, x = (np.mgrid[:100, :200] - 49.5) / 100
    shown = (np.hypot(x, y) < 0.3) | (np.hypot(x - middle, y) < radius)
    monkeypatch.setattr(create, "matte_of", lambda *told: lambda picture: shown.astype(np.float32))
    picture = np.where(shown[..., None], 200, 120).repeat(3, 2).astype(np.uint8)
    alpha = np.dstack([picture, 255 * shown]).astype(np.uint8)
    for shot, count in ((Shot(picture), said), (Shot(alpha), 0), (Shot(picture, shown.astype(np.float32)), 0),
                        (Shot(picture, hints=Hints(number=1)), 0)):
        notes: list[str] = []
        with pytest.raises(Cancelled):
            create_from_image([shot], name="things", model=model, notes=notes, progress=stop_at("Layers"))
        assert len(notes) == count and all("2 things apart" in str(note) for note in notes)
        assert all("--" not in note and "Correct Matte" not in note for note in notes), "outside of Blender, too"


@pytest.mark.parametrize("radius, said", [(0.2, 1), (0.3, 0)])
def test_an_object_that_is_little_of_its_photo_is_told(model, monkeypatch, radius, said):
    """As what is found in a landscape."""
    y, x = (np.mgrid[:100, :100] - 49.5) / 100
    monkeypatch.setattr(create, "matte_of", lambda *told: lambda picture: (np.hypot(x, y) < radius).astype(np.float32))
    picture = np.where(np.hypot(x, y)[..., None] < radius, 200, 120).repeat(3, 2).astype(np.uint8)
    notes: list[str] = []
    with pytest.raises(Cancelled):
        create_from_image([Shot(picture)], name="thing", model=model, notes=notes, progress=stop_at("Layers"))
    assert len(notes) == said and all("is small in" in str(note) for note in notes)


def stop_at(wanted: str):
    """Stops a creation where a phase begins."""
    def stop(phase: str, fraction: float) -> None:
        if phase == wanted:
            raise Cancelled
    return stop


def test_the_seed_changes_what_the_photo_hides_only(model, photo, red):
    (picture, camera), first = photo, red.asset
    second = create_from_image([Shot(picture, camera=camera)], seed=1, name="red", model=model)
    np.testing.assert_array_equal(first.coords, second.coords)
    changed = np.abs(first.slat.astype(float) - second.slat).mean(1)
    centres = (first.coords.astype(np.float32) + 0.5) / 64 - 0.5
    normals = decode_octahedral(first.material[:, VoxelMaterial.NORMAL].astype(np.float32))
    seen = (normals * camera.directions_to(centres)).sum(1) > 0.3  # of something like a box
    assert changed[~seen].mean() > 2 * changed[seen].mean()


def test_a_photo_and_a_mesh_keep_the_meshs_shape(model, photo, clad):
    (picture, camera), asset = photo, clad.asset
    exact = create_from_mesh(clad.mesh, name="box", model=model)
    assert asset.surfels.emission is None and exact.surfels.emission.min() == 9, "photos say nothing of what glows"
    np.testing.assert_array_equal(asset.coords, exact.coords)
    assert asset.surfels is not None and len(asset.surfels) == len(exact.surfels)
    large = create_from_image([Shot(picture, camera=camera)], mesh=box((3.6, 2.4, 2.0)), normalize=True, name="red",
                              model=model)
    assert large.extent == pytest.approx(3.6) and np.abs(large.surfels.position).max() == pytest.approx(0.5, abs=0.01)


def test_a_hint_says_how_thick_things_are_and_the_photo_is_not_looked_at_again(model, photo, red, monkeypatch):
    picture, camera = photo
    run, looks = NearMini.run, []
    monkeypatch.setattr(NearMini, "run", lambda self, graph, **each: looks.append(graph) or run(self, graph, **each))
    model = RememberingMini()
    with pytest.raises(Cancelled):
        create_from_image([Shot(picture, camera=camera)], thickness="full", name="red", model=model,
                          progress=stop_at("Surface"))
    count = sum(graph in REMEMBERED for graph in looks)
    thin = create_from_image([Shot(picture, camera=camera)], thickness="thin", name="red", model=model)
    assert sum(graph in REMEMBERED for graph in looks) == count > 0
    assert np.ptp(thin.surfels.position[:, 1]) < 0.9 * np.ptp(red.asset.surfels.position[:, 1])
    with pytest.raises(NearError, match="no thickness named fat"):
        create_from_image([picture], thickness="fat", name="red", model=model)


def test_what_is_symmetric_shows_its_other_side(model, photo):
    """A photo from 20 degrees to one side is one from 20 degrees to the other, too."""
    picture, camera = photo
    made = {hint: create_from_image([Shot(picture, camera=camera)], symmetry=hint, name="red", model=model)
            for hint in ("on", "off")}
    apart = {}
    for hint, asset in made.items():
        cells = set(map(tuple, asset.coords.astype(int).tolist()))
        mirrored = {(63 - x, y, z) for x, y, z in cells}
        apart[hint] = 1 - len(cells & mirrored) / len(cells | mirrored)
    assert apart["on"] < 0.8 * apart["off"]


def test_creating_can_be_stopped(model, photo):
    def stop(phase, fraction):
        if fraction > 0.2:
            raise Cancelled
    with pytest.raises(Cancelled):
        create_from_image([photo[0]], name="red", model=model, progress=stop)


def test_the_photos_file_says_what_its_lens_saw(model, photo, tmp_path, monkeypatch):
    """By which camera it is looked at: all else is made by that."""
    exif = Image.Exif()
    exif[0x0112] = 1  # Pillow writes nothing into a PNG else
    exif.get_ifd(0x8769)[41989] = 20  # mm, for film
    Image.fromarray(photo[0]).save(tmp_path / "box.png", exif=exif)
    wide = image.read_field_of_view(tmp_path / "box.png")
    assert wide == pytest.approx(75, abs=1)
    look, seen = create.look_at, []
    monkeypatch.setattr(create, "look_at", lambda *given: seen.append(given[2]) or look(*given))
    for fov in (None, wide, 40.0):
        with pytest.raises(Cancelled):
            create_from_image([Shot(tmp_path / "box.png", fov=fov)], name="box", model=model, progress=stop_at("Shape"))
    read, told, usual = (camera.intrinsics[0, 0] / camera.width for camera in seen)
    assert read == told and usual > 1.5 * read


def test_a_draft_keeps_no_skin():
    made = {detail: create_from_mesh(box((1.0, 0.5, 0.5)), name="box", detail=detail) for detail in DETAILS}
    assert made["draft"].skin is None and len(made["standard"].skin.faces) == len(made["closeup"].skin.faces) == 12
    assert np.array_equal(made["draft"].surfels.position, made["closeup"].surfels.position)


def test_an_unknown_detail_is_refused_in_a_sentence():
    with pytest.raises(NearError, match="no detail called fine.*draft"):
        create_from_mesh(box((1.0, 0.5, 0.5)), name="box", detail="fine")


@pytest.mark.parametrize("depth, focal, x", [(0, 88, 0), (-3, 88, 0), (1e-9, 88, 0), (1e12, 88, 0), (2.6, 1e-6, 0),
                                             (2.6, 1e9, 0), (2.6, 88, 1e12)])
def test_cameras_that_see_nothing_of_the_object_are_named_before_memory_is_taken(model, depth, focal, x):
    matrix, picture = np.eye(4), np.dstack([disc(64, 64, 20, (32, 32)), mask_of(64, 64, 20, (32, 32))])
    matrix[0, 3], matrix[2, 3] = x, depth
    camera = Camera(matrix, np.float64([[focal, 0, 32], [0, focal, 32], [0, 0, 1]]), 64, 64)
    for others in ([], [Shot(picture, azimuth=90.0)]):
        with pytest.raises(NearError, match="camera of The photo does not look at the object"):
            create_from_image([Shot(picture, camera=camera), *others], name="disc", model=model)


def test_an_orthographic_camera_takes_a_photo_and_is_remembered(model):
    """A drawing of a disc that is 0.8 across: so is its asset, and its camera sees it so."""
    picture = np.dstack([disc(64, 64, 20, (32, 32)), mask_of(64, 64, 20, (32, 32))])
    camera = replace(cameras.orbit(0, 0, 5, 40, 64, 64), orthographic=True,
                     intrinsics=np.array([[50.0, 0, 32], [0, 50, 32], [0, 0, 1]]))
    made = create_from_image([Shot(picture, camera=camera)], name="disc", model=model)
    wide, _, high = np.ptp(made.surfels.position, axis=0)
    assert (wide, high) == pytest.approx((0.8, 0.8), abs=0.05)
    assert made.camera["type"] == "ORTHO" and made.camera["ortho_scale"] == pytest.approx(64 / 50)
    seen = cameras.from_json(made.camera)
    assert seen.orthographic and seen.forward == pytest.approx(camera.forward)
    made = create_from_image([Shot(picture, azimuth=0.0, elevation=0.0, fov=ORTHOGRAPHIC)], name="disc", model=model)
    assert made.camera["type"] == "ORTHO" and made.camera["ortho_scale"] == pytest.approx(64 / 40, rel=0.1)
    with pytest.raises(NearError, match="does not look at the object"):
        away = replace(camera, intrinsics=camera.intrinsics + [[0, 0, 900], [0, 0, 0], [0, 0, 0]])
        create_from_image([Shot(picture, camera=away)], name="disc", model=model)


def test_a_photo_that_is_seen_in_a_mirror_is_made_as_its_mirror_image(model):
    picture = np.dstack([disc(64, 64, 14, (20, 32)), mask_of(64, 64, 14, (20, 32))])
    picture[:, :20, :3] //= 4
    camera = cameras.orbit(0, 0, 2.2, 40, 64, 64)
    made = create_from_image([Shot(picture, camera=camera, mirrored=True)], name="disc", model=model)
    uv, _ = project(made.surfels.position, camera)
    middle = (uv.min(0) + uv.max(0)) / 2 * 32 + 32  # pixels
    assert middle == pytest.approx((64 - 20, 32), abs=2)
    right = made.surfels.position[:, 0] > made.surfels.position[:, 0].mean()
    assert made.surfels.base_color[right].mean() < made.surfels.base_color[~right].mean()


@pytest.mark.timing
def test_progress_goes_about_evenly():
    """In processor time; a bar that stands still says that something hangs."""
    told, start = [], time.process_time()
    create_from_image([ARMCHAIR], name="chair", progress=lambda _, share: told.append(
        (share, time.process_time() - start)))
    shares, spent = np.array(told).T
    assert (np.diff(shares) >= 0).all() and np.abs(shares - spent / spent[-1]).max() < 0.28
