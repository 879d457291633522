"""What is set once for a process that moves many short-lived buffers."""

from __future__ import annotations

import gc

KEEP = 32 * 2**20
MOST_FILES = 65536
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # <malloc.h>


def keep_heap() -> bool:
    """Tell glibc to keep what is freed for the next batch; whether it took the advice.

    By default it gives the top of the heap back after nearly every batch and takes it again for the next, page
    fault by page fault: 15 % of the CPU of JSON to a file, measured in pairs.
    """
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl and macOS have none
        return False
    return bool(mallopt(M_TRIM_THRESHOLD, KEEP) and mallopt(M_MMAP_THRESHOLD, KEEP))


def allow_files() -> None:
    """As many open files as the hard limit allows, up to 65536: the soft one is often 1024, for programs that use select(2)."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def freeze() -> None:
    """What is there after the start stays for ever: the collector need not look at it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
