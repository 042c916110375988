"""Light groups: that each is what a picture in its light alone is, and that all together are the picture."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from near_core.create.create import create_from_mesh
from near_core.mesh import Material, Mesh
from near_core.render import light_groups
from near_core.scene import Environment, Instance, Lamp, Lens, Probe, Settings
from near_core.scene import camera as cameras
from near_core.scene.environment import uniform

VIEW = cameras.orbit(20, 15, 2.6, 40, 64, 48)
PASSES = ("Combined", "Combined_sky", "Combined_lamp", "Combined_own")


@pytest.fixture(scope="module")
def glowing():
    """A ball and a bar that glows beside it."""
    ball, bar = trimesh.creation.icosphere(3, 0.35), trimesh.creation.box((0.1, 0.1, 0.9))
    bar.apply_translation((0.45, 0, 0))
    return create_from_mesh(Mesh(
        np.concatenate([ball.vertices, bar.vertices]).astype(np.float32),
        np.concatenate([ball.faces, bar.faces + len(ball.vertices)]).astype(np.int32),
        material_index=np.repeat(np.arange(2, dtype=np.int32), [len(ball.faces), len(bar.faces)]),
        materials=(Material(base_color=(0.7, 0.6, 0.5, 1), roughness=0.3),
                   Material(base_color=(0.1, 0.2, 0.8, 1), roughness=0.8, emission=(2, 1, 0)))), name="glowing")


def make_world() -> Environment:
    sky = np.full((32, 64, 3), 0.3, np.float32)
    sky[6, 20] = 60, 50, 40
    return Environment(sky)


LAMP = Lamp("point", np.eye(4) + np.eye(4, k=3) * np.array([[-1], [-1], [1.5], [0]]), np.float64([20, 30, 40]),
            group="lamp")
OTHER = replace(LAMP, matrix=np.eye(4) + np.eye(4, k=3) * np.array([[1], [-1], [0], [0]]), group="lamp")


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("quality", ["final", "draft"])
def test_each_is_the_picture_in_its_light_and_all_are_the_picture(renderer, glowing, quality, background):
    settings = Settings(quality, "transport", background, PASSES, group="sky")
    instances = [Instance(glowing, np.eye(4), group="own", unlit_by=frozenset({1}))]
    made = renderer.render(instances, VIEW, make_world(), settings, lamps=[LAMP, OTHER])
    assert list(made) == list(PASSES) and all(made[name].shape == (48, 64, 3) for name in PASSES[1:])
    behind = renderer.render([], VIEW, make_world(), replace(settings, passes=("Combined",)))["Combined"][..., :3]
    seen = 1 - renderer.render(instances, VIEW, uniform((0, 0, 0)), Settings(quality, passes=("Combined",))
                               )["Combined"][..., 3:]
    whole = sum(made[name] for name in PASSES[1:]) + behind * seen * background
    assert np.abs(whole - made["Combined"][..., :3]).max() < 1e-4
    plain, dark = replace(settings, passes=("Combined",), background=False), uniform((0, 0, 0))
    cold = [replace(instances[0], look=replace(instances[0].look, glows=False))]
    for name, those, world, lamps in (("sky", cold, make_world(), []), ("lamp", cold, dark, [LAMP, OTHER]),
                                      ("own", instances, dark, [])):
        alone = renderer.render(those, VIEW, world, plain, lamps=lamps)["Combined"][..., :3]
        assert alone.max() > 0.1
        assert np.abs(alone - made[f"Combined_{name}"]).max() < 0.02 * alone.max(), name


def test_what_belongs_to_no_group_is_in_none(renderer, glowing):
    settings = Settings("draft", passes=("Combined", "Combined_lamp", "Combined_none"))
    made = renderer.render([Instance(glowing, np.eye(4))], VIEW, make_world(), settings, lamps=[LAMP])
    assert (made["Combined_none"] == 0).all()
    assert (made["Combined_lamp"] <= made["Combined"][..., :3] + 1e-3).all() and made["Combined_lamp"].max() > 0.1
    assert made["Combined_lamp"].sum() < 0.7 * made["Combined"][..., :3].sum()


def test_probes_tell_what_each_group_sends(renderer, glowing):
    radiance = np.zeros((16, 32, 4), np.float32)
    radiance[8:] = 0.4, 0.2, 0.1, 1
    sent = np.stack([radiance[..., :3] * [1, 0.25, 0], radiance[..., :3] * [0, 0.75, 1]]).astype(np.float32)
    probe = Probe(radiance, np.where(radiance[..., 3] > 0, np.float32(3), np.float32(np.inf)), np.zeros(3),
                  groups=("sky", "lamp"), sent=sent)
    made = renderer.render([Instance(glowing, np.eye(4), probe, group="own")], VIEW, uniform((0, 0, 0)),
                           Settings(passes=PASSES, group="sky"))
    red, green, blue = (made[name].sum((0, 1)) for name in PASSES[1:4])
    assert red[2] < 0.01 * red[0] and green[0] < 0.01 * green[2]
    assert red[1] / green[1] == pytest.approx(1 / 3, rel=0.1)
    assert probe.take_group("own").radiance[..., :3].max() == 0 and probe.hash != replace(probe, sent=sent[::-1]).hash
    assert blue.max() > 0


def test_blur_and_divided_worlds(renderer, glowing):
    world = make_world().turn(np.eye(3), 1.0, diffuse=False)
    made = renderer.render([Instance(glowing, np.eye(4), group="own")], VIEW, world,
                           Settings(passes=(*PASSES, "Diffuse Direct"), group="sky"), lamps=[LAMP],
                           lens=Lens(0.05, 2.6))
    assert np.abs(sum(made[name] for name in PASSES[1:]) - made["Combined"][..., :3]).max() < 1e-4
    assert made["Diffuse Direct"].max() > 0.1


def test_a_lamp_that_takes_light_away():
    groups = {"one": np.full((1, 2, 3), 0.5, np.float32), "other": np.float32([[[-0.2] * 3, [-0.5] * 3]])}
    light = np.full((1, 2, 3), 0.3, np.float32)
    light_groups.share_out(light, groups)
    np.testing.assert_allclose(groups["one"] + groups["other"], light, atol=1e-6)
    nothing = {"one": np.zeros((1, 1, 3), np.float32)}
    light_groups.share_out(np.full((1, 1, 3), 0.1, np.float32), nothing)
    assert nothing["one"].max() == np.float32(0.1)


def test_where_nothing_tells_groups_apart():
    whole = light_groups.leave_whole(np.ones((2, 2, 4), np.float32), "sky", PASSES)
    assert list(whole) == list(PASSES[1:])
    assert whole["Combined_sky"].min() == 1 and whole["Combined_lamp"].max() == 0
