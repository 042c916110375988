"""Sparse operations and attention against their dense counterparts."""
import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F

from near_core.models.near import blocks, sparse


def scattered(count=300, batch=2, side=12, seed=0):
    """Distinct voxels in no order inside an item."""
    generator = torch.Generator().manual_seed(seed)
    chosen = [torch.randperm(side ** 3, generator=generator)[:count] for _ in range(batch)]
    return torch.cat([F.pad(torch.stack(torch.unravel_index(cells, (side,) * 3), 1), (1, 0), value=item)
                      for item, cells in enumerate(chosen)]).int()


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_convolution_is_a_dense_one_at_occupied_voxels(kernel):
    coords, side = scattered(), 12
    layer = sparse.Convolution(5, 7, kernel)
    torch.nn.init.normal_(layer.conv.weight), torch.nn.init.normal_(layer.conv.bias)
    x = torch.randn(len(coords), 5)
    dense = torch.zeros(2, 5, side, side, side)
    dense[coords[:, 0].long(), :, coords[:, 1].long(), coords[:, 2].long(), coords[:, 3].long()] = x
    full = F.conv3d(dense, layer.conv.weight.movedim(-1, 1), layer.conv.bias, padding=kernel // 2)
    expected = full[coords[:, 0].long(), :, coords[:, 1].long(), coords[:, 2].long(), coords[:, 3].long()]
    torch.testing.assert_close(layer(x, coords), expected, rtol=1e-5, atol=1e-4)


def test_windowed_attention_is_full_attention_under_a_mask():
    coords = scattered()
    layer = blocks.SelfAttention(24, 3, qk_rms_norm=True)
    x = torch.randn(len(coords), 24)
    sets = sparse.windows(coords, 4, 2)
    assert torch.equal(torch.cat([rows.flatten() for rows in sets]).sort().values, torch.arange(len(coords)))
    window = torch.cat([coords[:, :1], (coords[:, 1:] + 2) // 4], 1)
    mask = (window[:, None] == window[None]).all(2)
    q, k, v = layer.to_qkv(x).unflatten(1, (3, 3, 8)).unbind(1)
    q, k = layer.q_rms_norm(q), layer.k_rms_norm(k)
    expected = F.scaled_dot_product_attention(*(each.transpose(0, 1) for each in (q, k, v)), attn_mask=mask)
    torch.testing.assert_close(layer(x, sets), layer.to_out(expected.transpose(0, 1).flatten(1)))


def test_a_batch_item_attends_to_its_own_context_only():
    layer = blocks.CrossAttention(16, 10, 2)
    x, context = torch.randn(9, 16), torch.randn(2, 5, 10)
    both = layer(x, layer.memorize(context), [4, 5])
    for rows, item in ((slice(0, 4), 0), (slice(4, 9), 1)):
        alone = layer(x[rows], layer.memorize(context[item:item + 1]), [len(x[rows])])
        torch.testing.assert_close(both[rows], alone)


def test_pooling_divides_by_one_more_than_the_count():
    coords = torch.tensor([[0, 4, 4, 4], [0, 5, 4, 5], [0, 0, 0, 1], [1, 4, 4, 4]], dtype=torch.int32)
    small, pooled, row = sparse.downsample(coords, torch.tensor([[1.0], [2.0], [4.0], [8.0]]))
    assert small.tolist() == [[0, 0, 0, 0], [0, 2, 2, 2], [1, 2, 2, 2]]
    assert pooled[:, 0].tolist() == [2, 1, 4] and row.tolist() == [1, 1, 0, 2]


def test_half_precision_weights_keep_a_float_stream():
    layer = blocks.MLP(8, 4).bfloat16()
    x = torch.randn(3, 8)
    assert layer(blocks.normalize(x)).dtype == torch.bfloat16 and (x + layer(x)).dtype == torch.float32


def test_register_attention_is_cross_attention_with_folded_weights():
    plain, folded = blocks.CrossAttention(24, 24, 3), blocks.RegisterAttention(24, 24, 3)
    folded.load_state_dict(plain.state_dict())
    x, registers = torch.randn(9, 24), torch.randn(2, 5, 24)
    expected = plain(x, plain.memorize(registers), [4, 5])
    torch.testing.assert_close(folded(x, folded.memorize(registers), [4, 5]), expected)
