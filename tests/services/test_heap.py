"""One heap for all threads (glibc)."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

#: Threads that hold memory all at the same time; then how many heaps glibc has (malloc_info(3)).
CROWD = """
import ctypes, sys, threading
from offhook.services.heap import share_heap
if sys.argv[1] == "share":
    share_heap()
meet = threading.Barrier(4)
def hold():
    meet.wait()
    held = [ctypes.create_string_buffer(2000) for _ in range(100)]
    meet.wait()
    del held
threads = [threading.Thread(target=hold) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fopen(sys.argv[2].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="another C library than glibc")
@pytest.mark.parametrize(("how", "heaps"), [("share", {1}), ("apart", {2, 3, 4, 5})])
def test_all_threads_use_one_heap(tmp_path: Path, how: str, heaps: set[int]) -> None:
    told = tmp_path / "heaps.xml"
    subprocess.run([sys.executable, "-c", CROWD, how, str(told)], check=True)
    assert told.read_text().count("<heap nr=") in heaps
