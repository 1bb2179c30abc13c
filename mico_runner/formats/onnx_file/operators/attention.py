"""Attention as one operator."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from mico_runner.formats.onnx_file.network import OnnxNode
from mico_runner.formats.onnx_file.translation import refuse_more_outputs, tensor_like, translates


@translates("Attention", arguments=(3,), ignored=("softmax_precision", "q_num_heads", "kv_num_heads"))
def attention(
    node: OnnxNode,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: np.ndarray | None = None,
    *past: torch.Tensor | None,
) -> torch.Tensor:
    """softmax(scale q k^T + mask) v, on (N, heads, length, size) or (N, length, heads * size). Heads of q can share those of k and v."""
    refuse_more_outputs(node)
    if any(value is not None for value in past) or node.get("is_causal", 0) or node.get("qk_matmul_output_mode", 0):
        raise ValueError("attention that is causal, or reads or returns what came before, is not supported")
    flat, bias = q.ndim == 3, None if mask is None else _bias(mask, q)
    if flat:
        counts = (node.get("q_num_heads"), node.get("kv_num_heads"), node.get("kv_num_heads"))
        q, k, v = (x.reshape(*x.shape[:2], n, -1).transpose(1, 2) for x, n in zip((q, k, v), counts, strict=True))
    if (times := q.shape[1] // k.shape[1]) > 1:
        k, v = (_repeated(x, times) for x in (k, v))
    cap = node.get("softcap", 0.0)
    scale = node.get("scale") or q.shape[-1] ** -0.5
    if cap:
        scores = torch.tanh(torch.matmul(q, k.transpose(-1, -2)) * (scale / cap)) * cap
        found = torch.matmul(torch.softmax(scores if bias is None else scores + bias, -1), v)
    else:
        found = F.scaled_dot_product_attention(q, k, v, bias, scale=scale)
    return found.transpose(1, 2).flatten(2) if flat else found


def _bias(mask: np.ndarray, like: torch.Tensor) -> torch.Tensor | None:
    """What is added to the scores: minus infinity where a mask of booleans has none."""
    if mask.dtype != bool:
        return tensor_like(mask.astype(np.float32), like)
    return None if mask.all() else tensor_like(np.where(mask, 0, -np.inf).astype(np.float32), like)


def _repeated(x: torch.Tensor, times: int) -> torch.Tensor:
    """Each head so many times."""
    n, heads, length, size = x.shape
    return x.unsqueeze(2).expand(n, heads, times, length, size).reshape(n, heads * times, length, size)
