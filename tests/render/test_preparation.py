"""What is kept of assets between pictures."""

from dataclasses import replace

import numpy as np
import pytest

from near_core.asset.deformation import Body, Deformation
from near_core.cache import count_bytes
from near_core.create.create import create_from_mesh
from near_core.lab.bench.inputs import SAMPLES
from near_core.light.config import TransportConfig
from near_core.mesh import load, normalize
from near_core.models.mini.runtime import NearMini
from near_core.progress import silent
from near_core.render import preparation
from near_core.render.config import SplattingConfig
from near_core.render.preparation import PreparedAssets
from near_core.render.sight import SeenInstance
from near_core.scene import Instance


@pytest.fixture(scope="module")
def keg():
    mesh, _, _ = normalize(load(SAMPLES / "keg.glb"))
    return create_from_mesh(replace(mesh, vertices=mesh.vertices * np.float32(0.3)), name="keg")


def see(asset, level, skin=1.0):
    return SeenInstance(0, Instance(asset, np.eye(4)), np.eye(4), level, 1.0, 1.0, skin=skin)


def test_poses_of_one_asset_share_its_maps(keg):
    rest = keg.surfels.position[::8]
    posed = Body(keg, keg.surfels).deform(Deformation(rest, rest * np.float32([1, 1, 0.9])))
    kept = PreparedAssets(NearMini(), SplattingConfig(), TransportConfig())
    skins = [kept.find_skin(see(asset, 0))
             for asset in (keg, posed)]
    assert skins[0].maps is skins[1].maps and skins[0].skin is not skins[1].skin
    kept.forget(posed.hash)
    assert kept.find_skin(see(keg, 0)) is skins[0]


def test_nothing_of_a_picture_is_thrown_away_while_it_is_drawn(keg, monkeypatch):
    monkeypatch.setattr(preparation, "MEGABYTE", 1)  # as if the assets were a million times as large
    kept = PreparedAssets(NearMini(), SplattingConfig(), TransportConfig())
    picture = [see(replace(keg, name=name), level) for name in "ab" for level in (1, 2)]
    kept.prepare_all(picture, 1, silent)
    made = [kept.prepare(each) for each in picture]
    grids = {id(each.transport.fine.grid) for each in made}
    assert len(grids) == 2  # levels of an asset are traced through the same one
    kept.prepare_all(picture, 1, silent)
    assert all(kept.prepare(each) is one for each, one in zip(picture, made))
    kept.prepare_all([see(keg, 2)], 1, silent)
    assert kept.prepare(picture[0]) is not made[0]


def test_what_levels_share_is_counted_once(keg):
    kept = PreparedAssets(NearMini(), SplattingConfig(), TransportConfig())
    made = [kept.prepare(see(keg, level)) for level in (2, 1, 0)]
    assert all(len(each.discs.xyz) for each in made)  # those that came later were counted before
    assert kept._assets.size + kept._grids.size == count_bytes(made) and not kept._surfaces.size


def test_texels_are_made_where_they_are_seen(keg):
    kept = PreparedAssets(NearMini(), SplattingConfig(), TransportConfig())
    bare, whole = kept.prepare(see(keg, 1)), kept.prepare(see(keg, 1, skin=0.0))
    assert bare.texels is None and len(whole.texels) == len(keg.surfels)
    assert kept.prepare(see(keg, 1)) is whole  # nothing is kept twice from then on
    assert (bare.transport.links.weight == whole.transport.links.weight).all()


def test_what_another_thread_has_made_meanwhile_is_taken(keg):
    kept, others = PreparedAssets(NearMini(), SplattingConfig(), TransportConfig()), []

    def report(phase, fraction):  # between the question whether it is there and the answer
        if not others:
            others.append(kept.prepare(see(keg, 2, skin=0.0)))

    assert kept.prepare(see(keg, 2), 1, report) is others[0]
