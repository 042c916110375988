"""A data set small enough to learn from in a test: two objects, drawn from two sides under two maps."""

import json
from pathlib import Path

import numpy as np
import pytest


def write_hdr(path: Path, picture: np.ndarray) -> None:
    """A flat Radiance file of a picture (H, W, 3)."""
    exponent = np.ceil(np.log2(np.maximum(picture.max(-1), 1e-9)))
    mantissa = np.clip(picture / 2 ** exponent[..., None] * 256, 0, 255)
    pixels = np.concatenate([mantissa, exponent[..., None] + 128], -1).astype(np.uint8)
    height, width = picture.shape[:2]
    header = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {height} +X {width}\n"
    path.write_bytes(header.encode() + pixels.tobytes())


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """A folder with the sets `data` and `dev`, one object each, their .near files in `assets`, and its maps in
    `hdris`."""
    trimesh = pytest.importorskip("trimesh")
    from near_core import asset, image, mesh
    from near_core.create.create import create_from_mesh
    from near_core.render.renderer import Renderer
    from near_core.scene import Instance, Settings, camera, environment
    root = tmp_path_factory.mktemp("tiny")
    for name in ("hdris", "assets"):
        (root / name).mkdir()
    rng = np.random.default_rng(0)
    lights = {name: rng.uniform(0.2, 2, (16, 32, 3)).astype(np.float32) for name in ("sky.hdr", "dusk.hdr")}
    for name, light in lights.items():
        write_hdr(root / "hdris" / name, light)
    shapes = {"data": trimesh.creation.icosphere(3, 0.5), "dev": trimesh.creation.box((0.6, 0.8, 1.0))}
    for part, shape in shapes.items():
        folder = root / part / "views" / part
        folder.mkdir(parents=True)
        shape.export(root / part / f"{part}.ply")
        held = {"exclude_hdris": ["dusk.hdr"]} if part == "dev" else {}
        (root / part / "meta.json").write_text(json.dumps(
            {"assets": [part], "files": {part: f"{part}.ply"}, "normalised": True, "hdris": "../hdris", **held}))
        made = create_from_mesh(mesh.normalize(mesh.load(root / part / f"{part}.ply"))[0], name=part)
        asset.save(made, root / "assets" / f"{part}.near")
        settings = Settings(shading="split-sum", quality="draft", background=False)
        for number, (azimuth, name) in enumerate((a, n) for a in (-20, 60) for n in lights):
            view = camera.orbit(azimuth, 20, 2.8, 30, 64, 64)
            world = environment.Environment(image.read(root / "hdris" / name)[..., :3], environment.turn_z(30.0), 1.0)
            drawn = Renderer().render([Instance(made, np.eye(4))], view, world, settings)["Combined"]
            image.write_exr(folder / f"{number}.exr", {"Combined": drawn}, layer="")
            pose = np.linalg.inv(view.world_to_camera) @ np.diag([1, -1, -1, 1])
            (folder / f"{number}.json").write_text(json.dumps({
                "camera": {"matrix_world": pose.tolist(), "fov_x_deg": 30.0, "resolution": [64, 64]}, "hdri": name,
                "hdri_rotation_deg": 30.0, "world_strength": 1.0}))
    return root


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Two meshes, what they are packed as, and a studio of them under a grey sky with one sun; and that sky for
    `relight`."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("manifold3d")
    from safetensors.numpy import save_file

    from near_core.lab.datasets import procedural
    from near_core.lab.training.data import packed_objects, studio
    seeds, folder = (3, 8), tmp_path_factory.mktemp("pool")
    found = [procedural.make(seed) for seed in seeds]
    for seed, mesh in zip(seeds, found):
        save_file(packed_objects.pack_surface(mesh) | {"finished": np.array(True)}, folder / f"{seed}.safetensors")
    packed = [packed_objects.load_object(folder / f"{seed}.safetensors") for seed in seeds]
    sky = np.full((32, 64, 3), 0.5, np.float32)
    sky[6:8, 10:12] = 60
    save_file(packed_objects.prepare_lights([sky]), folder / "lights.safetensors")
    coarse, fine, suns = packed_objects.load_lights(folder / "lights.safetensors", torch.device("cpu"))
    return found, packed, studio.Studio(packed, fine, suns, torch.device("cpu")), coarse
