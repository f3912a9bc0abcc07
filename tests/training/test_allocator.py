"""Steps don't ask the system for memory again and again."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource
import torch
from lmsaes.training.allocator import keep_freed_memory

def faults(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(size, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

size = 64 * 2**20
print(faults(size))
keep_freed_memory()
faults(size)  # alignment splits the first blocks, until one of them fits
print(faults(size))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is asked")
def test_freed_memory_is_used_again():
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    before, after = map(int, result.stdout.split())
    assert after < before / 10
