"""The one place where the published networks choose between torch's attention and the kernel's."""
import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from near_core.models.near import attention, blocks


def random(rows=50, heads=3, tokens=200, channels=64):
    torch.manual_seed(0)
    shapes = (rows, heads, channels), (heads, tokens, channels), (heads, tokens, channels)
    return [torch.randn(shape) for shape in shapes]


def by_torch(q, k, v):
    return F.scaled_dot_product_attention(q.transpose(0, 1)[None], k[None], v[None])[0].transpose(0, 1)


@pytest.mark.parametrize("unit", [True, False])
def test_attend(monkeypatch, unit):
    if not unit:
        monkeypatch.setattr(attention.kernel, "available", lambda: False)
    arguments = random()
    torch.testing.assert_close(attention.attend(*arguments), by_torch(*arguments), rtol=0, atol=3e-5)


@pytest.mark.parametrize("change", [lambda each: each.bfloat16(), lambda each: each.double(),
                                    lambda each: each[..., :32], lambda each: each.requires_grad_()])
def test_what_the_kernel_does_not_take_goes_to_torch(monkeypatch, change):
    monkeypatch.setattr(attention, "on_matrix_unit", None)
    arguments = [change(each) for each in random()]
    torch.testing.assert_close(attention.attend(*arguments), by_torch(*arguments))


def test_a_layer_is_the_same_either_way(monkeypatch):
    layer, x, context = blocks.CrossAttention(128, 24, 2), torch.randn(90, 128), torch.randn(2, 70, 24)
    with torch.inference_mode():
        memory = layer.memorize(context)
        fast = layer(x, memory, [40, 50])
        monkeypatch.setattr(attention.kernel, "available", lambda: False)
        torch.testing.assert_close(fast, layer(x, memory, [40, 50]), rtol=0, atol=1e-5)


def test_its_operations_are_counted():
    if not attention.kernel.available():
        pytest.skip("this machine has no matrix unit, or the system does not grant it")
    with FlopCounterMode(display=False, custom_mapping={torch.ops.near.attention: attention.operations}) as counter:
        attention.attend(*random())
    assert counter.get_total_flops() == 4 * 50 * 3 * 200 * 64
