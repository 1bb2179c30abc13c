"""LLaMa models of Hugging Face: one .safetensors file with its config.json beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from mico_runner.data.files import read_text
from mico_runner.errors import UsageError
from mico_runner.formats.network import FileNetwork
from mico_runner.models.llama import Llama, LlamaSizes
from mico_runner.models.weights import tensors

_SIZES = {  # of `LlamaSizes`, by key of the config
    "width": "hidden_size",
    "hidden": "intermediate_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "vocabulary": "vocab_size",
    "length": "max_position_embeddings",
}
_FIXED = {  # what the decoder does; a config may leave it out
    "model_type": "llama",
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "rope_scaling": None,
    "quantization_config": None,
}
_LAYER = {  # weights of a block, by their names in the file
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
    **{f"self_attn.{x}_proj": f"attention.w{x}" for x in "qkvo"},
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
}


def read(path: Path) -> FileNetwork:
    """The decoder in a .safetensors file.

    Its RoPE turns value i of a head with value i + half of it; rows of wq and wk are brought to the order in which pairs lie together.

    Raises UsageError: no config.json beside it, one that says something else than `models.llama` computes, or weights that do not fit.
    """
    if not (config := path.parent / "config.json").exists():
        raise UsageError(
            f"{path}: found no config.json beside it; allowed: a LlamaForCausalLM of Hugging Face's transformers"
        )
    sizes, base, eps, tied = _config(config)
    with torch.device("meta"):  # nothing of these sizes is made before the weights are seen to have them
        model = Llama(sizes, shared=tied, base=base, eps=eps)
    found = tensors(path)
    if tied:
        found.pop("lm_head.weight", None)
    wanted = model.state_dict()
    state = {}
    for ours, theirs in _names(sizes, tied).items():
        if theirs not in found:
            raise UsageError(f"{path}: found no {theirs}; allowed: the weights of a LlamaForCausalLM, by their names")
        value = found.pop(theirs).float()
        if value.shape != wanted[ours].shape:
            raise UsageError(
                f"{path}: {theirs}: found {tuple(value.shape)}; allowed: {tuple(wanted[ours].shape)}, as config.json says"
            )
        if not torch.isfinite(value).all():
            raise UsageError(f"{path}: {theirs}: found values that are not finite")
        state[ours] = _paired(value, sizes.head) if ours.endswith(("wq.weight", "wk.weight")) else value
    found = {name: value for name, value in found.items() if not name.endswith("rotary_emb.inv_freq")}
    if found:
        raise UsageError(
            f"{path}: found {', '.join(sorted(found)[:5])}; allowed: the weights of a LlamaForCausalLM alone"
        )
    if tied:
        state["classifier.weight"] = state["embedding.weight"]
    model.load_state_dict(state, assign=True)
    if tied:
        model.classifier.weight = model.embedding.weight
    return FileNetwork(model, ((sizes.length,),), whole=(0,))


def _config(path: Path) -> tuple[LlamaSizes, float, float, bool]:
    """Sizes, base of RoPE, eps, whether the classifier is the embedding's table."""
    try:
        config = json.loads(read_text(path))
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}") from None
    if not isinstance(config, dict):
        raise UsageError(f"{path}: found {type(config).__name__}; allowed: a mapping")
    for key, allowed in _FIXED.items():
        if (found := config.get(key, allowed)) != allowed:
            raise UsageError(f"{path}: {key}: found {json.dumps(found)}; allowed: {json.dumps(allowed)}")
    config.setdefault("num_key_value_heads", config.get("num_attention_heads"))
    sizes = LlamaSizes(**{ours: _number(path, config, theirs, int) for ours, theirs in _SIZES.items()})
    sizes.check(str(path))
    if config.get("head_dim") not in (None, sizes.head):
        raise UsageError(f"{path}: head_dim: found {config['head_dim']}; allowed: {sizes.head}, the width / heads")
    turning = config.get("rope_parameters") or {}
    if turning and turning.get("rope_type", "default") != "default":
        raise UsageError(
            f'{path}: rope_parameters.rope_type: found {json.dumps(turning["rope_type"])}; allowed: "default"'
        )
    base = _number(path, {"rope_theta": 10_000.0} | config | turning, "rope_theta", float)
    eps = _number(path, {"rms_norm_eps": 1e-6} | config, "rms_norm_eps", float)
    return sizes, base, eps, config.get("tie_word_embeddings", False) is True


def _number(path: Path, config: dict[str, Any], key: str, kind: type[int] | type[float]) -> Any:
    found = config.get(key)
    kinds = (int,) if kind is int else (int, float)
    if isinstance(found, bool) or not isinstance(found, kinds) or not found > 0:
        raise UsageError(
            f"{path}: {key}: found {json.dumps(found)}; allowed: a {'whole ' * (kind is int)}number above 0"
        )
    return kind(found)


def _names(sizes: LlamaSizes, tied: bool) -> dict[str, str]:
    """Names in the file by those of `Llama`."""
    names = {"embedding.weight": "model.embed_tokens.weight", "norm.weight": "model.norm.weight"}
    for i in range(sizes.layers):
        names |= {f"blocks.{i}.{ours}.weight": f"model.layers.{i}.{theirs}.weight" for theirs, ours in _LAYER.items()}
    return names if tied else names | {"classifier.weight": "lm_head.weight"}


def _paired(weight: torch.Tensor, head: int) -> torch.Tensor:
    """Rows (heads, 2, head / 2) as (heads, head / 2, 2)."""
    return weight.view(-1, 2, head // 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape).contiguous()
