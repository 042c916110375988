"""Photos to assets of a published checkpoint, at small sizes with random weights: files, stages, errors."""
import shutil
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
yaml = pytest.importorskip("yaml")

from PIL import Image

from near_core import asset as assets
from near_core.create.create import Listener
from near_core.create.hints import Hints
from near_core.create.shot import Shot
from near_core.engine import Engine
from near_core.errors import Cancelled, NearError
from near_core.mesh import Mesh
from near_core.models.near.checkpoint import open_checkpoint
from near_core.models.near.pipeline import Pipeline
from near_core.scene import Instance
from near_core.scene.camera import orbit
from near_core.scene.environment import uniform
from tests.checkpoints import RENDERING, STRUCTURE, write_encoder, write_small

FLOW = (*RENDERING, "slat_flow_model")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_small(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """What the three downloads leave: the checkpoint, the image encoder as the hub names it, TRELLIS's structure."""
    home = tmp_path_factory.mktemp("parts")
    write_small(home / "near", FLOW, encoder=False)
    write_small(home / "trellis", STRUCTURE, encoder=False)
    write_encoder(home / "dinov2", hub=True)
    return home


@pytest.fixture(scope="module")
def photo():
    """A red disc with alpha, (90, 120, 4) uint8."""
    y, x = np.mgrid[:90, :120]
    inside = (x - 70) ** 2 + (y - 40) ** 2 < 30 ** 2
    return np.where(inside[..., None], (200, 40, 30, 255), 0).astype(np.uint8)


@pytest.fixture(scope="module")
def engine(folder):
    return Engine(folder, "cpu")


@pytest.fixture(scope="module")
def made(engine, photo):
    return engine.create_from_image([photo], name="disc", source="disc.png", seed=3)


@pytest.fixture
def box():
    corners = np.array(np.meshgrid(*[(-1, 1)] * 3, indexing="ij"), np.float32).reshape(3, -1).T * (2, 1, 0.5)
    faces = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6],
                      [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]])
    return Mesh(corners.astype(np.float32), faces.astype(np.int32))


def same_voxels(one, other):
    """But for a few whose logit is 0 within rounding."""
    one, other = (set(map(tuple, coords.tolist())) for coords in (one, other))
    return len(one ^ other) <= 0.005 * len(one)


def test_a_photo_becomes_an_asset_that_says_which_model_made_it(engine, made, folder, photo):
    pipeline = Pipeline(folder, "cpu")
    assert made.model == "near" and made.model_hash == pipeline.digest and len(made.model_hash) == 32
    images = pipeline.image_tokens([photo])
    assert images[0].shape == (1, 1 + 2 + 37 ** 2, 64)
    coords = pipeline.structure(images, seed=3)
    assert same_voxels(made.coords, coords) and len(coords) > 50
    latent = pipeline.latent(made.coords, images, seed=3)
    np.testing.assert_allclose(made.slat.astype(np.float32), latent, rtol=2e-3, atol=2e-3)
    material = pipeline.material(pipeline.decode(made.coords, latent))
    assert np.allclose(made.material[:, :5], material, atol=2e-3) and np.ptp(material, axis=0).min() > 1e-3
    again = assets.from_bytes(assets.to_bytes(made))
    picture = engine.render([Instance(again, np.eye(4))], orbit(30, 10, 2, 40, 32, 24), uniform((1, 1, 1)))
    assert not engine.notes and picture["Combined"].any()
    other = engine.create_from_image([photo], name="disc", seed=4)
    assert other.coords.shape != made.coords.shape or (other.coords != made.coords).any()


def test_another_checkpoint_says_that_it_did_not_make_the_asset(made, tmp_path, folder):
    shutil.copytree(folder, tmp_path / "other")
    path = tmp_path / "other/renderer.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    other = Engine(tmp_path / "other", "cpu")
    two = [Instance(made, np.eye(4))] * 2
    other.render(two, orbit(30, 10, 2, 40, 16, 16), uniform((1, 1, 1)))
    (note,) = other.notes
    assert "disc was made with another published checkpoint" in note
    mini = Engine()
    mini.render(two, orbit(30, 10, 2, 40, 16, 16), uniform((1, 1, 1)))
    assert "disc was made for the published model, which is not chosen" in mini.notes[0]


def test_a_mesh_gives_the_voxels(parts, photo, box):
    engine = Engine(parts / "near", "cpu", companions=[parts / "dinov2"])
    seen = []
    made = engine.create_from_image([photo, photo], name="box", mesh=box, normalize=True,
                                    listener=Listener(preview=lambda *pictures: seen.extend(pictures)))
    low, high = made.coords.min(0), made.coords.max(0)
    assert made.extent == 4 and (low == (0, 16, 24)).all() and (high >= (63, 47, 39)).all()
    assert seen[0].shape == (518, 518) and seen[1].shape == (518, 518, 3) and seen[0].max() == 1


def test_the_parts_may_lie_in_folders_of_their_own(parts, photo, made):
    engine = Engine(parts / "near", "cpu", companions=[parts / "dinov2", parts / "trellis"])
    same = engine.create_from_image([photo], name="disc", source="disc.png", seed=3)
    assert same_voxels(same.coords, made.coords)
    if len(same.coords) == len(made.coords):  # else the noise is another
        np.testing.assert_allclose(same.slat.astype(float), made.slat.astype(float), rtol=2e-3, atol=2e-3)
    assert same.model_hash == made.model_hash
    opened = open_checkpoint(parts / "near", [parts / "dinov2", parts / "trellis"])
    assert opened.structure_sampler["steps"] == 4 and len(opened.survey()) == len(FLOW) + len(STRUCTURE)


def test_both_names_of_the_image_encoder_mean_the_same_weights(parts, folder):
    one, other = (open_checkpoint(parts / "near", [beside]).load("image_encoder").state_dict()
                  for beside in (parts / "dinov2", folder))
    assert list(one) == list(other) and all(torch.equal(one[key], other[key]) for key in one)


def without(name):
    return [each for each in FLOW if each != name]


@pytest.mark.parametrize("names, beside, said", [
    (without("slat_flow_model"), ["dinov2", "trellis"], "no slat_flow_model"),
    (FLOW, ["dinov2"], "no sparse_structure_flow_model.*TRELLIS"),
    (FLOW, ["trellis"], "DINOv2.*missing.*dinov2_vitl14_reg4_pretrain.pth"),
])
def test_what_is_missing_is_named_before_anything_is_sampled(parts, photo, tmp_path, names, beside, said):
    write_small(tmp_path, names, encoder=False)
    engine = Engine(tmp_path, "cpu", companions=[parts / each for each in beside])
    with pytest.raises(NearError, match=said):
        engine.create_from_image([photo], name="disc")


def test_files_that_are_gone_or_wrong_are_named(parts, photo, tmp_path):
    shutil.copytree(parts, tmp_path, dirs_exist_ok=True)
    engine = Engine(tmp_path / "near", "cpu", companions=[tmp_path / "dinov2", tmp_path / "trellis"])
    weights = tmp_path / "dinov2/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(NearError, match="model.safetensors is damaged"):
        engine.create_from_image([photo], name="disc")
    weights.unlink()
    with pytest.raises(NearError, match="model.safetensors in dinov2 is missing"):
        engine.create_from_image([photo], name="disc")
    (tmp_path / "near/slat_flow_model.safetensors").unlink()
    with pytest.raises(NearError, match="slat_flow_model.safetensors is missing"):
        engine.create_from_image([photo], name="disc")


def test_creating_can_be_stopped_between_two_layers(engine, photo, made):
    reported = []

    def stop(phase, fraction):
        reported.append((phase, fraction))
        if phase == "Latent" and reported[-2][0] == "Latent":
            raise Cancelled

    with pytest.raises(Cancelled):
        engine.create_from_image([photo], name="disc", progress=stop)
    phases = list(dict.fromkeys(phase for phase, _ in reported))
    assert phases[-3:] == ["Image features", "Shape", "Latent"]
    assert all(a <= b for (_, a), (_, b) in zip(reported, reported[1:]))
    assert len(engine.create_from_image([photo], name="disc", source="disc.png", seed=3).coords) == len(made.coords)


def test_the_command_makes_and_draws_one(parts, photo, tmp_path):
    Image.fromarray(photo).save(tmp_path / "disc.png")
    command = [sys.executable, "-m", "near_core"]
    model = ["--model", parts / "near", "--device", "cpu"]
    create = [*command, "create", "--image", tmp_path / "disc.png", "--out", tmp_path / "disc.near", *model]
    done = subprocess.run(create, capture_output=True, text=True)
    assert done.returncode == 2 and "Download TRELLIS" in done.stderr and "Traceback" not in done.stderr
    beside = ["--beside", parts / "dinov2", "--beside", parts / "trellis"]
    subprocess.run([*create, *beside], check=True, capture_output=True)
    assert assets.load(tmp_path / "disc.near").model == "near"
    done = subprocess.run([*command, "render", "--asset", tmp_path / "disc.near", "--env", "1,1,1", "--size", "32x32",
                           "--out", tmp_path / "p.png", *model], capture_output=True, text=True)
    assert done.returncode == 0 and "another" not in done.stderr and (tmp_path / "p.png").stat().st_size > 100


def test_hints_on_the_photo_count(engine, photo):
    shot = Shot(np.ascontiguousarray(photo[..., :3]), hints=Hints(number=9))
    with pytest.raises(NearError, match="no object 9|NeAR's own matting"):  # the latter where no network is exported
        engine.create_from_image([shot], name="disc")
