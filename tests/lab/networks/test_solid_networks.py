"""What several photos say together of an object's solid."""

import pytest
import torch

from near_core.lab.networks import graphs, solid_networks
from near_core.models.mini import layout, runtime


def photos_of(count: int) -> dict[str, torch.Tensor]:
    """Inputs of Structure, so many photos."""
    torch.manual_seed(3)
    one = graphs.ALL["structure"].inputs()
    many = {key: torch.cat([value] * count)[:count].clone() for key, value in one.items()}
    for number in range(count):
        many["surface"][number] += 0.1 * number
        many["uv"][number] = many["uv"][number].roll(number, 1) * 2 - 1
    return many


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return solid_networks.Structure(width=8, channels=4).eval()


def test_a_photo_given_twice_says_what_it_says_once(network):
    once = photos_of(1)
    with torch.no_grad():
        torch.testing.assert_close(network(**{key: torch.cat([value] * 2) for key, value in once.items()}),
                                   network(**once), atol=1e-4, rtol=1e-4)


def test_what_photos_disagree_about_is_learned_and_their_order_is_not(network):
    network.zero_grad()
    network(**photos_of(2)).square().mean().backward()
    added = [network.trust.weight, network.agree.weight, network.fine_agree.weight]
    assert all(parameter.grad.abs().max() > 0 for parameter in added)
    with torch.no_grad():
        for parameter in added:
            parameter.normal_(std=0.1)
        first, second = (network(**{key: value.flip(0) if turned else value for key, value in photos_of(2).items()})
                         for turned in (False, True))
        alone = network(**photos_of(1))
        for parameter in added:
            parameter.zero_()
    torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-4)
    assert (first - alone).abs().max() > 0.01


def test_some_cells_alone_get_what_all_cells_get(network):
    inputs = photos_of(2)
    maps = solid_networks.join_maps(*(inputs.pop(key) for key in ("image", "layers", "trunk")))
    cells = torch.randint(0, layout.COARSE**3, (2, 50))
    with torch.no_grad():
        every = network.predict(maps, objects=2, **inputs)
        some = network.predict(maps, objects=2, cells=cells, **inputs)
    torch.testing.assert_close(some, every.gather(2, cells[:, None].expand(-1, 8, -1)), atol=1e-5, rtol=1e-4)
    grid = torch.rand(2, 1, 64, 64, 64)
    assert torch.equal(solid_networks.join_cells(solid_networks.split_cells(grid)[:, 0]), grid[:, 0])


@pytest.mark.parametrize("count", [1, 3])
def test_the_exported_graph_takes_any_number_of_photos(count):
    model = runtime.NearMini(threads=1)
    if model.digest != graphs.digest():
        pytest.skip("near_core/weights/onnx is not made of these weights yet")
    inputs = photos_of(count)
    with torch.no_grad():
        wanted = graphs.module("structure")(**inputs)
    found = model.run("structure", **{key: value.numpy() for key, value in inputs.items()})[0]
    torch.testing.assert_close(torch.from_numpy(found), wanted, atol=2e-3, rtol=1e-3)
