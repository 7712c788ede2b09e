"""The GPU's side of the deformable convolution.

Without a GPU the Triton kernel's arithmetic is tested in Triton's interpreter, where a kernel runs line
by line in NumPy, and its compilation by compiling it for GPUs that are not there.
"""

import importlib.util
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from napari_xfusion.core.networks import deform
from napari_xfusion.core.networks.deform import DeformPack, deform_conv_plain, modulated_deform_conv
from tests.core.networks.test_deform import random_case

CASES = {
    "one group, odd sides": ((1, 8, 1, 5, 7), 8, 1.0),
    "48 channels in 8 groups": ((1, 48, 8, 7, 5), 48, 3.0),
    "two frames in more than one block": ((2, 16, 2, 9, 17), 16, 2.0),
    "more channels than a step takes": ((1, 160, 2, 4, 5), 20, 1.0),
    "more outputs than a block": ((1, 16, 1, 3, 5), 130, 1.0),
    "offsets beyond the border": ((1, 8, 4, 6, 5), 8, 9.0),
    "offsets far outside": ((1, 8, 2, 4, 6), 8, 1e9),
    "a single pixel": ((1, 2, 2, 1, 1), 3, 1.0),
    "a single row": ((1, 2, 1, 1, 9), 2, 1.0),
}
"""Shape (B, C, G, h, w), output channels, reach of the offsets."""
ROUNDING = {"float32": 1e-5, "bfloat16": 1e-2, "float16": 1e-3}
"""Of the largest value; the interpreter cuts bfloat16 off instead of rounding it."""
HALF = "more channels than a step takes", "two frames in more than one block"
INTERPRETED = [(name, "float32") for name in CASES]
INTERPRETED += [(name, dtype) for name in HALF for dtype in ("bfloat16", "float16")]
"""The interpreter is slow: the other precisions, which differ in loads and stores only, run two cases."""

REST = ("fp32", 90), ("bf16", 80), ("fp16", 80), ("fp16", 90)
"""Precisions and GPUs that the kernel is compiled for in the long runs only."""

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")


def make_case(name, dtype):
    """Inputs in channels_last, the offsets and masks slices of one tensor as in the network."""
    shape, outputs, reach = CASES[name]
    generator = torch.Generator().manual_seed(len(name))
    x, offset, mask, weight, bias = random_case(generator, shape, reach, O=outputs)
    offset = offset.clamp(-6e4, 6e4)  # float16 has no more
    together = torch.cat((offset, mask), dim=1).to(dtype, memory_format=torch.channels_last)
    offset, mask = together[:, : offset.shape[1]], together[:, offset.shape[1] :]
    x, weight = (t.to(dtype, memory_format=torch.channels_last) for t in (x, weight))
    return x, offset, mask, weight, bias.to(dtype)


def exact(case):
    """By taps on the CPU, with float64 sums."""
    return deform_conv_plain(*(t.cpu().double() for t in case))


def error(got, case):
    """Largest difference from `exact`, relative to the largest value."""
    expected = exact(case)
    return float((got.cpu().double() - expected).abs().max() / expected.abs().max())


def interpret():
    """Print every case's name, dtype and error as JSON; for a process with TRITON_INTERPRET=1."""
    from napari_xfusion.core.networks.deform_triton import deform_conv_triton

    torch.set_num_threads(1)
    found = {}
    for name, dtype in INTERPRETED:
        case = make_case(name, getattr(torch, dtype))
        if dtype == "bfloat16":  # the interpreter multiplies bfloat16 matrices as if they were integers
            case = (*case[:3], case[3].float(), case[4])
        got = deform_conv_triton(*case)
        if got.dtype != case[0].dtype or not got.is_contiguous(memory_format=torch.channels_last):
            raise TypeError(got.dtype, got.stride())
        found[f"{name} {dtype}"] = error(got, case)
    print(json.dumps(found))


@pytest.fixture(scope="module")
def interpreted():
    """Errors by case and dtype, from one process: Triton reads the variable when it is imported."""
    code = "from tests.core.networks.test_deform_triton import interpret; interpret()"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=Path(__file__).parents[3],
        env=os.environ | {"TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_triton
def test_the_interpreted_kernel_is_plain_torch(interpreted):
    wrong = {
        f"{name} {dtype}": interpreted[f"{name} {dtype}"]
        for name, dtype in INTERPRETED
        if not interpreted[f"{name} {dtype}"] < ROUNDING[dtype]
    }
    assert not wrong


@needs_triton
@pytest.mark.parametrize(
    ("dtype", "capability"),
    [("fp32", 80), ("bf16", 90), *(pytest.param(*c, marks=pytest.mark.soak) for c in REST)],
)
def test_the_kernel_compiles_for_a_gpu_that_is_not_there(tmp_path, monkeypatch, dtype, capability):
    """The interpreter lets pass what the compiler does not: types, shapes, registers."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from napari_xfusion.core.networks.deform_triton import _deform_conv

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    sizes = {"OUTPUTS_IN_ALL": 128, "GROUPS": 8, "GROUP_CHANNELS": 16}
    sizes |= {"PIXELS": 128, "OUTPUTS": 128, "CHANNELS": 16}
    types = [f"*{dtype}"] * 6 + ["i32"] * 6 + ["constexpr"] * 6
    source = ASTSource(_deform_conv, dict(zip(_deform_conv.arg_names, types, strict=True)), sizes)
    options = {"num_warps": 8, "enable_fp_fusion": True}
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    assert len(compiled.asm["cubin"]) > 1000


def test_kernels_that_fail_or_are_wrong_are_left_out():
    case = deform._example(torch.device("cpu"), torch.float32, 16, 4)

    def fails(*_):
        raise KeyError("no such GPU")  # a class that nobody expects

    def ignores_masks(x, offset, mask, weight, bias):
        return deform_conv_plain(x, offset, mask.new_ones(mask.shape), weight, bias)

    def gives_nan(*tensors):
        return deform_conv_plain(*tensors) * float("nan")

    def rounds(*tensors):
        return deform_conv_plain(*(t.double() for t in tensors)).float()

    able = [kernel for kernel in (fails, ignores_masks, gives_nan, rounds) if deform._agrees(kernel, case)]
    assert able == [rounds]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_plain_torch_itself_agrees_in_every_precision(dtype):
    """So the tolerance is no narrower than a precision's own rounding."""
    case = deform._example(torch.device("cpu"), dtype, 8, 2)
    assert deform._agrees(deform_conv_plain, case)
    assert deform._seconds(deform_conv_plain, case) > 0


@pytest.mark.parametrize(("sign", "taken"), [(1, "at_once"), (-1, "deform_conv_plain")])
def test_the_quickest_is_taken_of_those_that_agree(monkeypatch, sign, taken):
    kind = torch.device("cpu"), torch.float32, 8, 2
    kept = sign * deform_conv_plain(*deform._example(*kind))

    def at_once(*_):
        return kept

    monkeypatch.setattr(deform, "_torchvision_kernel", lambda _: None)
    monkeypatch.setattr(deform, "_triton_kernel", lambda: at_once)
    assert deform._quickest.__wrapped__(*kind).__name__ == taken


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("find", ["plain torch", "torchvision", "triton", "the door"])
def test_every_implementation_on_a_gpu_is_plain_torch_on_the_cpu(find):
    kernel = {
        "plain torch": lambda: deform_conv_plain,
        "torchvision": lambda: deform._torchvision_kernel(torch.device("cuda")),
        "triton": deform._triton_kernel,
        "the door": lambda: modulated_deform_conv,
    }[find]()
    if kernel is None:
        pytest.skip(f"{find} does not load")
    for name, dtype in itertools.product(CASES, ROUNDING):
        case = [t.cuda() for t in make_case(name, getattr(torch, dtype))]
        with torch.inference_mode():
            got = kernel(*case)
        assert got.dtype == case[0].dtype
        # plain torch adds its nine taps in the input's precision
        assert error(got, case) < 4 * ROUNDING[dtype], (name, dtype)


@pytest.mark.gpu
@needs_gpu
def test_gradients_on_a_gpu_are_those_of_the_cpu(generator):
    pack = DeformPack(16, 4)
    x, motion = torch.randn(2, 2, 16, 9, 12, generator=generator).unbind()
    gradients = []
    for device in ("cpu", "cuda"):
        pack.zero_grad()
        pack.to(device)(x.to(device), motion.to(device)).square().sum().backward()
        gradients.append([p.grad.cpu().clone() for p in pack.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


@pytest.fixture
def on_gpu(stf):
    """The small golden network and its window on the GPU, as an engine holds it, warmed up."""
    network = stf.network.cuda().to(memory_format=torch.channels_last)
    lr, hr = (x.cuda() for x in stf.inputs)

    def forward():
        with torch.inference_mode():
            return network(lr, hr).image

    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        forward()
        torch.cuda.synchronize()
        yield forward


@pytest.mark.gpu
@needs_gpu
def test_the_network_on_a_gpu_is_the_network(on_gpu, stf):
    torch.testing.assert_close(on_gpu().cpu(), stf.values["out"], atol=1e-4, rtol=0)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_a_forward_never_waits_for_the_gpu(on_gpu):
    torch.cuda.set_sync_debug_mode("error")
    try:
        on_gpu()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@needs_gpu
def test_memory_on_a_gpu_does_not_grow(on_gpu):
    on_gpu()
    before = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
    for _ in range(10):
        on_gpu()
    assert (torch.cuda.memory_allocated(), torch.cuda.memory_reserved()) == before
