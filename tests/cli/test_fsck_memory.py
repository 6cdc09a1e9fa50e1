# SPDX-License-Identifier: Apache-2.0
"""Allocations that fail: the k-th, for all k until a run has none.

In CI a spread of k; all of them with EK_SOAK=1. The program must say so and
leave in order: no crash, no success, nothing half-written.
"""

import os
import shutil
import subprocess

import pytest

from lib import defects
from lib.run import environment

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SOAK = os.environ.get("EK_SOAK") == "1"
TRIES = 60


@pytest.fixture(scope="module")
def shim(session_dir):
    path = os.path.join(session_dir, "failalloc.so")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o",
                    path, os.path.join(TESTS, "tools", "failalloc.c")],
                   check=True)
    return path


@pytest.fixture(scope="module")
def small(mkfs, session_dir):
    where = os.path.join(session_dir, "memory-small")
    tree = os.path.join(where, "tree")
    os.makedirs(tree)
    defects.tree(tree)
    image = os.path.join(where, "small.img")
    mkfs.ok("--quiet", "-zlz4", "-T0", image, tree)
    return image, tree


def run(shim, argv, **fail):
    env = environment({"LD_PRELOAD": shim, **fail})
    done = subprocess.run(argv, env=env, capture_output=True, timeout=60,
                          stdin=subprocess.DEVNULL)
    assert done.returncode >= 0, (fail, done.returncode, done.stderr)
    return done


def every_failure(shim, work, argv, after):
    count = os.path.join(work, "count")
    done = run(shim, argv, EK_FAIL_COUNT=count)
    assert done.returncode == 0, done.stderr
    after(True)
    with open(count, encoding="ascii") as f:
        total = int(f.read())
    assert total > 20
    step = 1 if SOAK else max(1, total // TRIES)
    survived = 0
    for k in range(1, total + 1, step):
        done = run(shim, argv, EK_FAIL_AT=str(k))
        # Some can be done without: a cache page, a buffer of stdio.
        survived += done.returncode == 0
        assert done.returncode == 0 or done.stderr or done.stdout, k
        after(done.returncode == 0)
    print("%d allocations, %d tried, %d done without" % (
        total, len(range(1, total + 1, step)), survived))
    done = run(shim, argv, EK_FAIL_AT=str(total // 2), EK_FAIL_ALL="1")
    assert done.returncode != 0
    after(False)


def sanitized(tool):
    with open(tool.path, "rb") as f:
        return b"__asan_init" in f.read()


def test_check(fsck, shim, small, work):
    if sanitized(fsck):
        pytest.skip("sanitizers have an allocator of their own")
    every_failure(shim, work, [fsck.path, "--workers=2", small[0]],
                  lambda ok: None)


def test_extraction(fsck, shim, small, work):
    if sanitized(fsck):
        pytest.skip("sanitizers have an allocator of their own")
    out = os.path.join(work, "out")

    def after(ok):
        # A file that is there is whole, whatever else failed.
        big = os.path.join(out, "big")
        assert not ok or os.path.getsize(big) == 300000
        if os.path.exists(big):
            assert os.path.getsize(big) == 300000
        shutil.rmtree(out, ignore_errors=True)

    every_failure(shim, work, [fsck.path, "--workers=2", "--extract=" + out,
                               small[0]], after)


def test_build(mkfs, shim, small, work):
    if sanitized(mkfs):
        pytest.skip("sanitizers have an allocator of their own")
    image = os.path.join(work, "new.img")

    def after(ok):
        assert os.path.exists(image) == ok
        assert set(os.listdir(work)) <= {"count", "new.img"}
        if ok:
            os.unlink(image)

    every_failure(shim, work, [mkfs.path, "--workers=2", "-zlz4", image,
                               small[1]], after)
