"""A crowd before a camera: as each of its instances alone; where they stand is kept."""

import numpy as np

from near_core.light.config import TransportConfig
from near_core.models.mini.runtime import NearMini
from near_core.render import placement
from near_core.render.config import SplattingConfig
from near_core.render.placement import PlacedInstances
from near_core.render.preparation import PreparedAssets
from near_core.render.sight import SeenInstance
from near_core.render.splatting import face, place
from near_core.scene import Instance
from tests.render.test_renderer import ball, look, turned


def test_a_crowd_is_placed_as_each_alone_and_once(monkeypatch):
    monkeypatch.setattr(placement, "AT_ONCE", 3000)  # parts of some instances
    config, asset = SplattingConfig(), ball(radius=0.2)
    assets, camera, seen = PreparedAssets(NearMini(), config, TransportConfig()), look(distance=7), []
    for number, level in enumerate((1, 2, 1, 2, 2)):
        matrix = turned(70.0 * number) * (0.5 + 0.1 * number)
        matrix[:3, 3], matrix[3, 3] = (number - 2, 0, 0), 1
        seen.append(SeenInstance(number, Instance(asset, matrix), matrix, level, 1 - 0.1 * number, 1.0))
    made, kept = [assets.prepare(each, 1) for each in seen], PlacedInstances(config)
    crowd = kept.face(seen, made, camera, 2)
    for one, prepared, each in zip(crowd, made, seen):
        alone = face(place(prepared.level, prepared.texels, each.matrix, config), camera, config, each.share)
        assert one.share == each.share and one.occlusion_depth == alone.occlusion_depth
        assert (one.front != alone.front).mean() < 0.01
        for name in ("xyz", "covariance", "opacity"):
            np.testing.assert_allclose(getattr(one.placed.shape, name), getattr(alone.placed.shape, name), atol=1e-6)
        np.testing.assert_allclose(one.shape.opacity, alone.shape.opacity, atol=1e-6)
        np.testing.assert_allclose(one.to_camera, alone.to_camera, atol=1e-5)
        np.testing.assert_allclose(one.placed.normal, alone.placed.normal, atol=1e-5)
    again = kept.face(seen, made, look(azimuth=30, distance=7), 2)
    assert all(one.placed is other.placed for one, other in zip(crowd, again))
