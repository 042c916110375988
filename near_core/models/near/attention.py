"""Attention of many rows to the tokens of one item: torch's, or the kernel for the processor's matrix unit."""
import torch
import torch.nn.functional as F

from ..._kernels import attention as kernel


def attend(q, k, v):
    """q: (N, heads, D); k, v: (heads, T, D). Returns (N, heads, D)."""
    plain = q.device.type == "cpu" and q.dtype == torch.float32 and not (q.requires_grad and torch.is_grad_enabled())
    if plain and q.shape[-1] == kernel.CHANNELS and kernel.available():
        return on_matrix_unit(q, k, v)
    heads_first = q.transpose(0, 1)[None].contiguous()
    return F.scaled_dot_product_attention(heads_first, k[None], v[None])[0].transpose(0, 1)


@torch.library.custom_op("near::attention", mutates_args=())  # an operator, so that its operations can be counted
def on_matrix_unit(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """As `attend`, float32 on the processor, D = 64."""
    arrays = (each.contiguous().numpy() for each in (q, k, v))
    return torch.from_numpy(kernel.attention(*arrays, threads=torch.get_num_threads()))


def count_operations(q, k, v, **_):
    """Floating-point operations of the two products, from the shapes of `attend`'s arguments."""
    return 4 * q[0] * q[1] * q[2] * k[1]
