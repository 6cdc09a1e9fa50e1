# SPDX-License-Identifier: Apache-2.0
"""The holder's program and the worker's: who finds and starts which."""

import os
import shutil
import subprocess

import pytest

from lib import oci
from lib.daemon import Daemon, converted

WORKER = "erofs-cachefilesd-worker"


@pytest.fixture
def copied(cachefilesd, work):
    """A directory with both programs; the path of the first."""
    there = os.path.join(work, "programs")
    os.mkdir(there)
    for name in (cachefilesd, os.path.join(os.path.dirname(cachefilesd),
                                           WORKER)):
        shutil.copy(name, there)
    return os.path.join(there, os.path.basename(cachefilesd))


def replace(program, by):
    """Its worker's program, as an installer does it."""
    to = os.path.join(os.path.dirname(program), WORKER)
    shutil.copy(by, to + ".new")
    os.rename(to + ".new", to)


def exe(pid):
    return os.readlink("/proc/%d/exe" % pid)


def libraries(pid):
    with open("/proc/%d/maps" % pid) as maps:
        return {os.path.basename(line.split()[5]).split(".so")[0]
                for line in maps if ".so" in line}


def rss(pid):
    with open("/proc/%d/smaps_rollup" % pid) as lines:
        return next(int(line.split()[1]) for line in lines
                    if line.startswith("Rss:"))


def test_holder_is_small(daemon, tarfs, work, origin):
    data = os.urandom(1 << 20)
    out, image = converted(tarfs, work, [oci.tar_of([("a", data)])], origin)
    with daemon.index(out, str(image)) as mnt:
        with open(mnt + "/a", "rb") as f:
            assert f.read() == data
        held, works = libraries(daemon.holder), libraries(daemon.worker)
        assert {"libc", "libjson-c"} <= held
        assert {"libcurl", "libcrypto", "libseccomp", "libzstd"} <= works
        for name in ("curl", "crypto", "ssl", "seccomp", "zstd", "lzma",
                     "lz4", "deflate", "z"):
            assert "lib" + name not in held
        if "libasan" not in held and "libtsan" not in held:
            assert rss(daemon.holder) <= 4096  # KiB


def test_worker_of_its_own_version(copied, can_mount, tarfs, work, origin):
    """What is installed meanwhile is started by the next holder alone."""
    new = shutil.copy(os.path.join(os.path.dirname(copied), WORKER),
                      os.path.join(work, "new"))
    data = os.urandom(2 << 20)
    out, image = converted(tarfs, work, [oci.tar_of([("a", data)])], origin)
    with Daemon(copied, work, plain_http=[origin.host]) as daemon:
        mnt = daemon.mount_index(out, str(image))
        replace(copied, "/bin/false")
        for _ in range(2):
            worker = daemon.kill_worker()
            daemon.wait_worker(worker)
            assert exe(daemon.worker).endswith("/" + WORKER + " (deleted)")
        replace(copied, new)
        worker, holder = daemon.worker, daemon.holder
        daemon.start("--upgrade")
        daemon.wait_worker(worker)
        assert daemon.holder != holder
        assert exe(daemon.worker) == os.path.join(os.path.dirname(copied),
                                                  WORKER)
        with open(mnt + "/a", "rb") as f:
            assert f.read() == data


def test_no_worker_program(copied, daemon, work):
    """It is told before a daemon that runs is asked for anything."""
    there = os.path.join(os.path.dirname(copied), WORKER)
    os.unlink(there)
    os.mkdir(there)
    worker, holder = daemon.worker, daemon.holder
    for words in (["run", "--upgrade", "--config", daemon.config_path],
                  ["config"]):
        done = subprocess.run([copied, *words], capture_output=True,
                              text=True, timeout=60)
        assert done.returncode == 1
        assert "%s: not a program" % there in done.stderr
    assert (daemon.worker, daemon.holder) == (worker, holder)
    assert daemon.process.poll() is None
    os.rmdir(there)
    done = subprocess.run([copied, "config"], capture_output=True, text=True,
                          timeout=60)
    # Unless one is installed where this build is to be.
    assert done.returncode == 0 or \
        "the worker's program is neither" in done.stderr


def test_worker_is_not_for_users(cachefilesd):
    program = os.path.join(os.path.dirname(cachefilesd), WORKER)
    for words, status in ((["work"], 1), (["status"], 16), ([], 16),
                          (["credentials"], 16)):
        done = subprocess.run([program, *words], capture_output=True,
                              text=True, timeout=60)
        assert done.returncode == status, done
    assert "use erofs-cachefilesd" in subprocess.run(
        [program, "work"], capture_output=True, text=True).stderr
