"""near_core.engine: scenes with assets of both models, and what is said where a model or memory is missing."""
from dataclasses import replace

import numpy as np
import pytest
import trimesh

torch = pytest.importorskip("torch")
yaml = pytest.importorskip("yaml")

from near_core import asset as assets
from near_core.commands.cli import main
from near_core.create.create import create_from_mesh
from near_core.directions import decode_octahedral
from near_core.engine import Engine
from near_core.errors import Cancelled, NearError
from near_core.mesh import Material, Mesh
from near_core.models.near import memory
from near_core.published.renderer import PublishedRenderer
from near_core.scene import PASSES, Instance, Lamp, Settings, Shutter
from near_core.scene.camera import orbit
from near_core.scene.environment import uniform
from tests.models.near.test_pipeline import asset, folder  # noqa: F401  fixtures

CAMERA, LIGHT = orbit(0, 10, 2, 40, 32, 24), uniform((1, 0.8, 0.6))


@pytest.fixture(scope="module")
def npz(asset, tmp_path_factory):  # noqa: F811
    """A ball in the published file format, with all three latents."""
    path = tmp_path_factory.mktemp("latent") / "ball.npz"
    coords, feats = asset
    np.savez(path, coords=coords, feats=feats, color_feats=0 * feats, brm_feats=0 * feats)
    return path


@pytest.fixture(scope="module")
def latent(npz):
    return assets.load(npz)


@pytest.fixture(scope="module")
def plain(latent):
    """The same voxels as an asset of no model, red."""
    material = latent.material.copy()
    material[:, :3] = (0.8, 0.05, 0.05)
    return assets.NeuralAsset(latent.coords, material, np.zeros((len(latent.coords), 0), np.float16), name="Red")


@pytest.fixture(scope="module")
def engine(folder):  # noqa: F811
    return Engine(folder, "cpu")


def at(x, y, z):
    matrix = np.eye(4)
    matrix[:3, 3] = x, y, z
    return matrix


def test_published_latents_are_drawn_by_the_published_model(engine, latent, folder):  # noqa: F811
    picture = engine.render([Instance(latent, np.eye(4))], CAMERA, LIGHT)
    alone = PublishedRenderer(folder, "cpu").render([Instance(latent, np.eye(4))], CAMERA, LIGHT)
    assert not engine.notes
    for name in PASSES:  # the view embedding multiplies rounding by up to 2^11
        assert np.quantile(np.abs(picture[name] - alone[name]), 0.99) < 2e-3, name


@pytest.mark.parametrize("seed", [-1, 0.5, float("nan"), "1"])
def test_a_seed_that_is_none_is_named(seed):
    with pytest.raises(NearError, match="There is no seed"):
        Engine().create_from_image([], seed=seed)


def test_without_the_model_the_material_is_drawn_and_that_is_said(latent):
    plain_engine = Engine()
    picture = plain_engine.render([Instance(latent, at(x, 0, 0)) for x in (-0.3, 0.3)], CAMERA, LIGHT)
    assert picture["Combined"][..., 3].max() > 0.9 and 0.2 < picture["Combined"][..., :3].max() < 1.5
    (note,) = plain_engine.notes
    assert "ball was made for the published model" in note and "near-mini" in note


def test_normals_of_imported_latents_point_outwards(latent):
    normal = decode_octahedral(latent.material[:, 5:7])
    outward = latent.coords - 31.5
    shell = np.linalg.norm(outward, axis=1) > 8
    cosine = (normal * outward).sum(1)[shell] / np.linalg.norm(outward[shell], axis=1)
    assert cosine.min() > 0.5 and cosine.mean() > 0.93


@pytest.mark.parametrize("depth, shown", [(-0.4, True), (0.4, False)])
def test_assets_of_both_models_hide_each_other(engine, latent, plain, depth, shown):
    red = Instance(plain, at(0, depth, 0))  # the camera stands on -Y
    both = engine.render([Instance(latent, np.eye(4)), red], CAMERA, LIGHT)
    alone = engine.render([red], CAMERA, LIGHT)
    middle = (12, 16)
    assert not engine.notes and set(both) == set(PASSES)
    same = np.abs(both["Base Color"][middle] - alone["Base Color"][middle]).max() < 0.02
    assert same == shown
    assert both["Depth"][middle] == pytest.approx(alone["Depth"][middle], abs=0.02) if shown else True
    over_sky = engine.render([Instance(latent, np.eye(4)), red], CAMERA, LIGHT, Settings(background=True))["Combined"]
    assert (over_sky[..., 3] == 1).all() and np.allclose(over_sky[0, 0, :3], (1, 0.8, 0.6))


def test_a_picture_can_be_stopped_between_two_layers(folder, latent):  # noqa: F811
    asked = []

    def stop(phase, fraction):
        asked.append(phase)
        if len(asked) > 30:
            raise Cancelled

    engine = Engine(folder, "cpu")
    with pytest.raises(Cancelled):
        engine.render([Instance(latent, np.eye(4))], CAMERA, LIGHT, progress=stop)
    before = len(asked)
    assert engine.render([Instance(latent, np.eye(4))], CAMERA, LIGHT)["Combined"].any() and len(asked) == before


def test_memory_that_runs_out_is_an_error_in_words(folder, latent, monkeypatch):  # noqa: F811
    engine = Engine(folder, "cpu")
    engine.render([], CAMERA, LIGHT)
    monkeypatch.setattr(memory, "free", lambda device: 1 << 20)
    with pytest.raises(NearError, match="GB are free on cpu"):
        engine.render([Instance(latent, np.eye(4))], CAMERA, LIGHT)
    monkeypatch.undo()
    for error, words in ((torch.OutOfMemoryError("out of memory"), "ran out"), (MemoryError(), "do not fit"),
                         (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "ran out")):
        def fail(*_):
            raise error  # noqa: B023 (called at once)

        monkeypatch.setattr(engine._published.pipeline, "decode", fail)
        with pytest.raises(NearError, match=words):
            engine.render([Instance(latent, np.eye(4))], CAMERA, LIGHT)
        monkeypatch.undo()
    assert engine.render([Instance(latent, np.eye(4))], CAMERA, LIGHT)["Combined"].any()


def test_the_processor_takes_over_where_an_open_device_is_too_small(folder, latent, monkeypatch):  # noqa: F811
    published = PublishedRenderer(folder, "auto")
    real = memory.free
    published.pipeline.device = torch.device("meta")  # stands for a graphics processor without room
    monkeypatch.setattr(memory, "free", lambda device: 0 if torch.device(device).type == "meta" else real(device))
    picture = published.render([Instance(latent, np.eye(4))], CAMERA, LIGHT)
    assert picture["Combined"].any() and "too little memory" in published.notes[0]
    assert published.pipeline.device.type == "cpu"


def test_the_command_takes_a_checkpoint(folder, npz, tmp_path, capsys):  # noqa: F811
    command = ["render", "--asset", str(npz), "--env", "1,1,1", "--size", "16x16", "--out", str(tmp_path / "a.exr")]
    assert main([*command, "--model", str(folder), "--device", "cpu", "--precision", "bfloat16"]) == 0
    assert "was made for" not in capsys.readouterr().err
    assert main(command) == 0
    assert "ball was made for the published model" in capsys.readouterr().err
    assert main([*command, "--model", str(tmp_path)]) == 2
    assert "no pipeline.yaml" in capsys.readouterr().err


def make_egg(scales=(1, 1, 1)) -> assets.NeuralAsset:
    shape = trimesh.creation.icosphere(4, 0.5)
    normal = np.float32(shape.vertex_normals / scales)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return create_from_mesh(Mesh(np.float32(shape.vertices * scales), np.int32(shape.faces),
                                 corner_normal=normal[shape.faces], materials=(Material(roughness=0.5),)), name="Egg")


@pytest.mark.parametrize("scales", [(0.3, 1, 1), (1, 0.5, 0.1)])
@pytest.mark.parametrize("skinned", [True, False])
def test_light_meets_a_stretched_asset_as_it_does_a_mesh_of_that_shape(scales, skinned):
    turn = np.eye(4)
    turn[:3, :3] = [[0.36, 0.48, -0.8], [-0.8, 0.6, 0], [0.48, 0.64, 0.6]]
    slanted = np.eye(4)
    slanted[:3, :3] = np.stack([[0.6, 0.8, 0], [-0.48, 0.36, 0.8], [0.64, -0.48, 0.6]], 1)
    sun, camera = Lamp("sun", slanted, np.full(3, 3.0)), orbit(20, 25, 2, 40, 64, 64)
    drawn = Engine(), Settings(shading="transport", threads=1)

    def draw(egg, matrix, shutter=None, settings=drawn[1]):
        egg = egg if skinned else replace(egg, skin=None)
        return drawn[0].render([Instance(egg, matrix)], camera, uniform((0.1, 0.1, 0.2)), settings, lamps=[sun],
                               shutter=shutter)["Combined"]

    egg, stretched, truth = make_egg(), turn @ np.diag([*scales, 1.0]), draw(make_egg(scales), turn)
    draft = replace(drawn[1], quality="draft")
    coarse, made = draw(egg, stretched, settings=draft), draw(egg, stretched)
    both = np.minimum(made[..., 3], truth[..., 3]) > 0.99
    apart = lambda picture: np.abs(picture - truth)[both][:, :3].mean() / truth[both][:, :3].mean()
    assert both.sum() > 30 and apart(made) < 0.03 and apart(coarse) > 0.1
    assert apart(draw(egg, stretched, settings=draft)) < 0.6 * apart(coarse)  # it is known now
    still = Shutter([camera, camera], np.array([[stretched], [stretched]]))
    assert np.allclose(draw(egg, stretched, still), made, atol=1e-5)


def scatter(thing, count, rng, linear):
    """Instances that stand in a row."""
    return [Instance(thing, at(0, k, 0) @ np.block([[linear(rng), np.zeros((3, 1))], [np.zeros((1, 3)), 1]]))
            for k in range(count)]


def spread(rng):
    return np.diag(rng.uniform(0.3, 1, 3))


def shear(rng):
    """Turned first, then flattened, as children of what is flat: each has axes of its own."""
    return np.diag([1, 1, 0.25]) @ np.linalg.qr(rng.normal(size=(3, 3)))[0]


def test_stretched_assets_are_few_and_are_forgotten(plain):
    rng, engine = np.random.default_rng(1), Engine()
    engine.render(scatter(plain, 60, rng, spread), CAMERA, LIGHT)
    assert 3 < len(engine._posed) <= 32
    for _ in range(2):
        engine.render([Instance(plain, at(0, 0, 0))], CAMERA, LIGHT)
    assert not engine._posed
    engine.render(scatter(plain, 5, rng, shear), CAMERA, LIGHT)
    assert len(engine._posed) == 5
    for _ in range(2):
        engine.render(scatter(plain, 96, rng, shear), CAMERA, LIGHT)
    assert not engine._posed, "too many even in the widest steps"


def test_what_is_added_changes_no_asset_of_which_there_are_few(plain):
    rng, engine = np.random.default_rng(1), Engine()
    other = replace(plain, material=plain.material[::-1].copy(), name="Other")
    few = [Instance(other, at(0, 0, 0) @ np.diag([1, 0.45, 0.9, 1]))]
    engine.render(few, CAMERA, LIGHT)
    (key,) = engine._posed
    for linear in (spread, shear):
        engine.render([*scatter(plain, 60, rng, linear), *few], CAMERA, LIGHT)
        assert key in engine._posed and len(engine._posed) <= 64  # of this picture and the one before


def test_a_stretched_asset_of_the_published_model_is_named_too(latent):
    plain_engine = Engine()
    plain_engine.render([Instance(latent, np.diag([1, 1, 0.5, 1]))], CAMERA, LIGHT)
    (note,) = plain_engine.notes
    assert "ball was made for the published model" in note
