"""Texels take their surfel's features, and differ from them in depth and colour alone."""

import numpy as np

from near_core.render import passes, splatting
from near_core.render.detail import refine
from near_core.scene import Settings
from tests.render.test_splatting import from_above, quartered, sheet, visible

WANTED = ("Combined", "Base Color", "Roughness")


def test_discs_have_the_features_of_their_surfels_and_colours_of_their_own():
    surfels, camera = sheet(8), from_above(distance=0.3)
    texels = quartered(surfels)
    item = visible(surfels, camera, texels)
    selection = splatting.select([item, visible(surfels.flip(), camera)], camera, detail=True)
    count, shaded = len(selection.shaded), selection.shaded
    rng = np.random.default_rng(0)
    features = rng.uniform(0.5, 1, (count, passes.count_features(WANTED))).astype(np.float32)
    features[~shaded] = 0
    shift, gain = (rng.uniform(-0.3, 0.3, (n, 3)).astype(np.float32) for n in (len(texels), count))
    projection, shown, depth = refine(selection, [item, item], [shift, None], features, gain, camera,
                                      Settings(passes=WANTED))
    plain, drawn = len(selection.plain), selection.texels[0]
    assert len(drawn) == 4 * shaded.sum() > 0 and plain == count - shaded.sum()
    assert len(shown) == len(depth) == len(projection.radius) == plain + len(drawn)
    np.testing.assert_array_equal(shown[:plain], features[selection.plain])
    owner = features[texels.surfel[drawn]]
    np.testing.assert_array_equal(shown[plain:, passes.SHOWN], owner[:, passes.SHOWN])
    color, roughness = (passes.data_columns(WANTED)[name] for name in ("Base Color", "Roughness"))
    np.testing.assert_allclose(shown[plain:, color], owner[:, color] + shift[drawn], rtol=1e-6)
    np.testing.assert_array_equal(shown[plain:, roughness], owner[:, roughness])
    lit = owner[:, passes.RADIANCE] + shift[drawn] * gain[texels.surfel[drawn]]
    np.testing.assert_allclose(shown[plain:, passes.RADIANCE], np.maximum(lit, 0), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(shown[plain:, passes.DEPTH], projection.depth[plain:])
