"""The ceiling of surfels: what free colours draw, on pictures whose best colours are known."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from near_core import image
from near_core.create import sampling
from near_core.create.create import create_from_mesh
from near_core.lab.evaluation import ceiling, metrics
from near_core.mesh import Mesh
from near_core.render.config import SplattingConfig
from near_core.render.renderer import Renderer
from near_core.scene import Instance, Settings, camera
from near_core.scene.environment import uniform

REPOSITORY = Path(__file__).parents[3]
TETRAHEDRON = """ply
format ascii 1.0
element vertex 4
property float x
property float y
property float z
element face 4
property list uchar int vertex_indices
end_header
-0.5 -0.5 -0.5
0.5 -0.5 -0.5
0 0.5 -0.5
0 0 0.5
3 0 2 1
3 0 1 3
3 1 2 3
3 2 0 3
"""
VIEW = camera.orbit(-20, 20, 2.5, 40, 96, 96)


def tetrahedron() -> Mesh:
    corners = np.float32([[-0.5, -0.5, -0.5], [0.5, -0.5, -0.5], [0, 0.5, -0.5], [0, 0, 0.5]])
    return Mesh(corners, np.int32([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]]))


@pytest.fixture(scope="module")
def drawing():
    return ceiling.ProjectedDiscs.of(sampling.sample_surfels(tetrahedron()), 128, VIEW)


def test_the_renderers_own_grid_draws_the_renderers_silhouette(drawing):
    asset = create_from_mesh(tetrahedron(), name="tetrahedron", detail="draft")
    renderer = Renderer(splatting=SplattingConfig(fine_cell=0))  # four samples a pixel, as the ceiling's
    truth = renderer.render([Instance(asset, np.eye(4))], VIEW, uniform((1, 1, 1)),
                            Settings(shading="transport", passes=("Combined",)))["Combined"]
    assert np.abs(drawing.alpha - truth[..., 3]).max() < 1e-4


def test_colours_that_drew_a_picture_are_found(drawing):
    position = sampling.sample_surfels(tetrahedron()).position
    truth = drawing.draw(np.float32(0.3) + 0.25 * np.sin(12 * position))
    assert metrics.object_psnr(drawing.draw(ceiling.fit_colors(drawing, truth, 30)), truth) > 42


def test_more_discs_show_a_finer_pattern():
    rows = []
    stripes = np.where(np.arange(96) // 2 % 2, 0.8, 0.1)[None, :, None] * np.ones((96, 1, 3))
    for resolution in (32, 64, 128):
        discs = sampling.sample_surfels(tetrahedron(), resolution=resolution)
        finer = ceiling.ProjectedDiscs.of(discs, resolution, VIEW)
        solid = finer.alpha[..., None] > 0.9
        truth = np.concatenate([stripes * solid, solid], -1).astype(np.float32)
        rows.append(metrics.object_psnr(finer.draw(ceiling.fit_colors(finer, truth, 30)), truth))
    assert rows[0] + 1 < rows[1] < rows[2] - 3


def test_a_coarser_grid_has_fewer_discs_of_the_same_surface():
    fine, coarse = (sampling.sample_surfels(tetrahedron(), resolution=r) for r in (128, 64))
    assert len(fine) == pytest.approx(4 * len(coarse), rel=0.15)
    assert fine.area.sum() == pytest.approx(coarse.area.sum(), rel=0.02)


def test_the_smallest_number_within_a_decibel_is_named():
    def row(asset, n, value):
        return {"asset": asset, "per_voxel": n, "resolution": round(64 * n**0.5), "gaussians": 100 * n, "voxels": 100,
                "object_psnr": value, "full_psnr": value, "alpha_iou": 1.0}
    found = ceiling.tabulate([row(a, n, v + shift) for a, shift in (("a", 1), ("b", -1))
                             for n, v in ((1, 25.0), (4, 30.0), (8, 30.6), (16, 30.9))])
    assert found["smallest_close"] == 4 and found["used"] == 16
    assert found["counts"]["8"]["object_psnr"] == {"mean": 30.6, "median": 30.6, "worst": 29.6}
    assert found["counts"]["16"]["counted_per_voxel"] == 16


def test_the_command_goes_on_where_it_was(tmp_path):
    (tmp_path / "t.ply").write_text(TETRAHEDRON)
    (tmp_path / "meta.json").write_text(json.dumps({"assets": ["t"], "files": {"t": "t.ply"}, "normalised": True}))
    folder = tmp_path / "views" / "t"
    folder.mkdir(parents=True)
    matrix = np.linalg.inv(VIEW.world_to_camera) @ np.diag([1, -1, -1, 1])
    (folder / "0.json").write_text(json.dumps({"uniform": 1, "camera": {
        "matrix_world": matrix.tolist(), "fov_x_deg": 40, "resolution": [96, 96]}}))
    drawn = ceiling.ProjectedDiscs.of(sampling.sample_surfels(tetrahedron()), 128, VIEW)
    image.write_exr(folder / "0.exr", {"Combined": drawn.draw(np.full((len(drawn.front), 3), 0.5, np.float32))})
    words = [sys.executable, "-m", "near_core", "train", "ceiling", "--data", str(tmp_path), "--views", "0",
             "--steps", "10", "--json", str(tmp_path / "r.json")]
    first = subprocess.run([*words, "--counts", "4"], cwd=REPOSITORY, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    again = subprocess.run([*words, "--counts", "1,4"], cwd=REPOSITORY, capture_output=True, text=True)
    assert again.returncode == 0 and "t 1:" in again.stderr and "t 4:" not in again.stderr
    assert set(json.loads((tmp_path / "r.json").read_text())["counts"]) == {"1", "4"}
    other = subprocess.run([*words, "--width", "2"], cwd=REPOSITORY, capture_output=True, text=True)
    assert other.returncode == 2 and "other options" in other.stderr and "Traceback" not in other.stderr
