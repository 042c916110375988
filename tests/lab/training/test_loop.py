"""Training: several processes learn as one, and what a photo shows of a mesh is right."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from near_core.mesh import Material, Mesh  # noqa: E402
from near_core.scene import camera as cameras  # noqa: E402

REPOSITORY = Path(__file__).parents[3]
TOGETHER = """
import sys
from pathlib import Path
import torch
from near_core.lab.training.loop import Run, RunConfig
torch.manual_seed(int(sys.argv[2]))
network = torch.nn.Linear(3, 2)
run = Run(RunConfig(out=Path(sys.argv[1]), minutes=60.0, rate=0.1, warm_up=1), network)
data = torch.arange(12.0).reshape(2, 2, 3)[run.rank:: run.world]
for _ in range(3):
    run.minutes += run.rank
    run.update(network(data).square().mean())
torch.save((network.state_dict(), run.minutes), f"{sys.argv[1]}/{run.rank}.pt")
if run.world > 1:
    torch.distributed.destroy_process_group()
"""


def test_two_processes_step_as_one(tmp_path):
    script = tmp_path / "together.py"
    script.write_text(TOGETHER)
    alone, both = tmp_path / "alone", tmp_path / "both"
    common = {"cwd": REPOSITORY, "check": True, "timeout": 120, "env": {
        "PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)}}
    subprocess.run([sys.executable, script, alone, "0"], **common)
    subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
                    script, both, "0"], **common)
    kept = torch.load(alone / "0.pt", weights_only=True)[0]
    (first, clock), (second, other) = (torch.load(both / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert clock == other == 0
    for key in kept:
        torch.testing.assert_close(first[key], second[key], rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(first[key], kept[key], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("found, expected", [
    ({"avx2": True, "avx512_f": True}, torch.float32), ({"avx512_bf16": True}, torch.bfloat16),
    ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16), ({"neon": True}, torch.float32)])
def test_bfloat16_is_taken_where_the_processor_multiplies_it(monkeypatch, found, expected):
    from near_core.lab.training.stages import intrinsics
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    network, kinds = intrinsics.IntrinsicsOnly().eval(), []
    network.intrinsics.out[-1].register_forward_hook(lambda layer, given, made: kinds.append(made.dtype))
    with torch.no_grad():
        layers = intrinsics.predict(network, {"image": torch.rand(1, 4, 128, 128), "pose": torch.rand(1, 6)})[0]
    assert kinds == [expected] and layers.dtype == torch.float32


def test_every_stage_asks_the_processor_before_it_takes_bfloat16():
    from near_core.lab.training import loop
    stages = {path.name: path.read_text() for path in Path(loop.__file__).parent.rglob("*.py")}
    assert [name for name, text in stages.items() if "bfloat16" in text] == ["loop.py"]
    assert sum("with autocast(" in text for text in stages.values()) == 5


def sphere(radius: float = 0.4) -> Mesh:
    import trimesh
    shape = trimesh.creation.icosphere(4, radius)
    return Mesh(np.asarray(shape.vertices, np.float32), np.asarray(shape.faces, np.int32),
                materials=(Material(base_color=(0.2, 0.5, 0.8, 1), roughness=0.3, metallic=1.0),))


def test_a_photos_true_layers_are_those_of_the_mesh():
    from near_core.lab.training.data import samples
    camera = cameras.orbit(30, 20, 2.5, 40, 96, 96)
    made = samples.prepare_sample(sphere(), [camera])
    depth, rest = made["depth"][0].astype(np.float32), made["bytes"][0].astype(np.float32) / 255
    assert depth[0, 48, 48] == pytest.approx(-0.4, abs=0.004)
    assert depth[1, 48, 48] == pytest.approx(0.8, abs=0.008)
    np.testing.assert_allclose(rest[:3, 48, 48] * 2 - 1, [0, 0, -1], atol=0.06)  # it faces the camera
    np.testing.assert_allclose(rest[3:6, 48, 48] ** 2.2, [0.2, 0.5, 0.8], atol=0.02)
    assert rest[6, 48, 48] == pytest.approx(0.3, abs=0.01) and rest[7, 48, 48] == 1
    radius = 0.4 / np.sqrt(2.5**2 - 0.4**2) * camera.intrinsics[0, 0]
    assert rest[8].sum() == pytest.approx(np.pi * (radius + 0.5) ** 2, rel=0.03)
    solid = made["solid"].sum() / 8 / 64**3
    assert solid == pytest.approx(4 / 3 * np.pi * 0.4**3, rel=0.05)
    assert np.linalg.norm((made["shell"] + 0.5) / 64 - 0.5, axis=1) == pytest.approx(0.4, abs=0.02)


def test_a_finish_that_nobody_knows_teaches_nothing(tmp_path):
    """Of an unfinished object, roughness and metallic leave no gradient; colour and shape do as ever."""
    from near_core import image
    from near_core.lab.training.data import relight
    from near_core.lab.training.stages import intrinsics
    torch.manual_seed(0)
    image.write_exr(tmp_path / "sky.hdr.exr", {"Combined": np.ones((8, 16, 4), np.float32)})
    lights = relight.Lights.of(relight.read_maps(tmp_path, set()))
    network = intrinsics.IntrinsicsOnly().eval()
    batch = {"image": torch.rand(2, 4, 128, 128), "pose": torch.rand(2, 6), "layers": torch.rand(2, 10, 128, 128),
             "mask": torch.ones(2, 128, 128), "elevation": torch.zeros(2)}
    last = network.intrinsics.out[-1]
    steps = []
    for unfinished in (False, True):
        network.zero_grad()
        batch["unfinished"] = torch.tensor([unfinished] * 2)
        intrinsics.judge(intrinsics.predict(network, batch), batch, lights, seed=0)[0].backward()
        steps.append(last.weight.grad.abs().sum((1, 2, 3)))
    assert (steps[0] > 1e-4).all()
    assert (steps[1][:8] > 1e-4).all() and (steps[1][8:] < 1e-3 * steps[0][8:]).all()


def test_a_mirrored_sample_is_the_mirrored_object():
    """The grid's inputs of a photo, and those of its mirror image, belong to the solid and to its mirror image."""
    from near_core.create.view import cell_centres, grid_inputs
    camera = cameras.orbit(30, 20, 2.5, 40, 96, 96)
    centres = cell_centres(8)
    mirrored = np.array([-1, 1, 1], np.float32)
    twin = cameras.orbit(-30, 20, 2.5, 40, 96, 96)
    direct, image = grid_inputs(twin, centres), grid_inputs(camera, centres * mirrored)
    image["uv"][..., 0] *= -1
    image["towards"][0] *= -1
    for key in direct:
        np.testing.assert_allclose(image[key], direct[key], atol=1e-5)


def spotted() -> Mesh:
    """A ball whose colour changes from corner to corner."""
    plain = sphere()
    color = np.random.default_rng(0).uniform(0.1, 1, (*plain.faces.shape, 4)).astype(np.float32)
    return Mesh(plain.vertices, plain.faces, corner_color=color, materials=(Material(roughness=0.4),))


def test_the_decoder_learns_from_pictures_that_render_would_draw(tmp_path):
    """Texels included, whole and in windows: close-up, where discs are wide."""
    import json

    from near_core import image
    from near_core.create import create
    from near_core.lab.training.data import lit_surfels, mixtures
    from near_core.lab.training.stages import renderer
    from near_core.models.mini import layout
    from near_core.render import renderer as render
    from near_core.scene import Instance, Settings, environment
    made = create.create_from_mesh(spotted(), name="ball")
    camera = cameras.orbit(30, 20, 1.6, 30, 128, 128)
    sky = np.random.default_rng(1).uniform(0, 1, (16, 32, 3)).astype(np.float32)
    image.write_exr(tmp_path / "sky.exr", {"Combined": np.dstack([sky, np.ones((16, 32, 1), np.float32)])})
    pose = np.linalg.inv(camera.world_to_camera) @ np.diag([1, -1, -1, 1])
    view = {"camera": {"matrix_world": pose.tolist(), "fov_x_deg": 30.0, "resolution": [128, 128]}, "hdri": "sky.exr",
            "hdri_rotation_deg": 40.0, "world_strength": 2.0}
    (tmp_path / "0.json").write_text(json.dumps(view))
    settings = Settings(shading="transport", background=False)
    world = environment.Environment(image.read(tmp_path / "sky.exr")[..., :3].copy(), environment.turn_z(40.0), 2.0)
    truth = render.Renderer().render([Instance(made, np.eye(4))], camera, world, settings)["Combined"]
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


def test_layers_are_lit_as_the_map_has_it(tmp_path):
    """A white ball's layers under a sky that is red above: red shows where the normals point up."""
    from near_core import image
    from near_core.lab.training.data import relight
    sky = np.zeros((32, 64, 3), np.float32)
    sky[:16, :, 0], sky[16:, :, 2] = 1, 1
    image.write_exr(tmp_path / "sky.exr", {"Combined": np.dstack([sky, np.ones((32, 64, 1), np.float32)])})
    (tmp_path / "held.hdr").write_bytes(b"never read")
    lights = relight.Lights.of(relight.read_maps(tmp_path, {"held.hdr"}))
    up, down, material = [0.0, -1, 0], [0.0, 1, 0], [1.0, 1, 1, 1, 0]  # y points down in the camera's frame
    layers = torch.tensor([[*up, *material], [*down, *material]]).T[None, :, None].repeat(2, 1, 2, 1)
    level = lights.shade(torch.tensor([0, 0]), relight.camera_to_world(torch.rand(2), torch.zeros(2)), layers.flatten(2))
    assert (level[:, 0, 0] > 0.9).all() and (level[:, 2, 0] < 0.1).all()
    assert (level[:, 2, 1] > 0.9).all() and (level[:, 0, 1] < 0.1).all()
    white = layers.flatten(2)
    grey = white.clone()
    grey[:, 3:6] = 0.5
    wrong = lambda made: lights.error(made, white, torch.ones(2, 4), torch.zeros(2), seed=0)
    assert wrong(white).max() < 1e-9 and wrong(grey).min() > 0.01
