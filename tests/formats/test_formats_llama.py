"""Files of decoders: what is written is read again, every hostile change is said, the mirror's networks give their golden tokens."""

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from mico_runner.data import tokenizer
from mico_runner.errors import UsageError
from mico_runner.formats import read as read_any
from mico_runner.formats.llama_file import binary, read, read_hugging_face, write
from mico_runner.models.llama import Llama, LlamaSizes

MIRROR = os.environ.get("MICO_DATA_MIRROR")
mirrored = pytest.mark.skipif(not MIRROR, reason="MICO_DATA_MIRROR is not set: these are files of other people")
SIZES = LlamaSizes(width=16, hidden=24, layers=2, heads=4, kv_heads=2, vocabulary=30, length=9)
TERNARY = LlamaSizes(width=8, hidden=12, layers=1, heads=2, kv_heads=1, vocabulary=5, length=4)


def network(shared=True, sizes=SIZES, **more):
    torch.manual_seed(0)
    made = Llama(sizes, shared=shared, **more).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight += torch.randn_like(weight) / 4
    return made


def logits(module, tokens=((1, 5, 2, 29), (7, 0, 3, 3))):
    with torch.no_grad():
        return module(torch.tensor(tokens)).numpy()


def version_0(model):
    """The layout as NETWORKS of llama2.c have it, written out here a second time."""
    s, blocks = model.sizes, model.blocks
    signed = s.vocabulary if model.shared else -s.vocabulary
    parts = [np.array([s.width, s.hidden, s.layers, s.heads, s.kv_heads, signed, s.length], "<i4")]
    parts += [model.embedding.weight, *(b.attention_norm.weight for b in blocks)]
    parts += [getattr(b.attention, f"w{x}").weight for x in "qkvo" for b in blocks]
    parts += [b.ffn_norm.weight for b in blocks]
    parts += [getattr(b.feed_forward, f"w{x}").weight for x in "123" for b in blocks]
    parts += [model.norm.weight, torch.full((s.length * s.head,), 7.0)]
    parts += [] if model.shared else [model.classifier.weight]
    return b"".join(p.tobytes() if isinstance(p, np.ndarray) else p.detach().numpy().tobytes() for p in parts)


def ternary_file(sizes=TERNARY, codes=None):
    """A file of random codes, and the matrices that they mean."""
    rng = np.random.default_rng(0)
    header = struct.pack("<Ii7iB", binary.MAGIC, 1, *vars(sizes).values(), 1).ljust(256, b"\0")
    parts = [header, rng.random(sizes.width, "f4"), rng.random((sizes.vocabulary, sizes.width), "f4")]
    shapes = {"q": (8, 8), "k": (4, 8), "v": (4, 8), "o": (8, 8), "1": (12, 8), "2": (8, 12), "3": (12, 8)}
    matrices = {}
    for name, shape in shapes.items():
        values = rng.integers(-1, 2, shape)
        fours = (values % 4).reshape(-1, 4) if codes is None else np.full((values.size // 4, 4), codes)
        parts += [np.array([0.5], "<f4"), (fours @ [64, 16, 4, 1]).astype("u1")]
        matrices[name] = values * 0.5
    return b"".join(p if isinstance(p, bytes) else p.tobytes() for p in parts), matrices


@pytest.mark.parametrize("shared", [True, False])
def test_version_0_is_read_as_it_is_laid_out(tmp_path, shared):
    (tmp_path / "net.bin").write_bytes(version_0(network(shared)))
    found = read_any(tmp_path / "net.bin")
    assert (found.input_shapes, found.whole) == (((9,),), (0,)) and found.module.shared == shared
    np.testing.assert_array_equal(logits(found.module), logits(network(shared)))


@pytest.mark.parametrize("shared", [True, False])
def test_version_1_gives_the_same_logits(tmp_path, shared):
    write(network(shared), tmp_path / "net.bin", version=1)
    np.testing.assert_array_equal(logits(read(tmp_path / "net.bin").module), logits(network(shared)))


def test_version_2_holds_the_nearest_of_127_steps_of_each_group(tmp_path):
    write(network(), tmp_path / "net.bin", version=2, group=4)
    assert (tmp_path / "net.bin").read_bytes()[37:41] == (4).to_bytes(4, "little")  # unaligned, behind `shared`
    found, exact = (dict(m.named_parameters()) for m in (read(tmp_path / "net.bin").module, network()))
    for name, weight in found.items():
        step = exact[name].detach().reshape(-1, 4).abs().amax(1, keepdim=True) / 127
        error = (weight - exact[name]).detach().reshape(-1, 4).abs()
        assert (error <= (step * 0.5001 if weight.ndim == 2 else step * 0)).all(), name
    write(read(tmp_path / "net.bin").module, tmp_path / "again.bin", version=2, group=4)
    assert abs(logits(read(tmp_path / "again.bin").module) - logits(read(tmp_path / "net.bin").module)).max() < 1e-5


def test_a_group_over_the_end_of_a_row_is_refused(tmp_path):
    for group in (0, -4, 16, 5):
        with pytest.raises(
            UsageError, match=f"groups of {group} weights, a width of 16 and a hidden one of 24; allowed"
        ):
            write(network(), tmp_path / "net.bin", version=2, group=group)
    write(network(), tmp_path / "net.bin", version=2, group=8)
    raw = bytearray((tmp_path / "net.bin").read_bytes())
    raw[37] = 16
    (tmp_path / "net.bin").write_bytes(raw)
    with pytest.raises(UsageError, match=r"net\.bin: groups of 16 weights"):
        read(tmp_path / "net.bin")


def test_what_llama2_c_has_no_form_for_is_not_written(tmp_path):
    for model in (network(eps=1e-6), network(base=5e5), network(sizes=TERNARY, ternary=True)):
        with pytest.raises(UsageError, match="allowed: norms in every layer"):
            write(model, tmp_path / "net.bin", version=1)
    with pytest.raises(UsageError, match="allowed: 1, 2"):
        write(network(), tmp_path / "net.bin", version=0)


def test_ternary_codes_are_read_from_the_top(tmp_path):
    raw, matrices = ternary_file()
    (tmp_path / "net.bin").write_bytes(raw)
    block = read(tmp_path / "net.bin").module.blocks[0]
    for name, values in matrices.items():
        layer = getattr(block.attention if name in "qkvo" else block.feed_forward, f"w{name}").linear
        np.testing.assert_allclose(layer.weight.detach().numpy() * values.shape[1], values, rtol=1e-6)
    (tmp_path / "net.bin").write_bytes(ternary_file(codes=2)[0])
    with pytest.raises(UsageError, match="wq of layer 0: found the code 10 at"):
        read(tmp_path / "net.bin")


@pytest.mark.parametrize("form", ["0", "1", "2", "ternary"])
def test_a_byte_more_or_less_or_a_header_that_cannot_be_is_refused(tmp_path, form):
    file, rng = tmp_path / "net.bin", np.random.default_rng(0)
    if form in "12":
        write(network(), file, version=int(form), group=8)
    raw = file.read_bytes() if form in "12" else ternary_file()[0] if form == "ternary" else version_0(network())
    start = 0 if form == "0" else 8
    changed = [raw + b"\0", raw[:-1], raw[:10], b"", raw[: len(raw) // 2]]
    for at in range(start, start + 28, 4):  # every size of the header
        for value in (0, -3, 7, 1 << 30, -(1 << 31)):
            changed.append(raw[:at] + struct.pack("<i", value) + raw[at + 4 :])
    changed += [raw[:cut] for cut in rng.integers(0, len(raw), 20)]
    if form != "0":
        changed += [raw[:4] + b"\3" + raw[5:], raw[:200] + b"\1" + raw[201:], raw[:36] + b"\2" + raw[37:]]
    for each in changed:
        file.write_bytes(each)
        try:
            found = read(file).module
        except UsageError as error:
            assert str(error).startswith(str(file)) and "\n" not in str(error)
        else:  # a length that nothing in versions 1 and 2 depends on
            assert form != "0" and found.sizes.length == 7


def test_weights_that_are_not_finite_are_refused(tmp_path):
    model = network()
    model.blocks[1].feed_forward.w2.weight.data[3, 5] = float("nan")
    for version in (1, 2):
        write(model, tmp_path / "net.bin", version, group=8) if version == 1 else None
        (tmp_path / "zero.bin").write_bytes(version_0(model))
        with pytest.raises(UsageError, match=r"w2.*: found nan at \[3, 5\]"):
            read(tmp_path / "net.bin")
        with pytest.raises(UsageError, match=r"2 of w2: found nan at \[1, 3, 5\]"):
            read(tmp_path / "zero.bin")


CONFIG = {
    "model_type": "llama",
    **{"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"num_key_value_heads": 2, "vocab_size": 30, "max_position_embeddings": 9, "rms_norm_eps": 1e-5},
}


def save(folder, model, **config):
    """Weights by Hugging Face's names; a head's pairs (2i, 2i+1) are (i, i + half) there."""
    save_file = pytest.importorskip("safetensors.torch").save_file
    apart = lambda w: w.unflatten(0, (-1, 2, 2)).transpose(1, 2).reshape(w.shape)  # noqa: E731
    state = {"model.embed_tokens.weight": model.embedding.weight, "model.norm.weight": model.norm.weight}
    for i, block in enumerate(model.blocks):
        for x in "qkvo":
            weight = getattr(block.attention, f"w{x}").weight
            state[f"model.layers.{i}.self_attn.{x}_proj.weight"] = apart(weight) if x in "qk" else weight
        for x, name in (("1", "gate"), ("2", "down"), ("3", "up")):
            state[f"model.layers.{i}.mlp.{name}_proj.weight"] = getattr(block.feed_forward, f"w{x}").weight
        state[f"model.layers.{i}.input_layernorm.weight"] = block.attention_norm.weight
        state[f"model.layers.{i}.post_attention_layernorm.weight"] = block.ffn_norm.weight
    if not model.shared:
        state["lm_head.weight"] = model.classifier.weight
    save_file(
        {name: value.detach().clone().contiguous() for name, value in state.items()}, folder / "model.safetensors"
    )
    (folder / "config.json").write_text(json.dumps(CONFIG | {"tie_word_embeddings": model.shared} | config))
    return folder / "model.safetensors"


@pytest.mark.parametrize("shared", [True, False])
def test_hugging_face_s_order_of_pairs_and_names(tmp_path, shared):
    file = save(tmp_path, network(shared))
    np.testing.assert_array_equal(logits(read_any(file).module), logits(network(shared)))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"hidden_act": "gelu"}, 'hidden_act: found "gelu"; allowed: "silu"'),
        ({"attention_bias": True}, "attention_bias: found true; allowed: false"),
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling: found"),
        ({"hidden_size": 0}, "hidden_size: found 0; allowed: a whole number above 0"),
        ({"hidden_size": 10**30}, "width is 1000"),
        ({"vocab_size": 31}, r"embed_tokens.weight: found \(30, 16\); allowed: \(31, 16\)"),
        ({"num_hidden_layers": 1}, "found model.layers.1"),
        ({"num_hidden_layers": 3}, "found no model.layers.2"),
        ({"head_dim": 8}, "head_dim: found 8; allowed: 4"),
        ({"num_key_value_heads": 3}, "4 heads read 3 of keys"),
        ({"tie_word_embeddings": False}, "found no lm_head.weight"),
    ],
)
def test_a_config_that_says_something_else_is_refused(tmp_path, config, message):
    file = save(tmp_path, network(), **config)
    with pytest.raises(UsageError, match=message):
        read_hugging_face(file)


def test_models_of_transformers_give_their_logits(tmp_path):
    transformers = pytest.importorskip("transformers")
    for tied, base, kv in ((True, 10_000.0, 2), (False, 500_000.0, 4)):
        torch.manual_seed(1)
        config = transformers.LlamaConfig(
            **{"hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4},
            **{"num_key_value_heads": kv, "vocab_size": 50, "max_position_embeddings": 32, "rope_theta": base},
            tie_word_embeddings=tied,
        )
        theirs = transformers.LlamaForCausalLM(config).eval()
        theirs.save_pretrained(tmp_path / str(tied))
        tokens = torch.randint(0, 50, (2, 20))
        with torch.no_grad():
            expected = theirs(tokens).logits.numpy()
            found = read_hugging_face(tmp_path / str(tied) / "model.safetensors").module(tokens).numpy()
        np.testing.assert_allclose(found, expected, atol=2e-6)


def words():
    pieces = [
        b"<unk>",
        b"\n<s>\n",
        b"\n</s>\n",
        *(f"<0x{i:02X}>".encode() for i in range(256)),
        b" ",
        b"a",
        b"b",
        b"ab",
        b" a",
        b" ab",
    ]
    return tokenizer.Tokenizer(tuple(pieces), np.array([0.0] * 259 + [0, 0, 0, -1, -2, -3], np.float32))


def test_a_tokenizer_merges_the_best_first_and_falls_back_to_bytes():
    t = words()
    assert t.encode("ab") == [1, 264] and t.encode("aab", bos=False) == [263, 262] and t.encode("") == [1]
    assert t.encode("é", bos=False) == [259, 3 + 0xC3, 3 + 0xA9]
    for text in ("ab a b", "naïve 漢字", "bb\n"):
        assert t.decode(t.encode(text)).decode() == text


def test_words_are_merged_apart_only_where_no_piece_has_a_space_within():
    whole = tokenizer.Tokenizer((*words().pieces, b"b "), np.append(words().scores, np.float32(-0.5)))
    assert whole.encode("ab ab", bos=False) != words().encode("ab ab", bos=False)
    assert whole.decode(whole.encode("ab ab b a")) == b"ab ab b a"


def test_a_tokenizer_is_written_as_it_is_read(tmp_path):
    tokenizer.write(words(), tmp_path / "tok.bin")
    found = tokenizer.read(tmp_path / "tok.bin", 265)
    assert found.pieces == words().pieces and (found.scores == words().scores).all()
    raw = (tmp_path / "tok.bin").read_bytes()
    for each in (
        raw[:-1],
        raw + b"\0",
        raw[:4],
        b"",
        raw[:8] + struct.pack("<i", -1) + raw[12:],
        raw[:1000],
        b"\0" * len(raw),
    ):
        (tmp_path / "bad.bin").write_bytes(each)
        with pytest.raises(UsageError, match=r"bad\.bin"):
            tokenizer.read(tmp_path / "bad.bin")
    with pytest.raises(UsageError, match="found 265 tokens; allowed: 512"):
        tokenizer.read(tmp_path / "tok.bin", 512)


def following(module, tokens):
    """Greedy tokens after each prefix of `tokens`: those of a decoder that has made these itself."""
    with torch.no_grad():
        return module.eval()(torch.tensor([tokens]))[0].argmax(-1).tolist()


@mirrored
def test_stories260k_in_floats_gives_the_golden_text():
    folder = Path(MIRROR) / "tasks/tinystories"
    words, golden = tokenizer.read(folder / "tok512.bin", 512), (folder / "stories260K_t0_n256.txt").read_bytes()
    tokens = words.encode(golden.decode().removesuffix("\n"))
    assert len(tokens) == 257 and words.decode(tokens) + b"\n" == golden
    module = read(folder / "stories260K.bin").module
    assert following(module, tokens)[:-1] == tokens[1:]
    assert module.greedy([1], 12) == tokens[:12]
    tokenizer.write(words, Path(os.devnull))


@mirrored
@pytest.mark.parametrize(
    ("size", "count"),
    [("1M", 100), ("3M", 100), *(pytest.param(size, 200, marks=pytest.mark.nightly) for size in ("1M", "3M"))],
)
def test_ternary_networks_give_their_tokens(size, count):
    """All 200 token by token: sums over all at once end on other sides of ties."""
    folder = Path(MIRROR) / "networks/llama_ternary"
    golden = np.load(folder / f"outmini_bit_{size}_t0_tokens_u16.npy").tolist()
    module = read(folder / f"bit_{size}.bin", token_bits=8).module
    assert len(golden) == 200
    if count == 200:
        assert module.eval().greedy([1], 200) == golden
    else:
        assert following(module, golden[:count]) == golden[1 : count + 1]


@pytest.mark.nightly
@mirrored
@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("tasks/tinystories/stories260K.bin", 1.3351),
        ("networks/llama_ternary/bit_1M.bin", 1.4003),
        ("networks/llama_ternary/bit_3M.bin", 1.2565),
    ],
)
def test_cross_entropy_of_40_windows(file, expected):
    module = read(Path(MIRROR) / file, token_bits=8).module.eval()
    tokens = torch.from_numpy(
        np.load(Path(MIRROR) / "tasks/tinystories/stories260K_val_tokens_u16.npy").astype(np.int64)
    )
    windows, targets = tokens[: 40 * 512].view(40, 512), tokens[1 : 40 * 512 + 1].view(40, 512)
    with torch.no_grad():
        losses = [
            torch.nn.functional.cross_entropy(module(w[None])[0], t).item()
            for w, t in zip(windows, targets, strict=True)
        ]
    assert np.mean(losses) == pytest.approx(expected, abs=2e-4)
