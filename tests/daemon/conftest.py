# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the on-demand daemon's tests."""

import os

import pytest

from lib.daemon import Daemon
from lib.registry import Registry

BUILD = os.environ.get("EK_BUILD") or os.path.join(
    os.path.dirname(__file__), "..", "..", "build", "release")


@pytest.fixture(scope="session")
def cachefilesd():
    """The program; EK_CACHEFILESD names another one, beside its worker."""
    path = os.environ.get("EK_CACHEFILESD") or os.path.join(
        BUILD, "erofs-cachefilesd")
    if not os.access(path, os.X_OK):
        pytest.skip("%s is not built" % path)
    return os.path.abspath(path)


@pytest.fixture(scope="session")
def can_mount(cachefilesd):
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    if not os.path.exists("/dev/fuse"):
        pytest.skip("no /dev/fuse")
    with open("/proc/filesystems") as lines:
        if not any(line.split()[-1] == "erofs" for line in lines):
            pytest.skip("this kernel has no erofs")


@pytest.fixture
def origin():
    """A scripted registry."""
    with Registry() as made:
        yield made


@pytest.fixture
def daemon(cachefilesd, can_mount, work, origin):
    """A running daemon that may talk to `origin`."""
    with Daemon(cachefilesd, work, plain_http=[origin.host]) as made:
        yield made
