import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mico_runner.data.dataset import Split
from mico_runner.errors import StepError, UsageError
from mico_runner.graph import capture, costs
from mico_runner.models import MODELS, TOKENS, training
from mico_runner.models.augment import augmented, mixed, shifted
from mico_runner.models.llama import SIZES
from mico_runner.models.loop import Training
from mico_runner.models.vit import VisionTransformer
from mico_runner.sections import Augment, Train
from mico_runner.tasks import create

TASK = create()


IMAGES = [name for name in MODELS.names() if MODELS.info(name).meta.get("reads") != TOKENS]


def sample(name, size):
    """Zeros, as many as an entry's size says."""
    return torch.zeros(1, *size["input"], dtype=None if name in IMAGES else torch.int64)


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_every_model_maps_images_to_class_scores(name, shape):
    with torch.device("meta"):  # shapes alone
        model = MODELS.get(name)(shape, 7)
        assert model(torch.zeros(2, *shape)).shape == (2, 7)
    assert MODELS.info(name).summary


PUBLISHED = {  # weights and multiply-accumulates of MiCo's networks and those of MLPerf Tiny
    "mico-mlp": (25_216, 25_216),
    "mico-harmlp": (184_960, 184_960),
    "mico-lenet": (30_518, 385_568),
    "mico-cnn": (89_440, "12.3 M"),
    "mico-vgg": ("34.6 M", "111 M"),
    "mico-resnet8": ("4.90 M", "253 M"),
    "mico-resnet18": ("11.2 M", "555 M"),
    "mico-mobilenet-v2": ("2.20 M", "64.8 M"),
    "mico-squeezenet": ("0.726 M", "52.5 M"),
    "mico-shufflenet": ("0.889 M", "41.6 M"),
    "mico-vit": ("12.4 M", "806 M"),
    "mico-tinyvit": ("1.06 M", "67.5 M"),
    "resnet8": (77_360, "12.5 M"),
    "mlperf-ds-cnn": (22_016, "2.66 M"),
    "mlperf-autoencoder": (264_192, 264_192),
    "mlperf-mobilenet-v1": ("0.208 M", "7.49 M"),
}


def sized(name, **params):
    """The model on torch's device without memory, for the input that its entry states; its weights and MACs as torch counts them."""
    size = MODELS.info(name).meta["size"]
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model = MODELS.get(name)(tuple(size["input"]), size["outputs"], **params).eval()
        model(sample(name, size))
    counts = counter.get_flop_counts()["Global"]
    products = sum(count for call, count in counts.items() if "bmm" not in str(call))  # of activations with weights
    weights = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear))
    return weights, products // 2


@pytest.mark.parametrize("name", MODELS.names())
def test_every_model_has_the_size_that_its_entry_states(name):
    size = MODELS.info(name).meta["size"]
    assert sized(name) == (size["weights"], size["macs"])


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes(name):
    for count, published in zip(sized(name), PUBLISHED[name], strict=True):
        if isinstance(published, str):
            digits = len(published.split(" ")[0].split(".")[-1]) if "." in published else 0
            count = f"{count / 1e6:.{digits}f} M"
        assert count == published


@pytest.mark.parametrize(("name", "products"), [("mico-vit", 22.7), ("mico-tinyvit", 8.4)])
def test_published_products_of_activations(name, products):
    size = MODELS.info(name).meta["size"]
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        MODELS.get(name)(tuple(size["input"]), size["outputs"]).eval()(torch.zeros(1, *size["input"]))
    found = sum(count for call, count in counter.get_flop_counts()["Global"].items() if "bmm" in str(call))
    assert found / 2e6 == pytest.approx(products, abs=0.05)


@pytest.mark.parametrize("name", [n for n in MODELS.names() if "width" in MODELS.info(n).meta.get("params", {})])
def test_a_width_scales_weights_and_what_is_captured_is_what_torch_counts(name):
    size = MODELS.info(name).meta["size"]
    narrow = sized(name, width=0.125)
    assert narrow[0] < size["weights"] / 2 or name == "mlperf-mobilenet-v1"
    if name in ("mico-cnn", "mico-lenet", "mico-mlp", "mico-vgg"):  # the others by `make test-all`
        assert captured_size(name, width=0.125) == narrow


@pytest.mark.nightly
@pytest.mark.parametrize("name", MODELS.names())
def test_what_is_captured_has_the_published_size(name):
    size = MODELS.info(name).meta["size"]
    assert captured_size(name) == (size["weights"], size["macs"])


def captured_size(name, **params):
    size = MODELS.info(name).meta["size"]
    shape = tuple(size["input"])
    whole = () if name in IMAGES else (0,)
    network = capture(MODELS.get(name)(shape, size["outputs"], **params).eval(), shape, name, whole)
    return sum(node.weight.size for node in network.weighted), sum(costs.macs(network, node) for node in network.nodes)


LLAMAS = {  # MACs per token with the classifier, without attention, of MiCo's decoders; the last one's are its own program's weights
    "1m": "1.347 M",
    "3m": "3.80 M",
    "11m": "11.5 M",
    "28m": "27.8 M",
    "110m": "110 M",
    "stories260k": "0.259 M",
}


@pytest.mark.parametrize("size", LLAMAS)
def test_published_sizes_of_decoders(size):
    """A product of a weight each, so that there are as many weights; the table of the embedding is the classifier's."""
    sizes = SIZES[size]
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model = MODELS.get("llama")((4,), sizes.vocabulary, size=size).eval()
        model(torch.zeros(1, 4, dtype=torch.int64))
    counts = counter.get_flop_counts()["Global"]
    products = (
        sum(count for call, count in counts.items() if "bmm" not in str(call) and "attention" not in str(call)) // 8
    )
    weights = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear))
    digits = len(LLAMAS[size].split(" ")[0].partition(".")[2])
    assert products == weights and f"{products / 1e6:.{digits}f} M" == LLAMAS[size]
    assert all(field in SIZES for field in MODELS.info("llama").meta["params"]["size"]["allowed"])


def test_lenet_refuses_images_that_vanish():
    for name in ("lenet", "mico-lenet"):
        with pytest.raises(UsageError, match=f"{name} needs images of at least 12 x 12, the task has 8 x 8"):
            MODELS.get(name)((1, 8, 8), 10)
    for name in ("mico-cnn", "mico-vgg"):
        with pytest.raises(UsageError, match="at least 8 x 8, the task has 7 x 9"):
            MODELS.get(name)((1, 7, 9), 10)


def test_a_vision_transformer_refuses_what_its_patches_and_heads_do_not_fit():
    with pytest.raises(UsageError, match="patches of 4 x 4, the task has 30 x 32 pixels"):
        MODELS.get("mico-tinyvit")((3, 30, 32), 10)
    with pytest.raises(UsageError, match="width 10 has no 4 heads"):
        VisionTransformer((3, 8, 8), 10, patch=4, depth=1, width=10, hidden=8, heads=4)


def test_a_stride_pads_as_tensorflow_does():
    network = MODELS.get("mlperf-ds-cnn")((1, 49, 10), 12)
    assert network[0].padding == (1, 1, 4, 5)


def blobs(count, seed):
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = draw.integers(0, 60, (count, 1, 8, 8)) + labels[:, None, None, None] * 90
    return Split(images.astype(np.uint8), labels.astype(np.int64))


def trained(work, epochs=3, stop_after=None, **options):
    torch.manual_seed(0)
    model = MODELS.get("small-cnn")((1, 8, 8), 3, channels=2)
    recipe = Train(epochs=epochs, lr=0.01, batch_size=16, weight_decay=0.0, shift=1)

    def stop(epoch, loss, score):
        if epoch == stop_after:
            raise KeyboardInterrupt

    history = training.train(model, lesson(recipe), work, stop, **options)
    return model, history


def lesson(recipe):
    return training.Lesson(TASK, blobs(96, 0), blobs(30, 1), recipe, 5)


def test_an_interrupted_training_resumes_to_the_same_weights(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, history = trained(tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "b", stop_after=2)
    resumed, again = trained(tmp_path / "b")
    assert history == again
    assert [row["epoch"] for row in history] == [1, 2, 3]
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_bytes(bytes(path.stat().st_size)),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(flipped(path.read_bytes())),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["cut short", "zeros", "empty", "a bit", "a folder"],
)
def test_a_damaged_checkpoint_is_dropped_and_said(tmp_path, damage):
    for folder in "ab":
        (tmp_path / folder).mkdir()
    whole, history = trained(tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "b", stop_after=2)
    damage(tmp_path / "b" / "checkpoint.pt")
    told = []
    anew, again = trained(tmp_path / "b", log=told.append)
    assert history == again and len(told) == 1 and told[0].startswith("checkpoint.pt is dropped")
    for a, b in zip(whole.state_dict().values(), anew.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def flipped(content):
    """One bit of a weight changed."""
    at = 2 * len(content) // 5
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_training_learns(tmp_path):
    _, history = trained(tmp_path, epochs=30)
    assert history[-1]["validation_accuracy"] > 90


def test_shift_moves_by_at_most_its_limit():
    images = torch.zeros(4, 1, 9, 9)
    images[:, :, 4, 4] = 1.0
    seen = set()
    for seed in range(60):
        moved = shifted(images, 1, torch.Generator().manual_seed(seed))
        where = torch.nonzero(moved[0, 0])
        assert moved.shape == images.shape and len(where) == 1
        seen.add(tuple((where[0] - 4).tolist()))
    assert seen == {(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)}


def test_a_training_that_diverges_says_when_and_at_which_rate(tmp_path):
    torch.manual_seed(0)
    model = MODELS.get("small-cnn")((1, 8, 8), 3, channels=2)
    recipe = Train(epochs=3, lr=1e30, batch_size=16, weight_decay=0.0)
    with pytest.raises(StepError, match=r"diverged: .* not finite after epoch \d with model.train.lr \d"):
        training.train(model, lesson(recipe), tmp_path)


@pytest.mark.parametrize("place", ["weight", "running_var"])
def test_weights_and_statistics_that_are_not_finite_are_named(tmp_path, place):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.BatchNorm1d(64), torch.nn.Linear(64, 3))
    with torch.no_grad():
        getattr(model[1], place)[3] = float("nan")
    recipe = Train(epochs=1, lr=1e-9, batch_size=16, weight_decay=0.0)
    with pytest.raises(StepError, match=f"the loss not finite|1.{place} not finite"):
        training.train(model, lesson(recipe), tmp_path)


def test_networks_with_large_tensors_are_evaluated_a_few_samples_at_a_time():
    class Upscaled(nn.Module):
        """Tensors of 4,096 times the input's size, and how many samples it was given."""

        def __init__(self):
            super().__init__()
            self.larger, self.classes, self.given = nn.Upsample(scale_factor=64), nn.Linear(3, 2), []

        def forward(self, x):
            self.given.append(len(x))
            return self.classes(self.larger(x).mean((2, 3)))

    model, inputs = Upscaled(), np.random.default_rng(0).random((150, 3, 8, 8), dtype=np.float32)
    found = training.outputs(model, Split(inputs, np.zeros(150, int)))
    one, *batches = model.given
    assert one == 1 and sum(batches) == 150 and max(batches) == training.HELD // (3 * 512 * 512)
    with torch.inference_mode():
        whole = model(torch.from_numpy(inputs[:80])).numpy()
    np.testing.assert_allclose(found[:80], whole, rtol=1e-5)


def test_a_forward_that_works_in_place_does_not_change_the_images():
    class InPlace(torch.nn.Module):
        def forward(self, x):
            return x.mul_(2)

    inputs = np.ones((3, 4), np.float32)
    assert (training.outputs(InPlace(), Split(inputs, np.zeros(3, int))) == 2).all()
    assert (inputs == 1).all()


def test_augmented_samples_are_the_same_but_for_what_is_asked():
    draw = torch.Generator().manual_seed(0)
    x = torch.arange(1.0, 1 + 40 * 6 * 8).reshape(40, 1, 6, 8)
    assert torch.equal(augmented(x, Augment(), draw), x)
    flipped = augmented(x, Augment(flip=True), draw)
    same = (flipped == x).all(dim=(1, 2, 3))
    assert 8 < same.sum() < 32 and torch.equal(flipped[~same], x[~same].flip(-1))
    moved = augmented(x, Augment(crop=2), draw)
    assert moved.shape == x.shape and len({tuple(each.flatten().tolist()) for each in moved - x}) > 10, "each by itself"
    tone = torch.sin(torch.arange(400) / 5).expand(8, 1, 400)
    played = augmented(tone, Augment(speed=0.5), draw)
    turns = ((played[..., 1:] * played[..., :-1]) < 0).sum(-1).flatten()  # zero crossings, 25 of the tone's own
    lengths = (played != 0).cumsum(-1).argmax(-1).flatten() + 1
    own = turns / lengths * 400 / 25
    assert own.min() < 0.8 and own.max() > 1.2 and (own > 0.6).all() and (own < 1.6).all()
    assert (lengths < 400).any() and (lengths == 400).any()  # the faster ones end earlier
    masked = augmented(x, Augment(mask_columns=3), draw)
    hidden = (masked != x).any(dim=2).squeeze(1)
    assert hidden.sum() > 0 and hidden.sum(dim=1).max() <= 3, "whole columns"


def test_mixup_mixes_pairs_and_says_how():
    x = torch.randn(16, 3)
    blended, others, share = mixed(x, Augment(mixup=0.4), torch.Generator().manual_seed(1))
    assert 0 <= share <= 1
    torch.testing.assert_close(blended, share * x + (1 - share) * x[others])


RECIPES = {
    "sgd": {"optimizer": "sgd", "schedule": "cosine"},
    "constant": {"schedule": "constant", "balance": True},
    "mixed": {"augment": Augment(flip=True, crop=1, mixup=0.2, mask_rows=2)},
    "best": {"keep": "best", "patience": 2},
    "frozen": {"freeze_norms": True},
    "low precision": {"precision": "bfloat16"},
    "channels last": {"channels_last": True},
}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_resumes_to_the_same_weights(name, tmp_path):
    def run(folder, stop_after=None):
        torch.manual_seed(0)
        model = MODELS.get("small-cnn")((1, 8, 8), 3, channels=2)
        recipe = Train(epochs=4, lr=0.01, batch_size=16, weight_decay=0.0, **RECIPES[name])

        def stop(epoch, loss, score):
            if epoch == stop_after:
                raise KeyboardInterrupt

        folder.mkdir(exist_ok=True)
        return model, training.train(model, lesson(recipe), folder, stop)

    whole, history = run(tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "b", stop_after=2)
    again, same = run(tmp_path / "b")
    assert history == same
    for one, other in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_the_best_epoch_is_kept_and_patience_ends_the_training(tmp_path):
    torch.manual_seed(0)
    model = MODELS.get("small-cnn")((1, 8, 8), 3, channels=2)
    recipe = Train(epochs=40, lr=0.01, batch_size=16, weight_decay=0.0, keep="best", patience=3)
    history = training.train(model, lesson(recipe), tmp_path)
    scores = [row["validation_accuracy"] for row in history]
    assert len(history) < 40 and len(scores) - 1 - int(np.argmax(scores)) == 3
    assert TASK.quality(training.outputs(model, blobs(30, 1)), blobs(30, 1)) == max(scores)


def test_frozen_norms_keep_their_statistics(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 3))
    before = model[1].running_mean.clone()
    recipe = Train(epochs=1, lr=0.01, batch_size=16, weight_decay=0.0, freeze_norms=True)
    training.train(model, lesson(recipe), tmp_path)
    assert torch.equal(model[1].running_mean, before)


def test_products_of_16_bits_leave_floats_of_32_in_the_usual_layout(tmp_path):
    found = {}
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(0)
        model = MODELS.get("small-cnn")((1, 8, 8), 3, channels=2)
        recipe = Train(epochs=2, lr=1e-3, batch_size=16, weight_decay=0.0, precision=precision)
        (tmp_path / precision).mkdir()
        (first, _) = training.train(model, lesson(recipe), tmp_path / precision)
        found[precision] = first["train_loss"]
        assert all(value.dtype == torch.float32 for value in model.parameters())
        assert all(value.is_contiguous() for value in model.parameters())
    assert found["bfloat16"] != found["float32"]
    assert found["bfloat16"] == pytest.approx(found["float32"], rel=0.02)


def test_balanced_epochs_draw_each_class_equally_often():
    labels = np.repeat([0, 1, 2], [900, 60, 40])
    data = Split(np.zeros((1000, 1), np.float32), labels)
    recipe = Train(epochs=1, lr=1, batch_size=100, weight_decay=0, balance=True)
    batches = Training(nn.Linear(1, 3), TASK, data, data, recipe, 0, course=None).batches()
    order = torch.cat([batch.targets for batch in batches])
    counts = np.bincount(order)
    assert len(order) == 1000 and counts.min() > 270
