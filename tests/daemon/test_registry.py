# SPDX-License-Identifier: Apache-2.0
"""Debian's docker-registry, with a password, filled by skopeo."""

import base64
import crypt
import json
import os
import shutil
import socket
import subprocess
import time

import pytest

from lib import oci
from lib.daemon import Daemon

USER, PASSWORD = "somebody", "a pass:word"
DATA = os.urandom(4 << 20)


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


@pytest.fixture
def registry(work):
    """host:port of a registry that asks for a password."""
    for tool in ("docker-registry", "skopeo"):
        if not shutil.which(tool):
            pytest.skip("no " + tool)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    users = os.path.join(work, "htpasswd")
    with open(users, "w") as f:
        f.write("%s:%s\n" % (USER, crypt.crypt(
            PASSWORD, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))))
    config = os.path.join(work, "registry.yml")
    with open(config, "w") as f:
        json.dump({"version": 0.1, "log": {"level": "error"},
                   "storage": {"filesystem": {"rootdirectory":
                                              work + "/registry"}},
                   "auth": {"htpasswd": {"realm": "r", "path": users}},
                   "http": {"addr": "127.0.0.1:%d" % port}}, f)
    with open(work + "/registry.log", "w") as log:
        process = subprocess.Popen(["docker-registry", "serve", config],
                                   stdout=log, stderr=log)
    end = time.monotonic() + 30
    while not answers(port):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.05)
    yield "127.0.0.1:%d" % port
    process.kill()
    process.wait()


@pytest.fixture
def out(tarfs, work, registry):
    """Of an image that was pushed, OUT without its layers."""
    tar = oci.tar_of([("a", DATA), ("etc", None), ("etc/x", b"x")])
    layout = oci.directory(work + "/layout", oci.oci(oci.Image([tar]), "x"))
    subprocess.run(["skopeo", "copy", "-q", "--preserve-digests",
                    "--dest-tls-verify=false", "--dest-creds",
                    USER + ":" + PASSWORD, "oci:" + layout + ":x",
                    "docker://%s/app:1" % registry], check=True)
    path = os.path.join(work, "out")
    tarfs.ok("convert", layout, "-o", path, "--leaf-digests", "-q")
    shutil.rmtree(layout)
    return path


def docker_config(work, registry, password):
    path = os.path.join(work, "config.json")
    with open(path, "w") as f:
        secret = base64.b64encode(("%s:%s" % (USER, password)).encode())
        json.dump({"auths": {registry: {"auth": secret.decode()}}}, f)
    os.chmod(path, 0o600)
    return path


def test_with_password(cachefilesd, can_mount, work, registry, out):
    path = docker_config(work, registry, PASSWORD)
    with Daemon(cachefilesd, work, plain_http=[registry],
                docker_config=path, log={"level": "debug"}) as daemon:
        with daemon.index(out, registry + "/app:1") as mnt:
            with open(mnt + "/etc/x", "rb") as f:
                assert f.read() == b"x"
            fetched = daemon.image(mnt)["fetched_bytes"]
            assert 0 < fetched < len(DATA)
            with open(mnt + "/a", "rb") as f:
                assert f.read() == DATA
        log = daemon.log()
    secret = base64.b64encode(("%s:%s" % (USER, PASSWORD)).encode()).decode()
    assert PASSWORD not in log and secret not in log


def test_wrong_password(cachefilesd, can_mount, work, registry, out):
    """Readers get an error, and the word is in the status."""
    path = docker_config(work, registry, "wrong")
    with Daemon(cachefilesd, work, plain_http=[registry],
                docker_config=path) as daemon:
        mnt = daemon.mount_index(out, registry + "/app:1")
        with pytest.raises(OSError):
            with open(mnt + "/a", "rb") as f:
                f.read()
        assert "401" in daemon.image(mnt)["last_error"] or \
            "password" in daemon.image(mnt)["last_error"]
        assert "wrong" not in daemon.log()
        daemon.umount(mnt)
