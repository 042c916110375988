"""Pictures against physics: energy, direction and scale of light, frames, occlusion, odd matrices."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from near_core._kernels import ggx
from near_core.create.create import create_from_mesh
from near_core.errors import Cancelled
from near_core.lab.bench.inputs import SAMPLES
from near_core.light.config import TransportConfig
from near_core.mesh import Material, Mesh, load
from near_core.render import preparation, sight
from near_core.render.config import SplattingConfig
from near_core.render.renderer import Renderer
from near_core.scene import PASSES, AssetLook, Environment, Instance, Lamp, Lens, Occluders, Probe, Settings
from near_core.scene import camera as cameras
from near_core.scene import environment as environments
from near_core.scene.probe import make_empty

ANALYTIC = Settings(shading="transport", threads=1)


def ball(radius: float = 0.45, **material) -> "object":
    shape = trimesh.creation.icosphere(4, radius)
    mesh = Mesh(np.asarray(shape.vertices, np.float32), np.asarray(shape.faces, np.int32),
                corner_normal=np.asarray(shape.vertex_normals, np.float32)[shape.faces],
                materials=(Material(**({"base_color": (1, 1, 1, 1), "roughness": 1.0} | material)),))
    return create_from_mesh(mesh, name="ball")


@pytest.fixture(scope="module")
def white():
    return ball()


def look(azimuth: float = 0, elevation: float = 0, size: int = 96, distance: float = 3.0) -> cameras.Camera:
    return cameras.orbit(azimuth, elevation, distance, 30, size, size)


def sun(direction, power: float = 2000.0, height: int = 64) -> Environment:
    """One bright texel towards a world direction, over a faint sky."""
    x, y, z = np.asarray(direction, float) / np.linalg.norm(direction)
    sky = np.full((height, 2 * height, 3), 0.02, np.float32)
    row = min(int((0.5 - np.arcsin(z) / np.pi) * height), height - 1)
    column = int((0.5 - np.arctan2(y, x) / (2 * np.pi)) * 2 * height) % (2 * height)
    sky[row, column] = power
    return Environment(sky)


@pytest.mark.parametrize("x, lens", [(0.0, None), (1.6, Lens(0.3, 1.0))])  # that is only seen out of focus
def test_what_was_made_ready_is_not_made_again(white, monkeypatch, x, lens):
    instances, made = [Instance(white, np.eye(4) + np.eye(4, k=3) * x)], Renderer()
    made.prepare(instances, look(), ANALYTIC, lens=lens)
    monkeypatch.setattr(preparation, "prepare_asset", None)
    monkeypatch.setattr(preparation, "PreparedSkin", None)
    picture = made.render(instances, look(), sun((1, 0, 1)), ANALYTIC, lens=lens)["Combined"]
    monkeypatch.undo()
    assert picture[..., 3].any()
    assert (picture == Renderer().render(instances, look(), sun((1, 0, 1)), ANALYTIC, lens=lens)["Combined"]).all()


def turned(degrees: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = environments.turn_z(degrees)
    return matrix


def picture(renderer, assets, camera, environment, settings=ANALYTIC, name="Combined") -> np.ndarray:
    instances = [Instance(a, np.asarray(m, float)) for a, m in assets]
    return renderer.render(instances, camera, environment, settings)[name]


def test_a_white_ball_in_a_uniform_world_has_the_worlds_radiance(renderer, white):
    made = picture(renderer, [(white, np.eye(4))], look(), environments.uniform((0.5, 0.5, 0.5)))
    solid = made[..., 3] > 0.9
    assert solid.sum() > 1000
    assert made[solid][:, :3].mean() == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("roughness", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("metallic", [0.0, 1.0])
def test_a_white_ball_vanishes_in_a_furnace(renderer, roughness, metallic):
    shiny = ball(roughness=roughness, metallic=metallic)
    made = picture(renderer, [(shiny, np.eye(4))], look(), environments.uniform((1, 1, 1)),
                   Settings(shading="transport", threads=1, background=True))[..., :3]
    assert made[30:66, 30:66].mean() == pytest.approx(1, abs=0.012) and np.abs(made - 1).max() < 0.035


@pytest.fixture(scope="module")
def leaf():
    """A square of one metre in the XZ plane, without thickness; drawn by its surfels."""
    corners = np.float32([[-0.5, 0, -0.5], [0.5, 0, -0.5], [0.5, 0, 0.5], [-0.5, 0, 0.5]])
    return replace(create_from_mesh(Mesh(corners, np.int32([[0, 1, 2], [0, 2, 3]])), name="leaf"), skin=None)


@pytest.mark.parametrize("quality", ["draft", "final"])
@pytest.mark.parametrize("azimuth", [0, 60, 75, 80, 85])
def test_a_sheet_without_thickness_stays_whole_at_every_angle(renderer, leaf, azimuth, quality):
    camera = cameras.orbit(azimuth, 0, 3, 24, 240, 240)
    made = picture(renderer, [(leaf, np.eye(4))], camera, environments.uniform((1, 1, 1)),
                   Settings(shading="transport", quality=quality, threads=1))
    corners = np.float64([[-0.5, 0, -0.5], [0.5, 0, -0.5], [0.5, 0, 0.5], [-0.5, 0, 0.5]])
    at = (corners @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]) @ camera.intrinsics.T
    x, y = (at[:, :2] / at[:, 2:]).T
    covered = abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2
    assert made[..., 3].sum() == pytest.approx(covered, rel=0.1)
    assert made[..., :3].sum() / 3 / made[..., 3].sum() > 0.75  # seen, not only in the way


def test_drafts_do_not_ask_the_lighting_decoder(leaf):
    renderer, light = Renderer(), sun((0, -1, 0.3))
    drawn = {(quality, shading): picture(renderer, [(leaf, np.eye(4))], look(), light, Settings(quality, shading))
             for quality in ("draft", "final") for shading in ("auto", "transport")}
    assert np.array_equal(drawn["draft", "auto"], drawn["draft", "transport"])
    asked = "lad" in renderer.model.graphs
    assert np.array_equal(drawn["final", "auto"], drawn["final", "transport"]) is not asked


@pytest.mark.parametrize("rotation", [0, 33, 90, 200])
def test_a_sun_lights_the_side_it_stands_on(renderer, white, rotation):
    # the light stands on +X in the map; env_rotation r moves it by -r
    environment = Environment(sun((1, 0, 0.01)).map, environments.turn_z(rotation))
    angle = np.radians(-rotation)
    lit = np.array([np.cos(angle), np.sin(angle), 0])
    made = picture(renderer, [(white, np.eye(4))], look(elevation=80), environment)
    alpha = made[..., 3] > 0.9
    rows, columns = np.nonzero(alpha)
    weight = made[rows, columns, :3].sum(1)
    # seen from above with -Y at the bottom: picture right is +X, picture up is +Y
    towards = np.array([np.average(columns, weights=weight) - columns.mean(),
                        rows.mean() - np.average(rows, weights=weight)])
    assert towards @ lit[:2] / np.linalg.norm(towards) > 0.95


def test_strength_scales_the_picture_exactly(renderer, white):
    world = sun((1, -1, 1))
    one = picture(renderer, [(white, np.eye(4))], look(), world)
    three = picture(renderer, [(white, np.eye(4))], look(), Environment(world.map, strength=3.0))
    np.testing.assert_allclose(three[..., :3], 3 * one[..., :3], rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(three[..., 3], one[..., 3])


@pytest.mark.parametrize("metallic", [0.0, 1.0])
def test_a_world_lights_diffuse_or_glossy_rays_alone(renderer, metallic):
    asset, lamps = ball(0.3, metallic=metallic, roughness=0.4), [Lamp("sun", np.eye(4), np.full(3, 2.0))]

    def draw(diffuse: bool, glossy: bool, strength: float = 1.0) -> np.ndarray:
        world = Environment(environments.uniform((0.5, 0.5, 0.5)).map, np.eye(3), strength, diffuse, glossy)
        return renderer.render([Instance(asset, np.eye(4))], look(size=48), world, ANALYTIC, lamps=lamps)["Combined"]

    whole, dark, diffuse, glossy = draw(True, True), draw(True, True, 0.0), draw(True, False), draw(False, True)
    np.testing.assert_allclose(diffuse + glossy, whole + dark, atol=2e-3)
    by_diffuse, by_glossy = ((each - dark)[..., 0].sum() for each in (diffuse, glossy))
    assert by_glossy > 50 * by_diffuse if metallic else by_diffuse > 5 * by_glossy > 0
    np.testing.assert_array_equal(draw(False, False), dark)


def test_a_world_that_is_not_mirrored_is_baked_so_and_needs_no_combined_pass(renderer):
    asset, flat = Instance(ball(0.3, roughness=0.4), np.eye(4)), environments.uniform((0.5, 0.5, 0.5)).map
    worlds = [Environment(flat, diffuse=diffuse, glossy=glossy) for diffuse, glossy in np.ndindex(2, 2)]
    up = np.array([[0.0, 0, 1]])
    neither, glossy, diffuse, whole = (renderer.radiate(asset, world, up, ANALYTIC)[1] for world in worlds)
    np.testing.assert_allclose(diffuse + glossy, whole, atol=2e-3)
    assert not neither.any() and diffuse.sum() > 3 * glossy.sum() > 0
    (depth,) = (renderer.render([asset], look(size=16), worlds[1], replace(ANALYTIC, passes=("Depth",))).values())
    assert depth.max() > 0


@pytest.fixture(scope="module")
def ember():
    """A black ball that glows."""
    return ball(0.3, base_color=(0, 0, 0, 1), emission=(40, 10, 0))


@pytest.mark.parametrize("quality, distance", [("final", 1.5), ("final", 6.0), ("draft", 3.0)])
@pytest.mark.parametrize("glossy", [True, False])
def test_what_glows_is_seen_once_in_any_light(renderer, ember, quality, distance, glossy):
    world = Environment(environments.uniform((0, 0, 0)).map, glossy=glossy)
    bright = Instance(ember, np.eye(4), look=AssetLook(exposure=1))
    made = renderer.render([bright], look(size=48, distance=distance), world, replace(ANALYTIC, quality=quality))
    combined, solid = made["Combined"], made["Combined"][..., 3] > 0.999
    assert solid.sum() > 10
    np.testing.assert_allclose(combined[solid][:, :3], [[80, 20, 0]] * solid.sum(), rtol=0.03)
    np.testing.assert_allclose(made["Emission"][solid], [[80, 20, 0]] * solid.sum(), rtol=1e-3)


def test_what_glows_lights_the_asset_itself(renderer):
    """A white floor before a wall that glows, far larger than high above the middle of the floor."""
    corners = np.float32([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]])
    faces = np.int32([[0, 1, 2], [0, 2, 3]])
    both = Mesh(np.concatenate([corners, corners + np.float32([0, 0, 0.2])]), np.concatenate([faces, faces + 4]),
                material_index=np.int32([0, 0, 1, 1]), materials=(
                    Material(base_color=(0.5, 0.5, 0.5, 1), roughness=1), Material(base_color=(0, 0, 0, 1),
                                                                                    emission=(1, 0, 0))))
    asset, camera = create_from_mesh(both, name="lamp"), cameras.orbit(0, 3, 1.3, 30, 64, 64)
    made = renderer.render([Instance(asset, np.eye(4))], camera, environments.uniform((0, 0, 0)), ANALYTIC)
    floor = (made["Base Color"][..., 0] > 0.49) & (made["Combined"][..., 3] > 0.99) & (made["Normal"][..., 2] > 0.9)
    # of two parallel squares whose distance is a fifth of their sides, the middle of one sees 0.92 of the other
    assert np.percentile(made["Combined"][floor][:, 0], 90) == pytest.approx(0.5 * 0.92, rel=0.1)
    assert not made["Emission"][floor].any() and made["Emission"].max() == pytest.approx(1)


def test_without_bounces_a_ball_sees_the_world_alone(renderer):
    """Half of what it sees is a floor that shines: not by diffuse rays, or not by mirrored ones, or by neither."""
    down = -ggx.compute_directions(32)[..., 2]
    distance = np.where(down > 0, 0.5 / np.maximum(down, 1e-3), np.inf).astype(np.float32)
    floor = Probe((down[..., None] > 0).repeat(4, -1).astype(np.float32), distance, np.zeros(3))
    asset = Instance(ball(0.3, metallic=0.5, roughness=0.4), np.eye(4), floor)

    def draw(diffuse: int, glossy: int) -> np.ndarray:
        settings = replace(ANALYTIC, diffuse_bounces=diffuse, glossy_bounces=glossy)
        return renderer.render([asset], look(size=48), environments.uniform((0.5, 0.5, 0.5)), settings)["Combined"]

    whole, diffuse, glossy, none = (draw(*each) for each in ((4, 4), (4, 0), (0, 4), (0, 0)))
    np.testing.assert_allclose(diffuse - none + glossy, whole, atol=5e-3)
    sums = [each[..., :3].sum() for each in (none, diffuse, glossy, whole)]
    assert sums[0] < 0.6 * sums[3] and sums[0] < sums[1] < sums[3] and sums[0] < sums[2] < sums[3]


@pytest.mark.parametrize("degrees", [37.0, 90.0, 211.0])
def test_turning_world_camera_and_asset_together_changes_nothing(renderer, degrees):
    asset = ball(0.3, metallic=1.0, roughness=0.3, base_color=(0.9, 0.5, 0.2, 1))
    world = sun((1, -1, 1))
    before = picture(renderer, [(asset, np.eye(4))], look(20, 10), world)
    # the light moves by -env_rotation
    after = picture(renderer, [(asset, turned(degrees))], look(20 + degrees, 10),
                    Environment(world.map, environments.turn_z(-degrees)))
    encode = lambda x: np.clip(x, 0, 1) ** (1 / 2.2)
    assert np.abs(encode(before) - encode(after)).max() < 1 / 255


def test_the_nearer_asset_hides_the_farther_one(renderer, white):
    red = ball(0.2, base_color=(1, 0, 0, 1))
    near, far = np.eye(4), np.eye(4)
    near[1, 3], far[1, 3] = -1, 0
    made = renderer.render([Instance(white, far), Instance(red, near)], look(), environments.uniform((1, 1, 1)),
                           ANALYTIC)
    assert made["Base Color"][48, 48] == pytest.approx([1, 0, 0], abs=0.03)
    assert made["Depth"][48, 48, 0] == pytest.approx(3 - 1.2, abs=0.03)
    behind = renderer.render([Instance(red, turned(180) @ near), Instance(white, far)], look(),
                             environments.uniform((1, 1, 1)), ANALYTIC)
    assert behind["Base Color"][48, 48] == pytest.approx([1, 1, 1], abs=0.03)


@pytest.mark.parametrize("scale", [0.5, 0.9])
def test_what_is_inside_another_asset_does_not_shine_through(renderer, white, scale):
    uniform = environments.uniform((1, 1, 1))
    camera, inner = look(30, 20, 256), (ball(base_color=(1, 0, 0, 1)), np.diag([scale, scale, scale, 1]))
    alone = picture(renderer, [(white, np.eye(4))], camera, uniform, name="Base Color")
    both = picture(renderer, [(white, np.eye(4)), inner], camera, uniform, name="Base Color")
    assert picture(renderer, [inner], camera, uniform, name="Base Color")[128, 128, 1] < 0.03
    solid = alone[..., 1] > 0.9
    assert solid.mean() > 0.2 and np.abs(both - alone)[solid].max() < 1e-3


def test_normals_point_outward_under_mirrored_and_stretched_matrices(renderer, white):
    for matrix in (np.diag([-1, 1, 1, 1.0]), np.diag([1, 0.5, 1, 1.0]), np.diag([1, 1, 1, 1.0])):
        normal = picture(renderer, [(white, matrix)], look(), environments.uniform((1, 1, 1)), name="Normal")
        assert normal[48, 48] == pytest.approx([0, -1, 0], abs=0.12)
        assert normal[48, 68][0] > 0.3 and normal[28, 48][2] > 0.3


def test_passes_have_their_shapes_and_the_empty_picture_is_empty(renderer, white):
    made = renderer.render([], look(size=32), environments.uniform((1, 1, 1)), ANALYTIC)
    assert {k: v.shape for k, v in made.items()} == {k: (32, 32, n) for k, n in PASSES.items()}
    assert all(not v.any() for v in made.values())
    sky = renderer.render([], look(size=32), environments.uniform((1, 2, 3)), Settings(background=True))["Combined"]
    np.testing.assert_allclose(sky, np.broadcast_to([1, 2, 3, 1], (32, 32, 4)), rtol=1e-5)


def test_an_asset_scaled_to_nothing_is_not_drawn(renderer, white):
    assert not picture(renderer, [(white, np.zeros((4, 4)))], look(size=32), environments.uniform((1, 1, 1))).any()


def test_an_orthographic_camera_keeps_sizes(renderer, white):
    view = cameras.from_json({"matrix_world": np.linalg.inv(look().world_to_camera @ np.eye(4)).tolist(),
                              "fov_x_deg": 30, "resolution": 96})
    ortho = cameras.replace(view, orthographic=True, intrinsics=np.array([[96, 0, 48], [0, 96, 48], [0, 0, 1.0]]),
                            world_to_camera=look().world_to_camera)
    made = picture(renderer, [(white, np.eye(4))], ortho, environments.uniform((1, 1, 1)))
    assert (made[..., 3] > 0.5).sum() == pytest.approx(np.pi * (0.45 * 96) ** 2, rel=0.05)


def test_a_crop_is_a_part_of_the_whole(renderer, white):
    whole = picture(renderer, [(white, np.eye(4))], look(), environments.uniform((1, 1, 1)))
    part = picture(renderer, [(white, np.eye(4))], look().crop(20, 30, 40, 50), environments.uniform((1, 1, 1)))
    np.testing.assert_allclose(part, whole[30:80, 20:60], atol=1e-5)
    within = picture(renderer, [(white, np.eye(4))], look().crop(10, 20, 60, 70).crop(10, 10, 40, 50),
                     environments.uniform((1, 1, 1)))
    np.testing.assert_allclose(within, part, atol=1e-6)
    twice = look().crop(20, 30, 40, 50).resize(80, 100), look().resize(192, 192).crop(40, 60, 80, 100)
    one, other = (picture(renderer, [(white, np.eye(4))], view, environments.uniform((1, 1, 1))) for view in twice)
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_render_can_be_stopped(renderer, white):
    def stop(phase, fraction):
        if fraction > 0.3:
            raise Cancelled
    with pytest.raises(Cancelled):
        renderer.render([Instance(white, np.eye(4))], look(), environments.uniform((1, 1, 1)), ANALYTIC, stop)


def test_the_number_of_threads_changes_nothing(renderer, white):
    scene = [Instance(white, np.eye(4))], look(), environments.uniform((1, 0.5, 0.25))
    one, three = (renderer.render(*scene, Settings(background=True, threads=threads)) for threads in (1, 3))
    for name in one:
        np.testing.assert_array_equal(one[name], three[name])


def test_a_gold_ball_reflects_its_surroundings(renderer):
    gold = ball(0.45, metallic=1.0, roughness=0.05, base_color=(1.0, 0.8, 0.3, 1))
    sky = np.zeros((64, 128, 3), np.float32)
    sky[:32] = 1.0  # light from above only
    made = picture(renderer, [(gold, np.eye(4))], look(), Environment(sky))
    top, bottom = made[30, 48, :3], made[66, 48, :3]
    assert top == pytest.approx([1.0, 0.8, 0.3], abs=0.12)
    assert bottom.max() < 0.1


def test_the_configs_are_what_a_picture_is_drawn_with(renderer, white):
    scene = [Instance(replace(white, skin=None), np.eye(4))], look(), environments.uniform((1, 1, 1)), ANALYTIC
    plain = renderer.render(*scene)["Combined"]
    thin = Renderer(splatting=SplattingConfig(disc_width=0.3)).render(*scene)["Combined"]
    assert thin[..., 3].sum() < 0.99 * plain[..., 3].sum()
    dim = Renderer(transport=TransportConfig(bounces=0, hit_directions=96)).render(*scene)["Combined"]
    np.testing.assert_array_equal(dim[..., 3], plain[..., 3])
    assert dim[48, 48, :3] == pytest.approx(plain[48, 48, :3], abs=0.05)


def test_what_stands_between_casts_a_shadow_of_the_worlds_sun(renderer, white):
    """Where a probe says that something is around; the half behind a wall is dark, the other is not."""
    pytest.importorskip("embreex")
    light, empty = sun((1, 0, 1), power=4000.0), make_empty(np.zeros(3))
    wall = Occluders(np.float32([[2, 0, -5], [2, 5, -5], [2, 5, 5], [2, 0, 5]]), np.int32([[0, 1, 2], [0, 2, 3]]))
    shown = [renderer.render([Instance(white, np.eye(4), empty)], look(90), light, ANALYTIC, occluders=each)["Combined"]
             for each in (None, wall)]
    left, right = (np.array([picture[40:56, columns, :3].mean() for picture in shown])
                   for columns in (slice(24, 44), slice(54, 74)))
    assert right[1] < 0.3 * right[0] and abs(left[1] / left[0] - 1) < 0.05


@pytest.fixture(scope="module")
def keg():
    """A keg of the samples, by its surfels."""
    return replace(create_from_mesh(load(SAMPLES / "keg.glb"), name="keg", normalize=True), skin=None)


def from_afar(pixels: float, times: int = 1) -> cameras.Camera:
    """A picture of 64 pixels in which an asset's cube is so many wide; finer by a whole number."""
    distance = 128 / pixels
    return cameras.orbit(30, 25, distance, np.degrees(2 * np.arctan(0.25)), 64 * times, 64 * times)


def test_what_looks_small_looks_as_it_does_in_full_detail(renderer, keg):
    full = Renderer(splatting=SplattingConfig(final_cell=1e-6))  # level 0 at any size
    settings = Settings(passes=("Combined",))
    for pixels, least in ((40, 33), (20, 30)):
        assert sight.find_seen([Instance(keg, np.eye(4))], from_afar(pixels), "final")[0].level >= 1
        far = picture(renderer, [(keg, np.eye(4))], from_afar(pixels), sun((1, -1, 1)), settings)
        fine = picture(full, [(keg, np.eye(4))], from_afar(pixels, 8), sun((1, -1, 1)), settings)
        fine = fine.reshape(64, 8, 64, 8, 4).mean((1, 3))
        shown = fine[..., 3] > 0.01
        error = (np.clip(far[shown], 0, 1) ** (1 / 2.2) - np.clip(fine[shown], 0, 1) ** (1 / 2.2)) ** 2
        assert -10 * np.log10(error.mean()) > least


def test_nothing_pops_while_an_asset_gets_smaller(renderer, keg):
    full, settings = Renderer(splatting=SplattingConfig(final_cell=1e-6)), Settings(passes=("Combined",))
    ratios, levels = [], set()
    for pixels in np.geomspace(36, 24, 14):  # each 3 % smaller
        seen = sight.find_seen([Instance(keg, np.eye(4))], from_afar(pixels), "final")
        levels.add(tuple(each.level for each in seen))
        far, fine = (picture(each, [(keg, np.eye(4))], from_afar(pixels), sun((1, -1, 1)), settings).sum((0, 1))
                     for each in (renderer, full))
        ratios.append(far / fine)
    assert len(levels) == 3  # two levels, and both at once between them
    ratios = np.array(ratios)
    assert np.abs(np.diff(ratios, axis=0)).max() < 0.03 and np.abs(ratios - 1).max() < 0.04


def test_what_is_smaller_than_a_pixel_does_not_vanish(renderer, white):
    """Down to half a pixel wide a ball covers about as much as it should, at 0.4 too much rather than nothing."""
    for distance in np.geomspace(8, 200, 12):
        view = replace(look(distance=distance), intrinsics=np.array([[86.0, 0, 48], [0, 86, 48], [0, 0, 1]]))
        made = renderer.render([Instance(white, np.eye(4))], view, sun((0, 0, 1)), ANALYTIC)
        covered = made["Combined"][..., 3].sum()
        least, most = (0.8, 1.4) if 0.9 * 86 / distance > 0.5 else (0.6, 2.2)
        assert least < covered / (np.pi * (0.45 * 86 / distance) ** 2) < most, distance
