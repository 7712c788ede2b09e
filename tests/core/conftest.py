"""What several rooms of the core need in their tests."""

import pytest


@pytest.fixture
def one_thread():
    """Torch on one thread of the processor."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
