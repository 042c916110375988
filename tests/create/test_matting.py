"""What finds the object: the network, rembg."""

from importlib.util import find_spec

import numpy as np
import pytest

from near_core.create import create, matting, photo
from near_core.create.config import MattingConfig
from near_core.errors import NearError
from near_core.models.mini.runtime import NearMini
from tests.create.pictures import check_disc, disc, mask_of


def test_the_matte_looks_nearer_at_a_small_object(model):
    """A cross of an eighth of the picture's width, on a noisy wall."""
    y, x = np.mgrid[:500, :500] - np.array([210, 330])[:, None, None]
    truth = (np.hypot(x, y) < 30) & (np.minimum(np.abs(x), np.abs(y)) < 6)
    rng = np.random.default_rng(0)
    wall = np.float32([0.35, 0.45, 0.6]) + rng.normal(0, 0.02, (500, 500, 1))
    picture = np.where(truth[..., None], np.float32([0.8, 0.15, 0.1]), wall).astype(np.float32)
    overlap = lambda alpha: ((alpha > 0.5) & truth).sum() / ((alpha > 0.5) | truth).sum()
    once = matting.predict_matte(model, picture, MattingConfig(looks=1))
    nearer = matting.predict_matte(model, picture)
    assert nearer.shape == truth.shape and overlap(nearer) > max(0.9, overlap(once))
    assert not matting.predict_matte(model, np.zeros((40, 30, 3), np.float32)).max() > 1


def test_rembg_is_asked_only_where_it_is_needed_and_says_what_it_lacks(monkeypatch, tmp_path):
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    find = create.matte_of(NearMini(), "rembg")
    check_disc(photo.prepare(np.dstack([disc(), mask_of()]), matte=find))
    lacks = "has none of its models" if find_spec("rembg") else "rembg is not installed"
    with pytest.raises(NearError, match=lacks):
        photo.prepare(disc(), matte=find)
    with pytest.raises(NearError, match="no matting named grabcut"):
        create.matte_of(NearMini(), "grabcut")


def test_rembg_finds_the_object(monkeypatch):
    """Where it is installed and has a model."""
    pytest.importorskip("rembg")
    try:
        find = matting.open_rembg()
    except NearError as error:
        pytest.skip(error.what)
    alpha = find(disc(480, 320, 100, (240, 160)) / np.float32(255))
    truth = mask_of(480, 320, 100, (240, 160)) > 0
    assert alpha.shape == truth.shape and ((alpha > 0.5) & truth).sum() > 0.9 * ((alpha > 0.5) | truth).sum()
