"""Memory that the C library retains."""

import subprocess
import sys

import pytest

TWICE = """
import resource, numpy
from napari_xfusion.core.allocator import keep_freed_memory
kept = keep_freed_memory()
numpy.ones(1 << 24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
numpy.ones(1 << 24)
print(int(kept), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of the GNU C library")
def test_a_freed_buffer_is_used_again_without_new_pages():
    words = subprocess.check_output([sys.executable, "-c", TWICE], text=True)
    kept, faults = map(int, words.split())
    if not kept:
        pytest.skip("another C library")
    assert faults < 20  # of 32768 pages, or 64 huge ones
