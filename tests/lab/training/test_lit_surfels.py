"""What the stage `renderer` learns from, against what render draws."""

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from near_core import image
from near_core.create import create, sampling
from near_core.lab.training.data import lit_surfels, mixtures
from near_core.lab.training.stages import renderer
from near_core.mesh import Material, Mesh
from near_core.models.mini import layout
from near_core.render.renderer import Renderer
from near_core.scene import Instance, Settings, environment
from near_core.scene import camera as cameras


def sphere(radius: float = 0.4) -> Mesh:
    import trimesh
    shape = trimesh.creation.icosphere(4, radius)
    return Mesh(np.asarray(shape.vertices, np.float32), np.asarray(shape.faces, np.int32),
                materials=(Material(base_color=(0.2, 0.5, 0.8, 1), roughness=0.3, metallic=1.0),))


def spotted() -> Mesh:
    """A ball whose colour changes from corner to corner."""
    plain = sphere()
    color = np.random.default_rng(0).uniform(0.1, 1, (*plain.faces.shape, 4)).astype(np.float32)
    return Mesh(plain.vertices, plain.faces, corner_color=color, materials=(Material(roughness=0.4),))


def test_the_decoder_learns_from_pictures_that_render_would_draw(tmp_path):
    """Texels included, whole and in windows: close-up, where discs are wide."""
    made = replace(create.create_from_mesh(spotted(), name="ball", detail="draft"),
                   texels=sampling.sample_surface(spotted())[1])
    camera = cameras.orbit(30, 20, 1.6, 30, 128, 128)
    sky = np.random.default_rng(1).uniform(0, 1, (16, 32, 3)).astype(np.float32)
    image.write_exr(tmp_path / "sky.exr", {"Combined": np.dstack([sky, np.ones((16, 32, 1), np.float32)])})
    pose = np.linalg.inv(camera.world_to_camera) @ np.diag([1, -1, -1, 1])
    view = {"camera": {"matrix_world": pose.tolist(), "fov_x_deg": 30.0, "resolution": [128, 128]}, "hdri": "sky.exr",
            "hdri_rotation_deg": 40.0, "world_strength": 2.0}
    (tmp_path / "0.json").write_text(json.dumps(view))
    settings = Settings(shading="transport", background=False)
    world = environment.Environment(image.read(tmp_path / "sky.exr")[..., :3].copy(), environment.turn_z(40.0), 2.0)
    truth = Renderer().render([Instance(made, np.eye(4))], camera, world, settings)["Combined"]
    image.write_exr(tmp_path / "0.exr", {"Combined": truth}, layer="")
    arrays = lit_surfels.prepare_asset(tmp_path, made, tmp_path, {}, 1)
    assert len(arrays["0.owner"]) > 2 * len(arrays["0.surfel"])  # texels are drawn
    hidden = torch.zeros(len(made.coords), 32)
    whole = mixtures.mix_lights(arrays, 0, hidden, np.ones((1, 3)))
    drawn = lambda item: (renderer.draw(item, item["terms"][:, layout.Term.SENT].sum(1)) * item["mean"]).numpy()
    np.testing.assert_allclose(drawn(whole), truth[..., :3], atol=4e-3)
    window = mixtures.frame_window(arrays, 0, 30, 20, 64)
    part = mixtures.mix_lights(arrays, 0, hidden, np.ones((1, 3)), window)
    np.testing.assert_allclose(drawn(part), truth[20:84, 30:94, :3], atol=4e-3)
    np.testing.assert_allclose(part["truth"].numpy() * part["mean"], truth[20:84, 30:94, :3], atol=4e-3)
