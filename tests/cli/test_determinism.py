# SPDX-License-Identifier: Apache-2.0
"""Same tree, options and codecs: same bytes, wherever and whenever built."""

import hashlib
import os
import shutil
import subprocess

import pytest

from lib import edgetree, mounts

OPTIONS = [[], ["-zlz4", "-C65536"], ["-zlz4hc,9"], ["-b512", "-zlz4"]]


def ident(options):
    return "".join(options) or "plain"


def digest(mkfs, work, source, *options, **kwargs):
    image = os.path.join(work, "out.img")
    mkfs.ok("--quiet", *options, image, source, **kwargs)
    with open(image, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


@pytest.fixture(scope="module")
def tree(memory):
    """Half of the edges: all that every file system can hold."""
    path = os.path.join(memory, "portable")
    os.mkdir(path)
    return edgetree.build(path, profile="portable")


@pytest.fixture(scope="module")
def want(mkfs, session_dir, tree):
    """The digest for each list of options."""
    return {ident(o): digest(mkfs, session_dir, tree, *o) for o in OPTIONS}


@pytest.mark.parametrize("options", OPTIONS, ids=ident)
@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_workers(mkfs, work, tree, want, options, workers):
    got = digest(mkfs, work, tree, "--workers=%d" % workers, *options)
    assert got == want[ident(options)]


@pytest.mark.parametrize("options", OPTIONS, ids=ident)
def test_order_of_creation(mkfs, memory, work, want, options):
    path = os.path.join(memory, "backwards")
    if not os.path.isdir(path):
        os.mkdir(path)
        edgetree.build(path, profile="portable", backwards=True)
    assert digest(mkfs, work, path, *options) == want[ident(options)]


@pytest.mark.parametrize("options", OPTIONS, ids=ident)
def test_zeros_for_holes(mkfs, memory, work, want, options):
    path = os.path.join(memory, "zeros")
    if not os.path.isdir(path):
        os.mkdir(path)
        edgetree.build(path, profile="portable", zeros=True)
    assert digest(mkfs, work, path, *options) == want[ident(options)]


@pytest.fixture(scope="module")
def on_ext4(session_dir):
    with mounts.ext4(os.path.join(session_dir, "ext4.img"),
                     os.path.join(session_dir, "ext4"), 192 << 20) as where:
        path = os.path.join(where, "tree")
        os.mkdir(path)
        yield edgetree.build(path, profile="portable", backwards=True)


@pytest.mark.parametrize("options", OPTIONS, ids=ident)
def test_another_file_system(mkfs, work, on_ext4, want, options):
    assert digest(mkfs, work, on_ext4, *options) == want[ident(options)]


@pytest.mark.parametrize("env", [
    {"LC_ALL": "C"}, {"LC_ALL": "tr_TR.UTF-8"}, {"LC_ALL": "C.UTF-8"},
    {"TZ": "Pacific/Kiritimati"}, {"TZ": "America/New_York"},
    {"LC_ALL": None, "TZ": None, "HOME": None}, {"TMPDIR": "/nonexistent"},
    {"POSIXLY_CORRECT": "1"}], ids=str)
def test_environment(mkfs, work, tree, want, env):
    assert digest(mkfs, work, tree, "-zlz4hc,9", env=env) == want["-zlz4hc,9"]


@pytest.mark.parametrize("umask", [0, 0o077, 0o777])
def test_umask(mkfs, work, tree, want, umask):
    assert digest(mkfs, work, tree, umask=umask) == want["plain"]


def test_another_working_directory(mkfs, work, tree, want):
    assert digest(mkfs, work, os.path.basename(tree),
                  cwd=os.path.dirname(tree)) == want["plain"]


def test_access_time_and_day(mkfs, work, tree, want):
    """Reading a source, or building it later, is no change."""
    subprocess.run(["touch", "-a", os.path.join(tree, "sizes/t4096")],
                   check=True)
    assert digest(mkfs, work, tree) == want["plain"]


def test_the_target_does_not_matter(mkfs, work, tree, want):
    """Neither its name nor what was there before."""
    image = os.path.join(work, "another-name")
    with open(image, "wb") as out:
        out.write(b"\xff" * (50 << 20))
    mkfs.ok("--quiet", image, tree)
    with open(image, "rb") as f:
        assert hashlib.sha256(f.read()).hexdigest() == want["plain"]


def test_no_sync_does_not_matter(mkfs, work, tree, want):
    assert digest(mkfs, work, tree, "--no-sync") == want["plain"]


def test_copied_by_tar(mkfs, work, memory, tree, want):
    """A tree that went through an archive is the same tree."""
    path = os.path.join(memory, "untarred")
    os.mkdir(path)
    tar = os.path.join(memory, "tree.tar")
    subprocess.run(["tar", "--xattrs", "--xattrs-include=*", "--acls",
                    "--format=posix", "--sparse", "-cf", tar, "-C", tree,
                    "."], check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["tar", "--xattrs", "--xattrs-include=*", "--acls",
                    "--same-owner", "-xpf", tar, "-C", path], check=True,
                   stderr=subprocess.DEVNULL)
    # tar keeps no sockets and drops empty xattr values: put them back.
    socket = os.path.join(path, "nodes/socket")
    if not os.path.exists(socket):
        shutil.copystat(os.path.join(tree, "nodes/fifo"),
                        _node(socket), follow_symlinks=False)
        os.chmod(socket, 0o777)
    os.setxattr(os.path.join(path, "xattrs/empty"), "user.empty", b"")
    for name in ("nodes/socket", "nodes", "xattrs/empty", "."):
        st = os.stat(os.path.join(tree, name))
        os.utime(os.path.join(path, name), ns=(st.st_mtime_ns,) * 2)
    assert digest(mkfs, work, path) == want["plain"]


def _node(path):
    os.mknod(path, 0o140777)
    return path
