# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the program tests.

EK_BUILD names the build directory (build/release of this tree by default);
EK_MKFS, EK_DUMP, EK_FSCK, EK_TARFS name single programs. EK_SOAK=1 adds the
long tests.
EK_CORPORA=full adds the corpora that must be fetched. EK_TMP is where images
go: a disk file system, since the kernel mounts no file of a tmpfs.
"""

import os
import shutil
import subprocess
import tempfile

import pytest

from lib import edgetree, mounts, oracle
from lib.run import Tool

TESTS = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(TESTS)
BUILD = os.environ.get("EK_BUILD") or os.path.join(TOP, "build", "release")
SOAK = os.environ.get("EK_SOAK") == "1"


def pytest_configure(config):
    config.addinivalue_line("markers", "soak: long; runs with EK_SOAK=1")
    if os.geteuid() == 0:
        mounts.private_namespace()
    os.umask(0o022)


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("soak") and not SOAK:
            item.add_marker(pytest.mark.skip(reason="soak: set EK_SOAK=1"))


def _program(variable, name):
    path = os.environ.get(variable) or os.path.join(BUILD, name)
    if not os.access(path, os.X_OK):
        pytest.skip("%s is not built" % path)
    return Tool(path)


@pytest.fixture(scope="session")
def mkfs():
    return _program("EK_MKFS", "mkfs.erofs")


@pytest.fixture(scope="session")
def dump():
    return _program("EK_DUMP", "dump.erofs")


@pytest.fixture(scope="session")
def fsck():
    return _program("EK_FSCK", "fsck.erofs")


@pytest.fixture(scope="session")
def tarfs():
    return _program("EK_TARFS", "erofs-tarfs")


def _helper(name, work):
    """A C helper: as built, or compiled here when there is no build."""
    for path in (os.path.join(BUILD, "tests", "tools", name),):
        if os.access(path, os.X_OK):
            return path
    path = os.path.join(work, name)
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-o", path,
                    os.path.join(TESTS, "tools", name + ".c")], check=True)
    return path


@pytest.fixture(scope="session")
def session_dir():
    base = os.environ.get("EK_TMP") or "/var/tmp"
    path = tempfile.mkdtemp(prefix="erofskit-tests-", dir=base)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def work(session_dir):
    """A directory on disk for one test; images can be mounted from it."""
    path = tempfile.mkdtemp(prefix="t-", dir=session_dir)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def mounter(session_dir):
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    with open("/proc/filesystems") as lines:
        if not any(line.split()[-1] == "erofs" for line in lines):
            pytest.skip("this kernel has no erofs")
    return mounts.Mounter(_helper("mounter", session_dir))


@pytest.fixture(scope="session")
def intercept(session_dir):
    if os.geteuid() != 0:
        pytest.skip("permission events need root")
    return _helper("intercept", session_dir)


@pytest.fixture(scope="session")
def memory(session_dir):
    """A tmpfs of our own: fast, and takes every kind of entry."""
    if os.geteuid() != 0:
        pytest.skip("a tmpfs needs root")
    with mounts.tmpfs(os.path.join(session_dir, "memory"), "4g") as where:
        yield where


class Tree:
    """A source directory and what it must read back as."""

    def __init__(self, path):
        self.path = path
        self.records = oracle.normal(oracle.walk(path))


@pytest.fixture(scope="session")
def edges(memory):
    """The tree of edges with everything in it; nobody may change it."""
    path = os.path.join(memory, "edges")
    os.mkdir(path)
    return Tree(edgetree.build(path))


@pytest.fixture(scope="session")
def small_edges(memory):
    """The same without wide ids and uneven times: fits compact inodes."""
    path = os.path.join(memory, "small-edges")
    os.mkdir(path)
    return Tree(edgetree.build(path, small=True))


@pytest.fixture(scope="session")
def shared():
    """The directory of what this project shares with others, beside it."""
    path = os.environ.get("EK_SHARED") or os.path.join(
        os.path.dirname(TOP), "shared")
    if not os.path.isdir(os.path.join(path, "fixtures")):
        pytest.skip("no ../shared/fixtures")
    return path


@pytest.fixture(scope="session")
def fixtures_dir(session_dir, shared):
    """shared/fixtures unpacked: images/ and images2/, sources beside them."""
    source = os.path.join(shared, "fixtures")
    target = os.path.join(session_dir, "fixtures")
    for name in ("images", "images2"):
        place = os.path.join(target, name)
        os.makedirs(place)
        subprocess.run(["tar", "-xJf", os.path.join(source, name,
                                                    "images.tar.xz"),
                        "-C", place], check=True)
        for tar in ("tree.tar.xz", "upper.tar.xz"):
            packed = os.path.join(source, name, tar)
            if os.path.exists(packed):
                with open(os.path.join(place, tar[:-3]), "wb") as out:
                    subprocess.run(["xz", "-dc", packed], check=True,
                                   stdout=out)
    return target
