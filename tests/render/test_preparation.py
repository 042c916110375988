"""What is kept of assets between pictures."""

import numpy as np

from near_core.asset.deformation import Body, Deformation
from near_core.create.create import create_from_mesh
from near_core.lab.bench.inputs import SAMPLES
from near_core.light.config import TransportConfig
from near_core.mesh import load
from near_core.models.mini.runtime import NearMini
from near_core.render.config import SplattingConfig
from near_core.render.preparation import PreparedAssets
from near_core.render.sight import SeenInstance
from near_core.scene import Instance


def test_poses_of_one_asset_share_its_maps():
    keg = create_from_mesh(load(SAMPLES / "keg.glb"), name="keg", normalize=True)
    rest = keg.surfels.position[::8]
    posed = Body(keg, keg.surfels).deform(Deformation(rest, rest * np.float32([1, 1, 0.9])))
    kept = PreparedAssets(NearMini(), SplattingConfig(), TransportConfig())
    skins = [kept.find_skin(SeenInstance(0, Instance(asset, np.eye(4)), np.eye(4), 0, 1.0, 1.0, skin=1.0))
             for asset in (keg, posed)]
    assert skins[0].maps is skins[1].maps and skins[0].skin is not skins[1].skin
    kept.forget(posed.hash)
    assert kept.find_skin(SeenInstance(0, Instance(keg, np.eye(4)), np.eye(4), 0, 1.0, 1.0, skin=1.0)) is skins[0]
