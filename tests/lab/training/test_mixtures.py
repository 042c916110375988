"""Mixtures of a view's lights."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from near_core.lab.training.data import mixtures
from near_core.models.mini.layout import RADIANCE, SURFEL, TERMS, TOKENS, SurfelColumn, Term


@pytest.fixture
def arrays():
    """Two lights on three surfels of two voxels, as prepare_asset leaves them."""
    rng = np.random.default_rng(0)
    near = lambda *shape: rng.uniform(0.2, 1, shape).astype(np.float32)
    return {"0.terms": near(2, 3, TERMS, 3), "0.tokens": near(2, TOKENS, RADIANCE), "0.truth": near(2, 8, 8, 4),
            "0.visibility": near(2, 3), "0.mean": near(2), "0.surfel": near(3, SURFEL), "0.voxel": np.array([0, 1, 1]),
            "0.view": near(3, 3), "0.reflected": near(3, 3), "0.normal": near(3, 3), "0.size": np.array([8, 8]),
            "0.camera": np.eye(4, dtype=np.float32), "0.intrinsics": np.eye(3, dtype=np.float32),
            "0.xyz": near(4, 3), "0.covariance": near(4, 6), "0.opacity": near(4), "0.shift": near(4, 3),
            "0.owner": np.array([0, 1, 2, -1])}


def test_a_mixture_of_one_light_is_that_light(arrays):
    item = mixtures.mix_lights(arrays, 0, torch.zeros(2, 32), np.array([[0, 0, 0], [1, 1, 1]]))
    assert item["mean"] == pytest.approx(arrays["0.mean"][1])
    np.testing.assert_allclose(item["truth"] * item["mean"], arrays["0.truth"][1, ..., :3], rtol=1e-5)
    np.testing.assert_allclose(item["terms"] * item["mean"], arrays["0.terms"][1], rtol=1e-5)
    np.testing.assert_allclose(item["surfel"][:, SurfelColumn.VISIBILITY], arrays["0.visibility"][1], rtol=1e-5)


def test_pictures_and_terms_are_mixed_alike(arrays):
    weights = np.array([[0.5, 1, 0], [2, 0.3, 1]])
    item = mixtures.mix_lights(arrays, 0, torch.zeros(2, 32), weights)
    for made, kept in ((item["truth"], arrays["0.truth"][..., :3]), (item["terms"], arrays["0.terms"])):
        mixed = sum(weights[light] * kept[light] for light in range(2))
        np.testing.assert_allclose(made * item["mean"], mixed, rtol=1e-5)


def test_channels_change_places_everywhere(arrays):
    item = mixtures.mix_lights(arrays, 0, torch.zeros(2, 32), np.ones((2, 3)))
    other = mixtures.reorder_channels(item, torch.tensor([2, 0, 1]))
    assert torch.equal(other["truth"], item["truth"][..., [2, 0, 1]])
    assert torch.equal(other["surfel"][:, :3], item["surfel"][:, [2, 0, 1]])
    assert torch.equal(other["surfel"][:, 3:], item["surfel"][:, 3:])
    assert torch.equal(other["tokens"].reshape(TOKENS, 3, 3), item["tokens"].reshape(TOKENS, 3, 3)[..., [2, 0, 1]])


def test_an_ablation_hides_light_or_transport(arrays):
    item = mixtures.mix_lights(arrays, 0, torch.zeros(2, 32), np.ones((2, 3)))
    assert not mixtures.restrict(item, "transport")["tokens"].any()
    blind = mixtures.restrict(item, "tokens")
    assert not blind["terms"][:, Term.BOUNCED].any() and torch.equal(blind["tokens"], item["tokens"])
    assert (blind["surfel"][:, SurfelColumn.VISIBILITY] == 1).all() and mixtures.restrict(item, "both") is item
