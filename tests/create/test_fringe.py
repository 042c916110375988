"""The background's colour along outlines: gone where it shines through or the matte errs, and nowhere else."""

import numpy as np
import pytest
from PIL import Image

from near_core.create import photo
from near_core.create.fringe import clear_fringe
from near_core.image import srgb_decode, srgb_encode

SIDE, RADIUS = 256, 90.0
OBJECT, BEHIND = np.float32([0.5, 0.25, 0.1]), np.float32([0.1, 0.3, 0.8])


def away() -> np.ndarray:
    """(SIDE, SIDE): how far pixels lie outside of a disc in the middle."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    return (np.hypot(x - SIDE / 2, y - SIDE / 2) - RADIUS).astype(np.float32)


def mix(share: np.ndarray, own=OBJECT, behind=BEHIND) -> np.ndarray:
    return (own * share[..., None] + behind * (1 - share[..., None])).astype(np.float32)


def measure(color: np.ndarray, where: np.ndarray, own=OBJECT) -> float:
    return float(np.abs(color - own)[where].max(1).mean())


def test_the_background_goes_from_an_outline_that_the_matte_has_too_wide():
    far = away()
    shown, alpha = mix(np.clip(0.5 - far, 0, 1)), np.clip(2.5 - far, 0, 1)
    made, rim = clear_fringe(shown, alpha, np.ones_like(alpha, bool)), (far > -1) & (far < 2)
    assert measure(shown, rim) > 0.4 and measure(made, rim) < 0.12
    np.testing.assert_allclose(made[far < -8], shown[far < -8], atol=1e-6)


def test_what_is_like_neither_stays():
    far = away()
    stripe = np.abs(np.mgrid[:SIDE, :SIDE][0] - SIDE / 2) < 4  # of a third colour, up to the outline
    own = np.where(stripe[..., None], np.float32([0.1, 0.8, 0.1]), OBJECT)
    shown, alpha = mix(np.clip(0.5 - far, 0, 1), own), np.clip(0.5 - far, 0, 1)
    made = clear_fringe(shown, alpha, np.ones_like(alpha, bool))
    assert np.abs(made - own)[stripe & (far < -1)].max() < 0.12


@pytest.mark.parametrize("what", ["alike", "varied", "thin", "unknown"])
def test_where_nothing_tells_nothing_changes(what):
    far, known = away(), np.ones((SIDE, SIDE), bool)
    share = np.clip(0.5 - far, 0, 1)
    shown = mix(share)
    if what == "alike":
        shown = mix(share, OBJECT, OBJECT + 0.02)
    elif what == "varied":
        shown = np.random.default_rng(0).uniform(0, 1, shown.shape).astype(np.float32)
    elif what == "thin":
        share = (np.abs(far) < 2).astype(np.float32)
        shown = mix(share)
    else:
        known &= far < 1  # the photo ends there
    made = clear_fringe(shown, share, known)
    assert np.abs(made - shown)[share > 0].mean() < 0.01


def test_crops_of_opaque_photos_have_none_and_alpha_keeps_its_own():
    far = away()
    shown = np.round(srgb_encode(mix(np.clip(0.5 - far, 0, 1))) * 255).astype(np.uint8)
    mask = np.clip(2.5 - far, 0, 1)
    cut, kept = photo.prepare(shown, mask), photo.prepare(np.dstack([shown, np.round(mask * 255).astype(np.uint8)]))
    seen = cut.alpha > 0.5
    blue = lambda found: float((found.rgb[..., 2] > 0.3)[seen].mean())
    assert blue(cut) < 0.005 < 0.02 < blue(kept)


def test_the_fine_crop_has_none_either():
    large = np.asarray(Image.fromarray((np.clip(0.5 - away(), 0, 1) * 255).astype(np.uint8)).resize((900, 900)))
    share = large.astype(np.float32) / 255
    shown = np.round(srgb_encode(mix(share)) * 255).astype(np.uint8)
    found = photo.prepare(shown, (share > 0.1).astype(np.float32))
    seen = found.fine[..., 3] > 128
    assert not (srgb_decode(found.fine[..., 2] / np.float32(255)) > 0.3)[seen].any()


def test_no_colour_comes_that_neither_the_pixel_nor_the_object_has():
    """A dark spot at the rim of something brown before green: less green would be purple."""
    far, own, behind = away(), np.float32([0.35, 0.25, 0.18]), np.float32([0.1, 0.5, 0.05])
    spot = np.hypot(*(np.mgrid[:SIDE, :SIDE] + 0.5 - [[[SIDE / 2]], [[SIDE / 2 + RADIUS - 2]]])) < 4
    shown = np.where((spot & (far < 0))[..., None], np.float32([0.04, 0.05, 0.04]), mix(np.clip(0.5 - far, 0, 1), own,
                                                                                       behind))
    made = clear_fringe(shown, np.clip(0.5 - far, 0, 1), np.ones_like(far, bool))
    purple = lambda color: (np.minimum(color[..., 0], color[..., 2]) - color[..., 1])[far < 0].max()
    assert purple(made) < 0.01
