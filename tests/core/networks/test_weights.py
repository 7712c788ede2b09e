import collections
import hashlib
import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile

import pytest
import safetensors.torch
import torch

from napari_xfusion.core.networks import cards, weights
from napari_xfusion.core.networks.build import edvr, edvr_stf
from napari_xfusion.core.networks.cards import (
    CARD,
    INPUTS,
    Card,
    LiteSizes,
    Sizes,
    describe,
    find_model,
    list_models,
    models_of,
)
from napari_xfusion.core.networks.weights import import_upstream, load_model, save_model
from napari_xfusion.core.types import ROLES
from napari_xfusion.errors import ModelError, OutputError

SMALL = Sizes(channels=16, extract=2, reconstruct=3, groups=8)


def card(variant="edvr-stf", sizes=SMALL, **settings):
    return Card(variant=variant, sizes=sizes, inputs=INPUTS[variant], **settings)


@pytest.fixture
def saved(stf, tmp_path):
    path = tmp_path / "small.safetensors"
    save_model(path, stf.network, card(training="none", trained={"separations": (1, 3)}))
    return path


def rewrite(path, change=lambda _: None, card_json=None):
    """Write the file anew with its tensors or its card changed."""
    metadata = cards.safe_open(path, framework="numpy").metadata()
    tensors = safetensors.torch.load_file(path)
    change(tensors)
    if card_json is not None:
        metadata = {CARD: card_json}
    path.unlink()
    safetensors.torch.save_file(tensors, path, metadata=metadata)


def test_a_saved_model_comes_back_bit_for_bit(stf, saved):
    loaded = load_model(saved, "edvr-stf")
    before, after = stf.network.state_dict(), loaded.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert loaded.card.trained.separations == (1, 3)
    assert loaded.card.inputs == ROLES
    assert loaded.sha256 == hashlib.sha256(saved.read_bytes()).hexdigest()
    torch.testing.assert_close(loaded.network(*stf.inputs).image, stf.values["out"], atol=1e-5, rtol=0)


def test_a_loaded_model_can_be_trained_on(saved):
    network = load_model(saved).network
    assert all(p.requires_grad and not p.is_meta for p in network.parameters())
    assert not network.training


def test_saving_replaces_the_file_and_leaves_nothing_beside_it(stf, saved):
    before = saved.read_bytes()
    save_model(saved, stf.network.to(memory_format=torch.channels_last), card(training="again"))
    assert saved.read_bytes() != before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_saving_into_a_file_s_place_is_told(stf, saved):
    with pytest.raises(OutputError):
        save_model(saved / "below.safetensors", stf.network, card())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        pytest.param(card("edvr"), "unexpected", id="other variant"),
        pytest.param(card(sizes=SMALL.model_copy(update={"reconstruct": 4})), "missing", id="more blocks"),
        pytest.param(card(sizes=SMALL.model_copy(update={"groups": 4})), "another shape", id="other groups"),
    ],
)
def test_a_card_that_does_not_fit_is_not_saved(stf, tmp_path, wrong, says):
    with pytest.raises(ModelError, match=says):
        save_model(tmp_path / "x.safetensors", stf.network, wrong)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_in_the_file_become_float32(stf, tmp_path, precision):
    path = tmp_path / "half.safetensors"
    save_model(path, stf.network.to(precision), card())
    network = load_model(path).network
    assert all(p.dtype == torch.float32 for p in network.parameters())
    assert torch.equal(network.conv_hr.weight, stf.network.conv_hr.weight.float())


def drop(name):
    return lambda tensors: tensors.pop(name)


def put(name, tensor):
    return lambda tensors: tensors.update({name: tensor})


def spoil(value, precision=torch.float32):
    def change(tensors):
        tensors["conv_hr.bias"] = tensors["conv_hr.bias"].to(precision)
        tensors["conv_hr.bias"][3] = value

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(drop("conv_hr.bias"), r"1 missing \(conv_hr.bias\)", id="missing"),
        pytest.param(put("extra.weight", torch.zeros(2)), r"1 unexpected \(extra.weight\)", id="unexpected"),
        pytest.param(
            put("conv_hr.bias", torch.zeros(65)), r"conv_hr.bias \(65,\) for \(64,\)", id="wrong shape"
        ),
        pytest.param(spoil(float("nan")), r"NaN or infinity \(conv_hr.bias\)", id="NaN"),
        pytest.param(spoil(float("-inf"), torch.float16), "NaN or infinity", id="infinite half"),
        pytest.param(spoil(1e300, torch.float64), "NaN or infinity", id="too large for float32"),
        pytest.param(put("conv_hr.bias", torch.zeros(64, dtype=torch.int32)), "torch.int32", id="integers"),
        pytest.param(
            put("conv_hr.bias", torch.zeros(64, dtype=torch.float8_e5m2)), "float8_e5m2", id="8-bit floats"
        ),
        pytest.param(
            lambda tensors: [tensors.pop(n) for n in list(tensors) if "_hi." in n],
            "6 missing .* it looks like edvr",
            id="tensors of the other variant",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_told(saved, change, says):
    rewrite(saved, change)
    with pytest.raises(ModelError, match=says):
        load_model(saved)


def test_another_variant_is_refused_with_both_names(saved):
    with pytest.raises(ModelError, match="a model of edvr-stf, not of edvr"):
        load_model(saved, "edvr")


def edited(**changes):
    return json.dumps(card().model_dump(mode="json") | changes)


@pytest.mark.parametrize(
    ("card_json", "says"),
    [
        pytest.param("", "card", id="empty"),
        pytest.param("[1, 2]", "card", id="a list"),
        pytest.param("{" * 100_000, "card", id="deeply nested"),
        pytest.param(edited(variant="edvr-xl"), "variant", id="unknown variant"),
        pytest.param(edited(scale=3), "scale", id="other scale"),
        pytest.param(edited(base="bicubic"), "base", id="other base"),
        pytest.param(
            edited(inputs=["lr", "lr-", "lr+", "hr-", "hr+"]), "takes lr-, lr, lr", id="other order"
        ),
        pytest.param(edited(script="rm"), "script", id="unknown field"),
        pytest.param(edited(trained={"noise": [2, 1]}), "larger", id="reversed range"),
        pytest.param(edited(sizes=SMALL.model_dump() | {"channels": 10**9}), "channels", id="too large"),
        pytest.param(edited(sizes=SMALL.model_dump() | {"groups": 3}), "3 groups", id="groups do not divide"),
        pytest.param(edited(sizes=SMALL.model_dump() | {"extract": 0}), "extract", id="no blocks"),
    ],
)
def test_a_card_that_cannot_be_is_told(saved, card_json, says):
    rewrite(saved, card_json=card_json)
    with pytest.raises(ModelError, match=says):
        load_model(saved)


def header(text, body=b""):
    return struct.pack("<Q", len(text)) + text + body


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda good: good[:-1], id="last byte missing"),
        pytest.param(lambda good: good[: len(good) // 2], id="half"),
        pytest.param(lambda good: good[:5], id="five bytes"),
        pytest.param(lambda good: good + b"x", id="trailing bytes"),
        pytest.param(lambda good: b"\xff" * 8 + good[8:], id="header larger than the world"),
        pytest.param(lambda _: header(b"not json"), id="no JSON"),
        pytest.param(lambda _: header(b"{}"), id="no tensors"),
        pytest.param(lambda _: header(b"[" * 100_000), id="deeply nested"),
        pytest.param(
            lambda _: header(b'{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}'),
            id="sizes that overflow",
        ),
        pytest.param(
            lambda _: header(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,9999]}}', b"1234"),
            id="offsets beyond the end",
        ),
        pytest.param(lambda good: b"PK\x03\x04" + good, id="a zip"),
        pytest.param(lambda _: pickle.dumps({"params": 1}), id="a pickle"),
    ],
)
def test_a_damaged_file_is_told(saved, damage):
    saved.write_bytes(damage(saved.read_bytes()))
    for read in (load_model, describe):
        with pytest.raises(ModelError):
            read(saved)


@pytest.mark.parametrize("name", ["missing.safetensors", "."])
def test_a_missing_file_is_told(tmp_path, name):
    with pytest.raises(ModelError, match="does not exist"):
        load_model(tmp_path / name)


def test_a_safetensors_file_without_a_card_is_told(tmp_path):
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match="no model card"):
        load_model(tmp_path / "a.safetensors")


def test_describe_counts_without_torch(saved):
    code = (
        "import sys, pathlib; from napari_xfusion.core.networks.cards import describe;"
        "d = describe(pathlib.Path(sys.argv[1])); print(d.parameters, d.tensors, d.sha256, d.card.variant);"
        "assert 'torch' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", code, str(saved)], capture_output=True, text=True, check=True)
    network = load_model(saved).network
    parameters = sum(p.numel() for p in network.parameters())
    digest = hashlib.sha256(saved.read_bytes()).hexdigest()
    assert run.stdout.split() == [str(parameters), str(len(network.state_dict())), digest, "edvr-stf"]


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """An empty folder of bundled models, and one of the user's."""
    monkeypatch.setattr(cards, "BUNDLED", tmp_path / "bundled")
    monkeypatch.setattr(cards.platformdirs, "user_data_dir", lambda *_, **__: str(tmp_path / "user"))
    for folder in ("bundled", "user/models"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def test_models_are_found_by_name_and_by_path(folders):
    bundled, own = folders / "bundled/lite.safetensors", folders / "user/models/mine.safetensors"
    for path in (bundled, own):
        path.touch()
    (folders / "bundled/card.md").touch()
    assert list_models() == {"lite": bundled, "mine": own}
    assert find_model("mine") == own
    assert find_model(bundled) == bundled


def test_the_user_s_own_model_goes_before_a_bundled_one(folders):
    for folder in ("bundled", "user/models"):
        (folders / folder / "lite.safetensors").touch()
    assert find_model("lite") == folders / "user/models/lite.safetensors"


def test_models_are_those_of_the_method_as_their_files_are_now(folders, saved):
    own = folders / "user/models/mine.safetensors"
    assert models_of("edvr-stf") == []
    shutil.copy(saved, own)
    assert (models_of("edvr-stf"), models_of("edvr")) == (["mine"], [])
    own.write_bytes(saved.read_bytes()[:-20])
    assert models_of("edvr-stf") == []
    shutil.copy(saved, own)
    assert models_of("edvr-stf") == ["mine"]
    own.unlink()
    assert models_of("edvr-stf") == []


def test_an_unknown_model_is_told_with_those_there_are(folders):
    with pytest.raises(ModelError, match="available: none"):
        find_model("edvr-stf")
    (folders / "bundled/lite.safetensors").touch()
    with pytest.raises(ModelError, match=r"this name \(available: lite\)"):
        find_model("edvr-stf")


# Upstream checkpoints


def upstream_state(network, scale=0.02, seed=5):
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    return {name: scale * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def on_meta(builder, *sizes):
    with torch.device("meta"):
        return builder(*sizes)


@pytest.mark.parametrize(
    ("wrap", "origin"),
    [
        pytest.param(lambda state: {"params": state}, "up.pth, params", id="params"),
        pytest.param(lambda state: {"params_ema": state}, "up.pth, params_ema", id="params_ema"),
        pytest.param(lambda state: {"params": state, "params_ema": {}}, "up.pth, params", id="both"),
        pytest.param(lambda state: state, "up.pth", id="bare"),
        pytest.param(collections.OrderedDict, "up.pth", id="ordered"),
        pytest.param(
            lambda state: {n: torch.nn.Parameter(t) for n, t in state.items()}, "up.pth", id="parameters"
        ),
    ],
)
def test_an_upstream_checkpoint_is_imported(tmp_path, wrap, origin):
    state = upstream_state(on_meta(edvr_stf, 8, 1, 2, 4))
    torch.save(wrap(state), tmp_path / "up.pth")
    made = import_upstream(tmp_path / "up.pth", tmp_path / "out.safetensors")
    loaded = load_model(tmp_path / "out.safetensors")
    assert loaded.card == made
    assert made.sizes == Sizes(channels=8, extract=1, reconstruct=2, groups=4)
    assert made.provenance.endswith(origin)
    assert all(torch.equal(state[n], t) for n, t in loaded.network.state_dict().items())


def test_an_upstream_edvr_is_told_apart(tmp_path):
    torch.save({"params": upstream_state(on_meta(edvr, 8, 1, 2, 2))}, tmp_path / "up.pth")
    assert import_upstream(tmp_path / "up.pth", tmp_path / "out.safetensors").variant == "edvr"


def test_an_old_style_checkpoint_in_half_precision_is_imported(tmp_path):
    state = {n: t.half() for n, t in upstream_state(on_meta(edvr, 8, 1, 1, 2)).items()}
    torch.save(state, tmp_path / "up.pth", _use_new_zipfile_serialization=False)
    import_upstream(tmp_path / "up.pth", tmp_path / "out.safetensors")
    loaded = load_model(tmp_path / "out.safetensors").network.state_dict()
    assert all(torch.equal(t.float(), loaded[n]) for n, t in state.items())


def test_the_full_size_network_is_imported_strictly(tmp_path):
    """270 tensors under upstream's names, as the published checkpoints have them."""
    state = upstream_state(on_meta(edvr_stf))
    torch.save({"params": state}, tmp_path / "full.pth")
    import_upstream(tmp_path / "full.pth", tmp_path / "full.safetensors")
    loaded = load_model(tmp_path / "full.safetensors", "edvr-stf")
    assert len(state) == 270
    assert all(torch.equal(state[n], t) for n, t in loaded.network.state_dict().items())
    assert describe(tmp_path / "full.safetensors").parameters == 20_926_817


def test_the_output_must_not_be_the_checkpoint(tmp_path):
    torch.save({"params": {}}, tmp_path / "up.pth")
    with pytest.raises(OutputError):
        import_upstream(tmp_path / "up.pth", tmp_path / "up.pth")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(lambda _: {"params": {}}, "nothing in it", id="empty"),
        pytest.param(lambda s: {"epoch": 3, "model": s}, "epoch, model", id="other key"),
        pytest.param(lambda _: {"params": [1, 2]}, "a list", id="a list"),
        pytest.param(lambda _: torch.zeros(3), "a Tensor", id="a tensor"),
        pytest.param(lambda s: {"params": s | {"conv_hr.bias": 3}}, "dictionary with", id="a number"),
        pytest.param(lambda _: {"params": {1: torch.zeros(3)}}, "dictionary with 1", id="names are numbers"),
        pytest.param(lambda _: {"a": torch.zeros(3)}, "edvr-stf or edvr", id="another network"),
        pytest.param(lambda s: s | {"conv_first.weight": torch.tensor(1.0)}, "edvr-stf or edvr", id="scalar"),
        pytest.param(
            lambda s: {n: t for n, t in s.items() if n != "conv_hr.bias"}, "1 missing", id="missing"
        ),
        pytest.param(
            lambda s: s | {"reconstruction.7.conv1.weight": s["reconstruction.0.conv1.weight"]},
            "missing",
            id="blocks with a gap",
        ),
        pytest.param(
            lambda s: s | {"conv_hr.weight": torch.zeros(1).expand(10**5, 10**5)}, "shape", id="huge view"
        ),
        pytest.param(
            lambda s: s | {"conv_hr.bias": torch.zeros(64).to_sparse()}, "dictionary with", id="sparse"
        ),
        pytest.param(
            lambda s: s | {"conv_hr.bias": torch.zeros(64, dtype=torch.complex64)}, "complex64", id="complex"
        ),
        pytest.param(lambda s: s | {"conv_hr.bias": torch.full((64,), torch.nan)}, "NaN", id="NaN"),
    ],
)
def test_a_checkpoint_of_something_else_is_told(tmp_path, content, says):
    state = upstream_state(on_meta(edvr_stf, 4, 1, 1, 2))
    torch.save(content(state), tmp_path / "up.pth")
    with pytest.raises(ModelError, match=says):
        import_upstream(tmp_path / "up.pth", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


class Payload:
    """Runs a shell command where it is unpickled."""

    def __init__(self, command, function=os.system):
        self.command, self.function = command, function

    def __reduce__(self):
        return self.function, (self.command,)


def zipped(pickled, names=("archive/data.pkl",)):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, pickled)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return buffer.getvalue()


def tarred(pickled):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            member = tarfile.TarInfo(name)
            member.size = len(pickled)
            archive.addfile(member, io.BytesIO(pickled))
    return buffer.getvalue()


def saved_bytes(content, **settings):
    buffer = io.BytesIO()
    torch.save(content, buffer, **settings)
    return buffer.getvalue()


def opcodes(command, kind):
    """The same payload spelled in other opcodes."""
    text = command.encode()
    system = b"c" + os.system.__module__.encode() + b"\nsystem\n"
    return {
        "reduce": system + b"(V" + text + b"\ntR.",
        "instance": b"(V" + text + b"\ni" + os.system.__module__.encode() + b"\nsystem\n.",
        "object": b"(" + system + b"V" + text + b"\no.",
        "build": b"ccollections\nOrderedDict\n)R}(V__setstate__\n" + system + b"ubV" + text + b"\nb.",
        "stack global": b"\x80\x04\x8c\x05posix\x8c\x06system\x93(V" + text + b"\ntR.",
        "eval": b"c__builtin__\neval\n(V__import__('os').system('" + text + b"')\ntR.",
        "getattr": b"cbuiltins\ngetattr\n(cbuiltins\n__import__\n(Vos\ntRVsystem\ntR(V" + text + b"\ntR.",
        "torch loader": b"ctorch\nload\n(V" + text + b"\ntR.",
        "new object": b"\x80\x02csubprocess\nPopen\n(V" + text + b"\nt\x81.",
        "extension": b"\x80\x02\x82\x01(V" + text + b"\ntR.",
    }[kind]


KINDS = (
    *("reduce", "instance", "object", "build", "stack global"),
    *("eval", "getattr", "torch loader", "new object", "extension"),
)


def hostile(command):
    payload = pickle.dumps({"params": {"conv_first.weight": Payload(command)}}, protocol=2)
    files = {kind: opcodes(command, kind) for kind in KINDS}
    files |= {f"{kind} in a zip": zipped(opcodes(command, kind)) for kind in KINDS}
    return files | {
        "torch.save": saved_bytes({"params": Payload(command)}),
        "torch.save, old": saved_bytes({"params": Payload(command)}, _use_new_zipfile_serialization=False),
        "torch.save, eval": saved_bytes(Payload(f"__import__('os').system({command!r})", eval)),
        "a module": saved_bytes(torch.nn.Linear(2, 2)),
        "pickle": payload,
        "zip in a zip": zipped(zipped(payload)),
        "scripted": zipped(payload, ("archive/data.pkl", "archive/constants.pkl", "archive/code/a.py")),
        "tar": tarred(payload),
        "truncated zip": saved_bytes({"params": {"a": torch.zeros(100)}})[:-200],
        "truncated pickle": payload[:-10],
        "deep": b"\x80\x02" + b"(" * 100_000 + b".",
        "text": b"import os; os.system('" + command.encode() + b"')",
        "empty": b"",
        "html": b"<!DOCTYPE html><title>404</title>",
        "noise": bytes(range(256)) * 40,
    }


@pytest.mark.parametrize("kind", hostile("true"))
def test_a_hostile_checkpoint_runs_nothing(tmp_path, kind):
    """Every file is refused with one told error, and leaves no trace."""
    trace = tmp_path / "trace"
    (tmp_path / "evil.pth").write_bytes(hostile(f"touch {trace}")[kind])
    with pytest.raises(ModelError):
        import_upstream(tmp_path / "evil.pth", tmp_path / "out.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["evil.pth"]


@pytest.mark.parametrize("kind", ["reduce", "instance", "object", "build", "stack global", "eval", "getattr"])
def test_the_hostile_files_are_hostile(tmp_path, kind):
    """An ordinary unpickler does run them: otherwise the test above would prove nothing."""
    trace = tmp_path / "trace"
    pickle.loads(opcodes(f"touch {trace}", kind))  # noqa: S301 - our own payload
    assert trace.exists()


def test_a_missing_checkpoint_is_told(tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        import_upstream(tmp_path / "none.pth", tmp_path / "out.safetensors")


def test_every_builder_has_its_inputs():
    for variant, inputs in INPUTS.items():
        with torch.device("meta"):
            sizes = LiteSizes(encode=4, channels=4, coarse=4, blocks=1) if variant == "lite" else SMALL
            assert weights.build(variant, sizes).inputs == inputs
