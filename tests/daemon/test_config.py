# SPDX-License-Identifier: Apache-2.0
"""The configuration of the daemon: what is taken, refused, and reloaded."""

import json
import os
import signal
import subprocess
import tempfile
import time

import pytest

from lib import oci
from lib.daemon import Daemon, converted


def config(cachefilesd, path):
    return subprocess.run([cachefilesd, "config", "--config", path],
                          capture_output=True, text=True, timeout=30)


def test_check(cachefilesd, work):
    path = os.path.join(work, "c.json")
    with open(path, "w") as f:
        f.write('{\n "cache": {\n  "qouta": "1G"\n }\n}\n')
    done = config(cachefilesd, path)
    assert done.returncode == 1
    assert "%s: line 3: cache.qouta: no such key" % path in done.stderr
    with open(path, "w") as f:
        f.write('{"cache": {"quota": "1G"}}')
    done = config(cachefilesd, path)
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"cache": {"quota": "1G"}}
    done = config(cachefilesd, os.path.join(work, "none.json"))
    assert done.returncode == 1 and "none.json" in done.stderr


def test_options_go_before(cachefilesd, work):
    path = os.path.join(work, "c.json")
    with open(path, "w") as f:
        f.write('{"state_dir": "/a", "run_dir": "/b"}')
    done = subprocess.run([cachefilesd, "config", "--config", path,
                           "--state-dir", "/x/y"], capture_output=True,
                          text=True, timeout=30)
    assert json.loads(done.stdout) == {"state_dir": "/x/y", "run_dir": "/b"}


def wait_for(condition, words):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, words()
        time.sleep(0.02)


def test_reload(daemon, tarfs, work, origin):
    """SIGHUP: another worker with the new values; readers see nothing."""
    data = os.urandom(1 << 20)
    out, image = converted(tarfs, work, [oci.tar_of([("a", data)])], origin)
    mnt = daemon.mount_index(out, str(image))
    first = daemon.worker
    daemon.configure(plain_http=[origin.host], quota="77M",
                     log={"format": "json"})
    os.kill(daemon.holder, signal.SIGHUP)
    daemon.wait_worker(first)
    assert daemon.status()["store"]["quota"] == 77 << 20
    with open(mnt + "/a", "rb") as f:
        assert f.read() == data
    with open(daemon.config_path, "w") as f:
        f.write('{"chache": {}}')
    second = daemon.worker
    os.kill(daemon.holder, signal.SIGHUP)
    wait_for(lambda: "chache" in daemon.log(), daemon.log)
    assert daemon.worker == second
    assert daemon.status()["store"]["quota"] == 77 << 20
    daemon.umount(mnt)


def test_reload_of_what_no_worker_takes(daemon, tarfs, work, origin):
    """JSON that is right, of values that are not: nothing changes, and a
    successor comes up with what there was."""
    out, image = converted(tarfs, work, [oci.tar_of([("a", b"a")])], origin)
    secret = os.path.join(work, "ca.pem")
    os.close(os.open(secret, os.O_CREAT, 0o600))
    mnt = daemon.mount_index(out, str(image))
    first = daemon.worker
    refused = (({"mirrors": ["x"]}, "mirror 1"),
               ({"mirrors": ["http://a/"]}, "plain HTTP"),
               ({"ca_file": secret}, "roots " + secret))
    for i, (changes, words) in enumerate(refused):
        daemon.configure(plain_http=[origin.host], **changes)
        os.kill(daemon.holder, signal.SIGHUP)
        wait_for(lambda: daemon.log().count("event=reload failed=yes") > i,
                 daemon.log)
        assert words in daemon.log()
        assert daemon.worker == first
    daemon.kill_worker()
    daemon.wait_worker(first)
    with open(mnt + "/a", "rb") as f:
        assert f.read() == b"a"
    daemon.umount(mnt)


def test_no_readahead(cachefilesd, can_mount, tarfs, work, origin):
    """0 is none, not the default."""
    data = os.urandom(4 << 20)
    out, image = converted(tarfs, work, [oci.tar_of([("a", data)])], origin)
    with Daemon(cachefilesd, work, plain_http=[origin.host],
                readahead_size=0) as daemon:
        with daemon.index(out, str(image)) as mnt:
            with open(mnt + "/a", "rb") as f:
                assert f.read() == data
            assert daemon.image(mnt)["ahead_bytes"] == 0


def test_reload_elsewhere(daemon, work, origin):
    """The directories of a service stay what they are while it runs."""
    first = daemon.worker
    daemon.configure(plain_http=[origin.host], quota="77M",
                     state_dir=os.path.join(work, "none"))
    os.kill(daemon.holder, signal.SIGHUP)
    daemon.wait_worker(first)
    assert daemon.status()["store"]["quota"] == 77 << 20


def test_log_as_json(cachefilesd, can_mount, work):
    with Daemon(cachefilesd, work, log={"format": "json", "level": "debug"}) \
            as daemon:
        pass
    lines = [json.loads(line) for line in daemon.log().splitlines()]
    assert {line["from"] for line in lines} == {"holder", "worker"}
    assert all(line["level"] and line["time"] for line in lines)


def fails(cachefilesd, work, words, **changes):
    daemon = Daemon(cachefilesd, work, **changes)
    try:
        with pytest.raises(AssertionError) as error:
            daemon.start()
    finally:
        daemon.end()
    assert words in str(error.value)


def test_no_place_for_the_cache(cachefilesd, can_mount, work, memory):
    """A file system that the kernel mounts no file of, or cannot reach."""
    shut = os.path.join(work, "shut")
    os.mkdir(shut, 0o700)
    fails(cachefilesd, work, "chmod o+x", state_dir=shut + "/state")
    with tempfile.TemporaryDirectory(dir=memory) as there:
        os.chmod(there, 0o755)
        fails(cachefilesd, work, "must be on a disk", state_dir=there + "/s")


def test_store_in_use(cachefilesd, can_mount, daemon):
    """One daemon a state directory; the word says who has it."""
    other = os.path.join(daemon.work, "other")
    os.mkdir(other)
    fails(cachefilesd, other, "another process", state_dir=daemon.state)
