"""Pictures of one camera become one: the nearer lies over the farther, assets among ordinary things."""

import numpy as np
import pytest

from near_core.render.composite import compose, merge, merge_ranks, put_behind
from near_core.scene import PASSES


def test_merging_weighs_by_what_each_covers():
    def flat(alpha, depth, color):
        sizes = {name: np.full((1, 1, n), 0.5, np.float32) for name, n in PASSES.items()}
        return sizes | {"Combined": np.array([[[*(alpha * np.array(color)), alpha]]], np.float32),
                        "Depth": np.full((1, 1, 1), depth, np.float32), "Base Color": np.array([[color]], np.float32),
                        "Normal": np.array([[[0, 0, 1]]], np.float32)}

    near, far, empty = flat(0.5, 2, (1, 0, 0)), flat(1, 3, (0, 1, 0)), flat(0, 0, (0, 0, 0))
    for made in (merge(near, far), merge(far, near)):
        np.testing.assert_allclose(made["Combined"][0, 0], (0.5, 0.5, 0, 1))
        np.testing.assert_allclose(made["Depth"][0, 0], 2.5)
    for made in (merge(empty, far), merge(far, empty)):
        np.testing.assert_allclose(made["Combined"], far["Combined"])
        np.testing.assert_allclose(made["Depth"], 3)


def test_a_sky_shows_where_the_picture_is_open():
    combined = np.float32([[[0.2, 0.1, 0, 0.25], [0, 0, 0, 0], [1, 2, 3, 1]]])
    put_behind(combined, np.float32([[[4, 4, 4], [1, 2, 3], [9, 9, 9]]]))
    np.testing.assert_allclose(combined[0], [[3.2, 3.1, 3, 1], [1, 2, 3, 1], [1, 2, 3, 1]])


# A pixel as 400 samples: a fence in front, an asset, a wall behind, then sky. Every picture is a mean over samples, so
# what compose makes of the pictures can be compared with the mean over the samples of what is first along each.
ROWS = {"fence": (2.0, (0.9, 0.1, 0.1), 7), "asset": (3.0, (0.1, 0.9, 0.1), 5), "wall": (4.0, (0.1, 0.1, 0.9), 9),
        "wall in shadow": (4.0, (0, 0, 0.3), 9), "sky": (0.0, (0.5, 0.5, 0.5), 0)}


def layer_picture(first: list[str], transparent: bool) -> dict[str, np.ndarray]:
    """The passes of a pixel whose samples show the things named, "" nothing."""
    solid = [name not in ("", "sky") for name in first]
    seen = [bool(name) and not (transparent and name == "sky") for name in first]
    radiance = np.array([ROWS[name][1] if s else (0, 0, 0) for name, s in zip(first, seen)])
    data = np.array([ROWS[name][1] if s else (0, 0, 0) for name, s in zip(first, solid)])
    names, counts = np.unique(np.array(first, object)[solid], return_counts=True)
    ranks = sorted(((float(ROWS[name][2]), count / len(first)) for name, count in zip(names, counts)),
                   key=lambda pair: -pair[1])
    ranks = [*ranks, *[(0.0, 0.0)] * 4][:4]
    most = max(range(len(names)), key=lambda k: counts[k]) if len(names) else None
    return {"Combined": np.array([[[*radiance.mean(0), np.mean(seen)]]], np.float32),
            "Base Color": data.mean(0).reshape(1, 1, 3).astype(np.float32),
            "Depth": np.full((1, 1, 1), 0 if most is None else ROWS[names[most]][0], np.float32),
            "Object Index": np.full((1, 1, 1), 0 if most is None else ROWS[names[most]][2], np.float32),
            "Cryptomatte Object": np.array(ranks, np.float32).reshape(1, 1, 8)}


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("fence,asset,wall", [(0, 1, 1), (0.3, 1, 1), (0.3, 0.6, 1), (1, 0.5, 0), (0.3, 0, 1),
                                              (0.25, 0.5, 0.5), (0, 0.7, 0)])
def test_assets_stand_among_ordinary_things_with_clean_edges(fence, asset, wall, transparent):
    rng = np.random.default_rng(0)
    grid = np.arange(20) / 20
    shown = {"fence": np.repeat(grid < fence, 20), "asset": np.tile(grid < asset, 20),  # edges cross: independent
             "wall": np.full(400, wall == 1)}
    if 0 < wall < 1:
        shown["wall"] = rng.permutation(400) < wall * 400
    everything = [next((n for n in ("fence", "asset", "wall") if shown[n][k]), "sky") for k in range(400)]
    ordinary = [next((n for n in ("fence", "wall") if shown[n][k]), "sky") for k in range(400)]
    front = ["fence" if shown["fence"][k] else "" for k in range(400)]
    alone = layer_picture(["asset" if shown["asset"][k] else "sky" for k in range(400)], True)
    alone["Base Color"] /= max(asset, 1e-6)  # near_core divides by alpha
    made = compose(alone, layer_picture(ordinary, transparent), layer_picture(front, True))
    want = layer_picture(everything, transparent)
    np.testing.assert_allclose(made["Combined"], want["Combined"], atol=0.02 if 0 < wall < 1 else 1e-5)
    coverage = np.isin(everything, ["fence", "asset", "wall"]).mean()
    if transparent or wall in (0, 1):  # else the sky's share of a pixel is not known, and data fade as Cycles' do
        np.testing.assert_allclose(made["Base Color"] * max(coverage, 1e-6), want["Base Color"], atol=0.02)
    np.testing.assert_allclose(made["Cryptomatte Object"][..., 1::2], want["Cryptomatte Object"][..., 1::2], atol=0.02)
    for name in ("Depth", "Object Index"):
        assert made[name].item() in {want[name].item(), *(ROWS[n][0 if name == "Depth" else 2] for n in everything)}
    shares = sorted(((everything.count(n), n) for n in set(everything) - {"sky"}), reverse=True)
    if shares and (len(shares) == 1 or shares[0][0] > 1.5 * shares[1][0]):
        np.testing.assert_allclose(made["Depth"], want["Depth"])


def test_without_assets_the_picture_is_the_ordinary_one():
    ordinary = layer_picture(["fence"] * 100 + ["sky"] * 100, False)
    empty = {name: np.zeros_like(values) for name, values in ordinary.items()}
    made = compose(empty, ordinary, layer_picture(["fence"] * 100 + [""] * 100, True))
    for name in ("Combined", "Depth", "Cryptomatte Object"):
        np.testing.assert_array_equal(made[name], ordinary[name])


def test_ranks_of_equal_ids_are_added_and_the_greatest_come_first():
    pairs = np.float32([[[7, 0.2], [5, 0.3], [7, 0.2], [0, 0.9], [3, 0.1]], [[0, 0], [0, 0], [0, 0], [0, 0], [2, 1]]])
    made = merge_ranks(pairs, 2)
    np.testing.assert_allclose(made, [[[7, 0.4], [5, 0.3]], [[2, 1], [0, 0]]])
    assert merge_ranks(pairs[:0], 2).shape == (0, 2, 2)


@pytest.mark.parametrize("slope", [0.05, 0.3])
def test_what_has_sunk_into_the_ground_is_hidden_up_to_the_line_of_contact(slope):
    rows = np.arange(40, dtype=np.float32)[:, None, None] * np.ones((1, 12, 1), np.float32)
    white, red = np.ones((40, 12, 4), np.float32), np.tile(np.float32([1, 0, 0, 1]), (40, 12, 1))
    assets = {"Combined": np.where(rows < 34, red, 0), "Depth": np.where(rows < 34, np.float32(5), 0)}
    ground = {"Combined": white, "Depth": 5 + slope * (20 - rows)}
    front = {"Combined": np.where(rows > 23, white, 0), "Depth": ground["Depth"] * (rows > 23)}
    made = compose(assets, ground, front, pixel=0.1)["Combined"][:, 6, 1]
    assert made.sum() == pytest.approx(19.5), "of rows that show the ground"
    assert (made[:20] == 0).all() and (made[21:] == 1).all()
    assert compose(assets, ground, front)["Combined"][21, 6, 1] == 0
    shadow = ground | {"Combined": np.float32([0, 0, 0, 0.6]) * white}
    caught = compose(assets, shadow, {name: 0 * values for name, values in shadow.items()}, pixel=0.1)["Combined"]
    np.testing.assert_array_equal(caught[:34], red[:34])


@pytest.mark.parametrize("behind", ["wall", "sky"])
@pytest.mark.parametrize("fence,asset", [(0, 0.5), (1, 0.5), (0.4, 0.5), (0.4, 0.2), (0, 1), (0.3, 1)])
def test_a_blurred_asset_covers_what_is_behind_it_as_long_as_it_is_there(fence, asset, behind):
    """Its shadow goes with it: beside it the wall is seen without."""
    grid = np.arange(20) / 20
    before, there = np.repeat(grid < fence, 20), np.tile(grid < asset, 20)
    shadowed = [behind + " in shadow" if each and behind == "wall" else behind for each in there]
    ordinary = ["fence" if first else second for first, second in zip(before, shadowed)]
    everything = [("fence" if first else "asset" if there[k] else behind) for k, first in enumerate(before)]
    # of a sky nothing is drawn in front
    front = ["fence" if before[k] else "" if there[k] or behind == "sky" else behind for k in range(400)]
    alone = layer_picture(["asset" if each else "sky" for each in there], True)
    made = compose(alone, layer_picture(ordinary, False), layer_picture(front, True), blurred=True)
    want = layer_picture(everything, False)
    off = 0.13 if behind == "sky" and 0 < fence and asset < 1 else 1e-5  # which of the sky is beside is not known
    np.testing.assert_allclose(made["Combined"], want["Combined"], atol=off)
    if behind == "wall":
        covered = (np.sort(each["Cryptomatte Object"][0, 0, 1::2]) for each in (made, want))
        np.testing.assert_allclose(*covered, atol=0.11)


def draw_plane(color: tuple[int, int, int], alpha: np.ndarray | float, depth: float) -> dict[str, np.ndarray]:
    """A plane that covers 12 x 24 pixels so far."""
    alpha = np.broadcast_to(np.float32(alpha), (12, 24))[..., None]
    return {"Combined": np.float32([*color, 1]) * alpha, "Depth": np.float32(depth) * (alpha > 0)}


@pytest.mark.parametrize("blurred", [False, True])
@pytest.mark.parametrize("cover,period", [(0.5, 24), (1, 24), (0.5, 6), (1, 3), (0.3, 4), (0.06, 1), (0.03, 1)])
def test_what_is_thin_or_faint_covers_an_asset_as_much_as_it_is_there(cover, period, blurred):
    """A wire, a fence, a haze, where the asset covers all for as long as the shutter is open."""
    thin = np.where(np.arange(24) % period == 2 % period, np.float32(cover), 0)
    before, wall = draw_plane((1, 0, 0), thin, 2), draw_plane((0, 0, 1), 1, 5)
    ordinary = wall | {"Combined": before["Combined"] + (1 - thin[:, None]) * wall["Combined"]}
    made = compose(draw_plane((0, 1, 0), 1, 3), ordinary, before, pixel=0.01, blurred=blurred)["Combined"]
    np.testing.assert_allclose(made[6, :, :3], np.stack([thin, 1 - thin, 0 * thin], 1), atol=2e-3 if blurred else 1e-6)


def test_a_wire_before_a_blurred_asset_is_as_bright_where_this_covers_all():
    """Its edge comes in over sixteen pixels; beside it the wall is seen."""
    columns = np.arange(24)
    there, wire = np.clip((columns - 1) / 12, 0, 1), np.where(columns % 4 == 1, np.float32(0.5), 0)
    share = np.stack([wire, (1 - wire) * there, (1 - wire) * (1 - there)], 1)  # of wire, asset, wall: what is seen
    before, wall = draw_plane((1, 0, 0), wire, 2), draw_plane((0, 0, 1), 1, 5)
    ordinary = wall | {"Combined": before["Combined"] + (1 - wire[:, None]) * wall["Combined"]}
    front = before | {"Combined": before["Combined"] + np.float32([0, 0, 1, 1]) * share[:, 2:]}
    made = compose(draw_plane((0, 1, 0), there, 3), ordinary, front, pixel=0.01, blurred=True)["Combined"]
    np.testing.assert_allclose(made[6, 16:22, :3], share[16:22], atol=2e-3)
    np.testing.assert_allclose(made[6, :, :3].sum(1), 1, atol=2e-3)


@pytest.mark.parametrize("cover,period,edge", [(0.5, 4, 12), (0.3, 3, 20), (1, 8, 12), (0.3, 4, 6), (0, 8, 12)])
def test_all_adds_up_to_one_where_the_hole_is_larger_than_a_blurred_asset(cover, period, edge):
    """Wires before an edge that comes in over some pixels, cut out two pixels larger."""
    columns = np.arange(24)
    there, hole = (np.clip((columns - 1 + larger) / edge, 0, 1) for larger in (0, 2))
    wire = np.where(columns % period == 1, np.float32(cover), 0)
    share = np.stack([wire, (1 - wire) * there, (1 - wire) * (1 - there)], 1)
    before, wall = draw_plane((1, 0, 0), wire, 2), draw_plane((0, 0, 1), 1, 5)
    ordinary = wall | {"Combined": before["Combined"] + (1 - wire[:, None]) * wall["Combined"]}
    seen = np.float32([0, 0, 1, 1]) * ((1 - wire) * (1 - hole))[:, None]
    front = before | {"Combined": before["Combined"] + seen}
    made = compose(draw_plane((0, 1, 0), there, 3), ordinary, front, pixel=0.01, blurred=True)["Combined"][6, :, :3]
    np.testing.assert_allclose(made.sum(1), 1, atol=2e-3)
    assert np.abs(made - share).max() < 0.12 and np.abs(made - share).mean() < 0.03


def stand_in_the_ground(coverage: float, left: float, deep: float) -> tuple[dict[str, np.ndarray], ...]:
    """An asset of 34 rows, of which it covers each pixel so far, in white ground that comes `deep` metres nearer with
    each row from row 20 on; and that ground with the asset cut out of it, where so much of it is left."""
    rows = np.arange(40, dtype=np.float32)[:, None, None] * np.ones((1, 12, 1), np.float32)
    white, red = np.ones((40, 12, 4), np.float32), np.tile(coverage * np.float32([1, 0, 0, 1]), (40, 12, 1))
    ground = {"Combined": white, "Depth": np.float32(5) + deep * (20 - rows)}
    kept = np.where(rows > 23, 1, np.float32(left) * (rows > 20))
    return ({"Combined": np.where(rows < 34, red, 0), "Depth": np.where(rows < 34, np.float32(5), 0)}, ground,
            {"Combined": kept * white, "Depth": ground["Depth"] * (kept > 0)})


@pytest.mark.parametrize("coverage,left,deep", [(0.7, 0, 0.1), (0.97, 0.3, 0.1), (1, 0.3, 0.1), (1, 0, 0.5)])
def test_what_has_sunk_leaves_no_dark_line(coverage, left, deep):
    """At its edges, where the cut is there in part, and where the ground comes near quickly."""
    made = compose(*stand_in_the_ground(coverage, left, deep), pixel=0.1)["Combined"][:, 6, 1]
    assert (made[22:] == 1).all() and np.allclose(made[:19], 1 - coverage, atol=1e-6)


def test_what_stands_on_the_ground_or_behind_a_fence_does_not_sink():
    assets, ground, _ = stand_in_the_ground(1, 0, 0.1)
    assets["Combined"][20:] = 0
    assets["Combined"][20] = 0.6 * np.float32([1, 0, 0, 1])  # it ends a tenth below the middle of the last pixel
    assets["Depth"][20] = ground["Depth"][20] - 0.01
    made = compose(assets, ground, {name: np.zeros_like(each) for name, each in ground.items()}, pixel=0.1)
    np.testing.assert_allclose(made["Combined"][20, 6], (1, 0.4, 0.4, 1), atol=1e-5)
    assets, ground, front = stand_in_the_ground(1, 0, 0)
    ground["Depth"][:] = 9
    fence = np.arange(12) % 2 == 0  # of a third of a pixel, which half of the pixels say is nearest
    ground["Depth"][:, fence] = 4.9
    front = {"Combined": np.full((40, 12, 4), 0.3, np.float32), "Depth": np.full((40, 12, 1), 4.9, np.float32)}
    made = compose(assets, ground, front, pixel=0.1)["Combined"]
    np.testing.assert_allclose(made[:34, 2:10, 1], 0.3, atol=1e-5)


@pytest.mark.parametrize("line", [20, 34])
def test_the_grain_of_a_blurs_depth_puts_no_specks_at_a_foot(line):
    """Of what is ordinary Cycles tells the depth of one ray through the lens, here up to six rows off. line: the row of
    the asset's 34 at which the ground comes before it."""
    rng = np.random.default_rng(0)
    rows = np.arange(40, dtype=np.float32)[:, None, None] * np.ones((1, 24, 1), np.float32)
    white, red = np.ones((40, 24, 4), np.float32), np.tile(np.float32([1, 0, 0, 1]), (40, 24, 1))
    depth = np.float32(5) + 0.1 * (line - rows + rng.uniform(-6, 6, rows.shape).astype(np.float32))
    assets = {"Combined": np.where(rows < 34, red, 0), "Depth": np.where(rows < 34, np.float32(5), 0)}
    shown = rows > line + 3
    made = compose(assets, {"Combined": white, "Depth": depth}, {"Combined": shown * white, "Depth": shown * depth},
                   pixel=0.1, blurred=True)["Combined"][..., 1]
    assert made[:line - 2].max() == 0 and made[line + 2:].min() == 1


def test_what_stands_in_an_open_vessel_is_seen_up_to_the_rim_before_it():
    """The rim is cut out of it a little larger than it is, and the vessel's far side is no part of that."""
    rows = np.arange(40, dtype=np.float32)[:, None, None] * np.ones((1, 12, 1), np.float32)
    white, red = np.ones((40, 12, 4), np.float32), np.tile(np.float32([1, 0, 0, 1]), (40, 12, 1))
    vessel = {"Combined": red, "Depth": np.where(rows < 20, np.float32(4), 9)}
    content = {"Combined": white, "Depth": np.full((40, 12, 1), 5, np.float32)}
    front = {"Combined": np.clip((rows - 22.5) / 2, 0, 1) * white, "Depth": content["Depth"] * (rows > 22)}
    made = compose(vessel, content, front, pixel=0.01)["Combined"][:, 6, 1]
    assert (made[:20] == 0).all() and (made[20:] == 1).all()


def test_what_is_opaque_stays_so_where_samples_of_a_blur_are_few():
    rng = np.random.default_rng(0)
    alone, behind = np.full((8, 8, 4), 0.5, np.float32), np.ones((8, 8, 4), np.float32)
    beside = np.broadcast_to(rng.binomial(16, 0.5, (8, 8, 1)) / 16, (8, 8, 4)).astype(np.float32)
    pictures = [{"Combined": each, "Depth": np.full((8, 8, 1), 3, np.float32)} for each in (alone, behind, beside)]
    made = compose(*pictures, blurred=True)["Combined"]
    np.testing.assert_allclose(made[..., 3], 1, atol=1e-6)


@pytest.mark.parametrize("before", [0, 0.3])
def test_the_edge_of_what_is_out_of_focus_has_no_grain(before):
    """It comes in over 24 pixels before a wall, with a haze before both or none. Colours are denoised; the alpha of
    what is in front of an asset is that of eight samples."""
    rng, columns = np.random.default_rng(0), np.arange(64) + np.zeros((64, 1))
    there, hole = (np.clip((columns - 20 + larger) / 24, 0, 1) for larger in (0, 2))
    share = np.stack([before + 0 * there, (1 - before) * there, (1 - before) * (1 - there)], 2)  # of haze, asset, wall
    seen = np.float32(before + (1 - before) * (1 - hole))
    alpha = (rng.binomial(8, seen) / 8)[..., None]
    colors = np.stack([np.full_like(seen, before), 0 * seen, seen - before], 2)
    front = {"Combined": np.concatenate([colors, alpha], 2).astype(np.float32), "Depth": np.float32(5) * (alpha > 0)}
    asset = {"Combined": np.stack([0 * there, there, 0 * there, there], 2).astype(np.float32),
             "Depth": np.where(there > 0, np.float32(3), 0)[..., None]}
    ordinary = {"Combined": np.tile(np.float32([before, 0, 1 - before, 1]), (64, 64, 1)),
                "Depth": np.full((64, 64, 1), 5, np.float32)}
    off = compose(asset, ordinary, front, pixel=0.01, blurred=True)["Combined"][8:-8, :, :3] - share[8:-8]
    assert off.std(0).max() < 0.06, "0.17 where it is left alone"
    assert np.sqrt((off ** 2).mean()) < 0.02 and np.abs(off.mean(0)).max() < 0.05


def test_fog_before_an_asset_has_no_grain():
    """Colours are denoised, the alpha of what is in front is not; a bar in the fog keeps its edges."""
    rng = np.random.default_rng(0)
    fog = np.full((40, 40, 1), 0.5, np.float32)
    fog[:, 30:34] = 1  # the bar
    alpha = np.where(fog < 1, np.clip(fog + 0.05 * rng.standard_normal(fog.shape), 0, 1), 1).astype(np.float32)
    haze = np.concatenate([np.tile(0.2 * fog, 3), alpha], 2)
    front = {"Combined": haze, "Depth": np.full((40, 40, 1), 2, np.float32)}
    ordinary = {"Combined": np.ones((40, 40, 4), np.float32), "Depth": np.full((40, 40, 1), 9, np.float32)}
    asset = {"Combined": np.ones((40, 40, 4), np.float32), "Depth": np.full((40, 40, 1), 4, np.float32)}
    off = compose(asset, ordinary, front)["Combined"][..., 0] - (0.2 * fog + 1 - fog)[..., 0]
    assert off[4:-4, 4:26].std() < 0.015, "0.05 where it is left alone"
    assert np.abs(off[:, 30:34]).max() < 1e-6


def test_fog_between_two_assets_leaves_no_dark_ring_around_the_nearer():
    """Its hole, larger than it is, took the fog before the farther one as well."""
    columns = np.arange(40)[None, :, None] + np.zeros((30, 1, 1))
    near, far = columns < 20, columns < 22
    assets = {"Combined": np.where(near, np.float32([1, 0, 0, 1]), np.float32([0, 0, 0, 1])).astype(np.float32),
              "Depth": np.where(near, 2, 5).astype(np.float32)}
    front = {"Combined": np.where(far, 0, np.float32([0.5, 0.5, 0.5, 0.5])).astype(np.float32),
             "Depth": np.zeros((30, 40, 1), np.float32)}
    behind = {"Combined": np.ones((30, 40, 4), np.float32), "Depth": np.full((30, 40, 1), 9, np.float32)}
    made = compose(assets, behind, front, pixel=0.01)["Combined"]
    np.testing.assert_allclose(made[:, 20:, :3], 0.5, atol=1e-5)
    np.testing.assert_allclose(made[:, :20, :3], np.broadcast_to([1, 0, 0], (30, 20, 3)), atol=1e-5)


def test_thin_hair_that_a_ray_meets_puts_no_specks_on_an_asset():
    generator = np.random.default_rng(5)
    assets = {"Combined": np.ones((60, 60, 4), np.float32), "Depth": np.full((60, 60, 1), 3, np.float32)}
    ground = {"Combined": np.full((60, 60, 4), np.float32([0.2, 0.2, 0.2, 1])),
              "Depth": np.where(generator.random((60, 60, 1)) < 0.05, 2.9, 3.5).astype(np.float32)}
    front = {"Combined": np.zeros((60, 60, 4), np.float32), "Depth": np.zeros((60, 60, 1), np.float32)}
    made = compose(assets, ground, front, pixel=0.02)["Combined"]
    assert (made[..., 0] > 0.95).mean() > 0.99
