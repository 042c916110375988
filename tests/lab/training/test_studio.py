"""Photos that are taken anew each time."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("manifold3d")


def test_shots_fit_the_networks_grids(made):
    """What Structure looks up of a shot is where the shot shows it, in a mirror too."""
    _, _, room, coarse = made
    room.restart(2)
    with torch.no_grad():
        shots = room.shoot(3, 1, 0.5, 3)  # none has pictures: all are bent
    assert shots.image.shape == (3, 4, 128, 128) and shots.solid.shape == (3, 64, 64, 64)
    assert shots.uv.shape == (3, 2, 64**3, 2)
    assert torch.isfinite(shots.image).all() and torch.isfinite(shots.layers).all()
    for number in range(3):
        inside = shots.solid[number].flatten() > 0.99
        uv = shots.uv[number:number + 1, :1, inside]
        alpha = torch.nn.functional.grid_sample(shots.image[number:number + 1, 3:], uv, align_corners=False)
        assert alpha.mean() > 0.97
        front = torch.nn.functional.grid_sample(shots.layers[number:number + 1, :1], uv,
                                                mode="nearest", align_corners=False)[0, 0, 0] * shots.reach[number]
        before = (shots.depth[number, 0, inside] < front - 0.03).float().mean()
        assert before < 0.05


def test_the_same_seed_takes_the_same_photos(made):
    _, _, room, _ = made
    shots = []
    for _ in range(2):
        room.restart(4)
        shots.append(room.shoot(2, 1, 0.0, 1))
    for first, second in zip(*(vars(each).values() for each in shots)):
        assert torch.equal(first, second)
