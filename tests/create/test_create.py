"""Photos and meshes become assets: with the trained model where it is exported."""

import numpy as np
import pytest
import trimesh
from PIL import Image

from near_core import image
from near_core.asset import Surfels
from near_core.create import matting
from near_core.create import shape as reconstruct
from near_core.create.create import create_from_image, create_from_mesh
from near_core.create.material import bent, voxel_pixels
from near_core.create.photo import Photo, prepare
from near_core.create.view import Look, View, cell_centres, centred, elevation_of, look_up, project, reach
from near_core.directions import decode_octahedral
from near_core.errors import Cancelled, NearError
from near_core.mesh import Material, Mesh
from near_core.models.mini import runtime
from near_core.models.mini.layout import LAYERS, PIXEL, SIZE, Layer, Pixel
from near_core.render.renderer import Renderer
from near_core.scene import Instance, Settings
from near_core.scene import camera as cameras
from near_core.scene.environment import uniform


def box(size=(0.9, 0.6, 0.5), **material) -> Mesh:
    shape = trimesh.creation.box(size)
    return Mesh(np.asarray(shape.vertices, np.float32), np.asarray(shape.faces, np.int32),
                materials=(Material(**material),))


@pytest.fixture(scope="module")
def model():
    found = runtime.NearMini()
    if not {"intrinsics", "structure", "slat", "iad"} <= set(found.graphs):
        pytest.skip("near-mini is not exported: python3 build.py setup")
    return found


@pytest.fixture(scope="module")
def photo():
    """A picture of a red box, (256, 256, 4) uint8 with alpha, and its camera."""
    asset = create_from_mesh(box(base_color=(0.7, 0.05, 0.05, 1)), name="box")
    return photographed(asset, cameras.orbit(20, 15, 2.9, 40, 256, 256))


def photographed(asset, camera):
    made = Renderer().render([Instance(asset, np.eye(4))], camera, uniform((1, 1, 1)), Settings(shading="transport"))
    rgba = made["Combined"]
    colour = np.clip(rgba[..., :3] / np.maximum(rgba[..., 3:], 1e-3), 0, 1) ** (1 / 2.2)
    return (np.concatenate([colour, rgba[..., 3:]], -1) * 255).astype(np.uint8), camera


def test_a_mesh_keeps_its_size_when_normalized():
    asset = create_from_mesh(box((4.0, 2.0, 1.0)), name="box", normalize=True)
    assert asset.extent == pytest.approx(4.0)
    assert np.abs(asset.surfels.position).max() == pytest.approx(0.5, abs=0.01)


def test_a_mesh_without_faces_is_refused_in_a_sentence():
    with pytest.raises(NearError) as caught:
        create_from_mesh(Mesh(np.zeros((3, 3), np.float32), np.zeros((0, 3), np.int32)), name="nothing", normalize=True)
    assert caught.value.what and caught.value.fix


def test_a_photo_becomes_an_asset_of_its_colour(model, photo):
    picture, camera = photo
    seen = []
    asset = create_from_image([picture], camera=camera, name="red", model=model, on_preview=lambda *a: seen.append(a))
    assert seen and seen[0][0].shape == (256, 256)
    assert len(asset.coords) > 500 and asset.slat.shape == (len(asset.coords), 16)
    sure = asset.material[:, 7] > np.median(asset.material[:, 7])
    red, green, blue = asset.material[sure, :3].astype(float).mean(0)
    assert red > 2 * green and red > 2 * blue
    made = Renderer(model).render([Instance(asset, np.eye(4))], camera, uniform((1, 1, 1)))
    alpha, truth = made["Combined"][..., 3] > 0.5, picture[..., 3] > 127
    assert (alpha & truth).sum() / (alpha | truth).sum() > 0.5


def test_the_seed_changes_what_the_photo_hides_only(model, photo):
    picture, camera = photo
    first, second = (create_from_image([picture], camera=camera, seed=s, name="red", model=model) for s in (0, 1))
    again = create_from_image([picture], camera=camera, seed=0, name="red", model=model)
    np.testing.assert_array_equal(first.coords, again.coords)
    np.testing.assert_allclose(first.slat.astype(float), again.slat.astype(float), atol=2e-3)
    changed = np.abs(first.slat.astype(float) - second.slat).mean(1)
    centres = (first.coords.astype(np.float32) + 0.5) / 64 - 0.5
    normals = decode_octahedral(first.material[:, 5:7].astype(np.float32))
    seen = (normals * camera.directions_to(centres)).sum(1) > 0.3  # of something like a box
    assert changed[~seen].mean() > 2 * changed[seen].mean()


def test_a_photo_and_a_mesh_keep_the_meshs_shape(model, photo):
    picture, camera = photo
    mesh = box()
    asset = create_from_image([picture], mesh=mesh, camera=camera, name="red", model=model)
    exact = create_from_mesh(mesh, name="box", model=model)
    np.testing.assert_array_equal(asset.coords, exact.coords)
    assert asset.surfels is not None and len(asset.surfels) == len(exact.surfels)
    large = create_from_image([picture], mesh=box((3.6, 2.4, 2.0)), normalize=True, camera=camera, name="red", model=model)
    assert large.extent == pytest.approx(3.6) and np.abs(large.surfels.position).max() == pytest.approx(0.5, abs=0.01)


def test_creating_can_be_stopped(model, photo):
    def stop(phase, fraction):
        if fraction > 0.2:
            raise Cancelled
    with pytest.raises(Cancelled):
        create_from_image([photo[0]], name="red", model=model, progress=stop)


def test_projection_and_look_up_agree_with_the_camera():
    camera = cameras.orbit(30, 20, 2.5, 40, 128, 128)
    uv, ray = project(np.zeros((1, 3), np.float32), camera)
    assert uv[0] == pytest.approx([0, 0], abs=1e-6) and ray[0, 3] == pytest.approx(0, abs=1e-6)
    maps = np.random.default_rng(0).random((3, 8, 8)).astype(np.float32)
    centres = (np.arange(8) + 0.5) / 4 - 1
    at = np.stack(np.meshgrid(centres, centres), -1).reshape(-1, 2).astype(np.float32)
    np.testing.assert_allclose(look_up(maps, at).T.reshape(3, 8, 8), maps, atol=1e-6)


def view_of(camera, front: np.ndarray) -> View:
    """A grey thing that fills the crop; front: (SIZE, SIZE) asset units below the frame's origin."""
    image = np.zeros((4, SIZE, SIZE), np.float32)
    image[3] = 1
    layers = np.full((LAYERS, SIZE, SIZE), 0.5, np.float32)
    layers[Layer.DEPTH] = front / (camera.width / camera.intrinsics[0, 0] * camera.world_to_camera[2, 3])
    layers[Layer.THICKNESS] = 0.1
    return View(camera, image, layers)


def test_a_view_shows_what_is_not_behind_its_front():
    camera = cameras.orbit(0, 0, 3, 30, 128, 128)
    view = view_of(camera, np.full((128, 128), -0.2, np.float32))
    points = np.array([[0.1, -0.2, 0.1], [0.1, 0.0, 0.1], [0.1, -0.4, 0.1], [3.0, -0.2, 0]], np.float32)
    assert view.shows(points)[0].tolist() == [True, False, True, False]
    assert not view.torn.any()


def test_a_front_settles_where_the_solid_is_and_keeps_its_detail():
    camera = cameras.orbit(0, 0, 3, 30, 128, 128)
    front = np.full((128, 128), -0.1, np.float32)
    front[60:64, 60:64] -= 0.05
    logits = np.full((64, 64, 64), -5, np.float32)
    logits[:, 16:, :] = 5  # the cube's front quarter, towards -Y, is empty
    settled = reconstruct.settled(view_of(camera, front), logits)
    assert np.median(settled[20:108, 20:108]) == pytest.approx(-0.25, abs=0.015)
    assert settled[40, 40] - settled[62, 62] == pytest.approx(0.05, abs=0.01)


def test_the_matte_looks_nearer_at_a_small_object(model):
    """A disc of a tenth of the picture's width, on a noisy wall."""
    y, x = np.mgrid[:500, :500]
    truth = np.hypot(x - 330, y - 210) < 25
    rng = np.random.default_rng(0)
    wall = np.float32([0.35, 0.45, 0.6]) + rng.normal(0, 0.02, (500, 500, 1))
    picture = np.where(truth[..., None], np.float32([0.8, 0.15, 0.1]), wall).astype(np.float32)
    overlap = lambda alpha: ((alpha > 0.5) & truth).sum() / ((alpha > 0.5) | truth).sum()  # noqa: E731
    once, looked = matting._matted(model, picture), matting.looked(model, picture)
    assert looked.shape == truth.shape and overlap(looked) > max(0.8, overlap(once))
    assert not matting.looked(model, np.zeros((40, 30, 3), np.float32)).max() > 1


def test_a_front_is_as_thick_as_a_round_body_and_no_thicker_than_the_layers_say():
    view = view_of(cameras.orbit(0, 0, 3, 30, 128, 128), np.zeros((128, 128), np.float32))
    y, x = np.mgrid[:128, :128] - 63.5
    away = np.hypot(x, y)
    view.mask, view.back = away < 40, np.full((128, 128), 9, np.float32)
    pixel = reach(view.camera) / 128
    ball = np.where(view.mask, 2 * np.sqrt(np.maximum(40**2 - away**2, 0)), 0) * pixel
    np.testing.assert_allclose(reconstruct.rounded(view)[away < 38], ball[away < 38], atol=5 * pixel)
    assert not reconstruct.rounded(view)[~view.mask].any()
    view.torn[:, 64] = True  # two half discs, each with room for discs of a radius of 20
    assert reconstruct.rounded(view)[63, 44] == pytest.approx(40 * pixel, abs=5 * pixel)
    view.back = view.front + 0.05
    assert reconstruct.rounded(view).max() == pytest.approx(0.05)


def test_what_is_hidden_takes_after_what_is_seen_before_it():
    """Left half red, right half blue; points at the back, on either side, are hidden."""
    camera = cameras.orbit(0, 0, 3, 30, 128, 128)
    image, layers = np.ones((4, 128, 128), np.float32), np.full((LAYERS, 128, 128), 0.5, np.float32)
    layers[Layer.DEPTH] = -0.2
    color = layers[Layer.BASE_COLOR]
    color[..., :64], color[..., 64:] = np.float32([1, 0, 0])[:, None, None], np.float32([0, 0, 1])[:, None, None]
    view = View(camera, image, layers)
    points = np.float32([[-0.4, 0.3, 0.1], [0.4, 0.3, 0.1]])
    pixel, seen = voxel_pixels(view, points, np.float32([[0, 1, 0], [0, 1, 0]]))
    assert pixel.shape == (2, PIXEL) and not seen.any()
    np.testing.assert_allclose(pixel[:, Pixel.WHOLE][:, :3], [[0.5, 0, 0.5]] * 2, atol=1e-3)
    np.testing.assert_allclose(pixel[:, Pixel.AROUND][:, :3], [[1, 0, 0], [0, 0, 1]], atol=0.02)


def test_the_hidden_side_is_smoother_than_the_seen_one():
    """A rough ball, seen from the front."""
    away = np.linalg.norm(cell_centres(128), axis=1).reshape(128, 128, 128)
    noise = np.random.default_rng(0).normal(0, 0.5, away.shape)
    view = view_of(cameras.orbit(0, 0, 3, 30, 128, 128), np.full((128, 128), -0.3, np.float32))
    place = reconstruct.surface(((0.35 - away) * 128 + noise).astype(np.float32), view).vertices
    radius = np.linalg.norm(place, axis=1)
    seen, hidden = radius[place[:, 1] < -0.3], radius[place[:, 1] > 0.1]
    assert hidden.std() < 0.75 * seen.std()
    assert hidden.mean() == pytest.approx(seen.mean(), abs=5e-4)


def test_the_surface_lies_at_the_photos_front(model, monkeypatch):
    monkeypatch.setattr(reconstruct, "settled", lambda view, logits, radius: view.front)
    camera = cameras.orbit(0, 0, 3, 22, 256, 256)
    picture = Photo(np.full((256, 256, 3), 0.5, np.float32), np.zeros((256, 256), np.float32), (0, 0, 256), (256, 256),
                    (64, 64, 192, 192))
    picture.alpha[64:192, 64:192] = 1
    look = Look(model, picture, camera)
    look.front[:], look.torn[:] = -0.1, False
    mesh = reconstruct.surface(reconstruct.field(model, [look]), look)
    facing = mesh.corner_normal[:, 0] @ np.array([0, -1, 0], np.float32) > 0.9
    front = mesh.vertices[mesh.faces[facing]].mean(1)
    assert np.median(front[:, 1]) == pytest.approx(-0.1, abs=0.6 / 128)
    assert np.abs(front[:, 0]).max() == pytest.approx(0.29, abs=0.03)  # 64 of 128 pixels either side, at distance 3


def test_a_guessed_camera_moves_until_the_object_is_in_the_middle():
    """A square before the origin and to the right of it, 0.4 wide and 0.2 deep, seen from the front."""
    camera = cameras.orbit(0, 0, 3, 30, 128, 128)
    look = view_of(camera, np.full((128, 128), -0.3, np.float32))
    side = reach(camera) * 2.7 / 3  # of the crop, where the square lies
    look.back, look.mask = look.front + 0.2, np.zeros((128, 128), bool)
    pixels = round(0.4 / side * 128)
    look.mask[64 - pixels // 2:64 + pixels // 2, 64:64 + pixels] = True
    made = centred(look)
    middle = [0.2, -0.2, 0]  # between front and back
    assert made.world_to_camera[:3, 3] == pytest.approx((camera.world_to_camera @ [*middle, 1])[:3], abs=0.02)
    np.testing.assert_allclose(made.world_to_camera[:3, :3], camera.world_to_camera[:3, :3])
    look.mask[:] = True  # wider than the cube: it becomes smaller, and so does its distance
    assert side > 1.25 and centred(look).world_to_camera[2, 3] == pytest.approx(2.8 / 1.25, abs=0.02)


def test_normals_lean_to_those_the_photo_shows():
    """Surfels that face the camera, at its front and behind it, and a photo whose normals all point up and to it."""
    view = view_of(cameras.orbit(0, 0, 3, 30, 128, 128), np.full((128, 128), -0.2, np.float32))
    view.normal = np.broadcast_to(np.float32([0, -1, -1])[:, None, None], (3, 128, 128))  # up, to the camera
    count, towards = 3, np.float32([0, -1, 0])
    normal = np.stack([towards, towards, -towards])
    ones = np.ones(count, np.float32)
    place = np.float32([[0, -0.2, 0], [0, 0.2, 0], [0, -0.2, 0]])
    surfels = Surfels(place, normal, normal, np.ones((count, 3), np.float32), *[ones] * 5)
    made = bent(surfels, view).shading_normal
    half = (towards + np.float32([0, -1, 1]) / np.sqrt(2)) / 2
    assert made[0] == pytest.approx(half / np.linalg.norm(half), abs=1e-3)
    np.testing.assert_allclose(made[1:], normal[1:], atol=1e-6)  # hidden, and turned away


def test_a_smoothed_grid_keeps_its_slopes_and_loses_its_scratches():
    ramp = np.broadcast_to(np.arange(8, dtype=np.float32)[:, None, None], (8, 8, 8))
    scratched = ramp + np.float32([1, -1] * 4)[:, None]
    np.testing.assert_allclose(reconstruct._softened(scratched)[1:-1, 1:-1], ramp[1:-1, 1:-1], atol=1e-6)


def test_a_grid_doubles_without_moving():
    ramp = np.broadcast_to(np.arange(8, dtype=np.float32)[:, None, None], (8, 8, 8))
    fine = reconstruct._doubled(ramp)
    np.testing.assert_allclose(fine[2:-2, 3, 3], (np.arange(16) / 2 - 0.25)[2:-2], atol=1e-6)


def test_elevation_is_estimated_by_the_photo(model):
    """A flat box from beside and from high above: which one is which shows."""
    asset = create_from_mesh(box((0.9, 0.7, 0.3)), name="box", model=model)
    beside, above = (elevation_of(model, prepare(photographed(asset, cameras.orbit(
        30, degrees, 2.9, 40, 256, 256))[0])) for degrees in (5, 65))
    assert -20 < beside < above - 15 < 65


def test_the_photos_file_says_what_its_lens_saw(model, photo, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 1  # Pillow writes nothing into a PNG else
    exif.get_ifd(0x8769)[41989] = 20  # mm, for film
    Image.fromarray(photo[0]).save(tmp_path / "box.png", exif=exif)
    wide = image.read_field_of_view(tmp_path / "box.png")
    assert wide == pytest.approx(75, abs=1)
    read, told, usual = (create_from_image([tmp_path / "box.png"], name="box", model=model, fov=fov)
                         for fov in (None, wide, 40.0))
    assert np.array_equal(read.coords, told.coords) and not np.array_equal(read.coords, usual.coords)
