# SPDX-License-Identifier: Apache-2.0
"""Images that only some may read: docker's configuration, and its helpers."""

import base64
import errno
import json
import os
import random

import pytest

from lib import oci
from lib.daemon import Daemon, converted
from lib.registry import Auth, Registry

SECRET = "pa:ss-of-a-test"


def numbers(seed):
    return random.Random(seed).randbytes(200000)


@pytest.fixture
def private():
    with Registry(auth=Auth("bearer", "us", SECRET)) as made:
        yield made


def write(path, value):
    with open(path, "w") as f:
        f.write(value if isinstance(value, str) else json.dumps(value))


def auths(host, password=SECRET):
    code = base64.b64encode(("us:" + password).encode()).decode()
    return {"auths": {host: {"auth": code}}}


def images(tarfs, work, registry, count):
    made = []
    for i in range(count):
        tar = oci.tar_of([("f", numbers(i))])
        made.append(converted(tarfs, work, [tar], registry, "r%d" % i))
    return made


def read(mnt):
    with open(os.path.join(mnt, "f"), "rb") as f:
        return f.read()


def nowhere(daemon):
    """The secret is in no log, no file and no command line of the daemon."""
    codes = [SECRET.encode(), base64.b64encode(("us:" + SECRET).encode()),
             b"secret."]
    texts = [daemon.log().encode()]
    for top in (daemon.state, daemon.run_dir):
        for where, _, names in os.walk(top):
            for name in names:
                path = os.path.join(where, name)
                if os.path.isfile(path) and os.path.getsize(path) < 1 << 20:
                    with open(path, "rb") as f:
                        texts.append(f.read())
    for pid in (daemon.holder, daemon.worker):
        for name in ("cmdline", "environ"):
            with open("/proc/%d/%s" % (pid, name), "rb") as f:
                texts.append(f.read())
    for text in texts:
        for code in codes:
            assert code not in text


def test_docker_config(cachefilesd, can_mount, tarfs, work, private):
    path = os.path.join(work, "config.json")
    write(path, auths(private.host))
    os.chmod(path, 0o600)
    (one, first), (two, second) = images(tarfs, work, private, 2)
    with Daemon(cachefilesd, work, plain_http=[private.host],
                docker_config=path) as daemon:
        mnt = daemon.mount_index(one, str(first))
        assert read(mnt) == numbers(0)
        # A password that changed on both sides is read anew.
        private.auth.password = SECRET + "2"
        private.auth.expire()
        write(path, auths(private.host, SECRET + "2"))
        mnt = daemon.mount_index(two, str(second))
        assert read(mnt) == numbers(1)
        nowhere(daemon)


def test_a_helper(cachefilesd, can_mount, tarfs, work, private):
    tools = os.path.join(work, "tools")
    os.mkdir(tools)
    helper = os.path.join(tools, "docker-credential-test")
    write(helper, "#!/bin/sh\nread host\ntest \"$1 $host\" = \"get %s\" && "
          "echo '{\"Username\":\"us\",\"Secret\":\"%s\"}'\n" %
          (private.host, SECRET))
    os.chmod(helper, 0o700)
    path = os.path.join(work, "config.json")
    write(path, {"credHelpers": {private.host: "test"}})
    (out, image), = images(tarfs, work, private, 1)
    with Daemon(cachefilesd, work, plain_http=[private.host],
                docker_config=path,
                environment={"PATH": tools + ":" + os.environ["PATH"]}) as d:
        mnt = d.mount_index(out, str(image))
        assert read(mnt) == numbers(0)
        nowhere(d)


@pytest.mark.parametrize("config", [
    None, "{", {}, {"credsStore": "missing-for-certain"},
    {"auths": {"elsewhere.test": {"auth": "dTpw"}}},
], ids=["no file", "no JSON", "empty", "no helper", "another host"])
def test_without_credentials(cachefilesd, can_mount, tarfs, work, private,
                             config):
    path = os.path.join(work, "config.json")
    if config is not None:
        write(path, config)
    (out, image), = images(tarfs, work, private, 1)
    with Daemon(cachefilesd, work, plain_http=[private.host],
                docker_config=path) as daemon:
        mnt = daemon.mount_index(out, str(image))
        with pytest.raises(OSError) as caught:
            read(mnt)
        assert caught.value.errno == errno.EIO
        # As soon as somebody has logged in, all is well.
        write(path, auths(private.host))
        assert read(mnt) == numbers(0)
        nowhere(daemon)


def test_long_passwords(cachefilesd, can_mount, tarfs, work, private):
    path = os.path.join(work, "config.json")
    private.auth.password = "p" * 4000
    write(path, auths(private.host, private.auth.password))
    (one, first), (two, second) = images(tarfs, work, private, 2)
    with Daemon(cachefilesd, work, plain_http=[private.host],
                docker_config=path) as daemon:
        assert read(daemon.mount_index(one, str(first))) == numbers(0)
        private.auth.password = "p" * 4200
        private.auth.expire()
        write(path, auths(private.host, private.auth.password))
        mnt = daemon.mount_index(two, str(second))
        with pytest.raises(OSError) as caught:
            read(mnt)
        assert caught.value.errno == errno.EIO
        assert "over 4 KiB" in daemon.log()
        assert "p" * 100 not in daemon.log()
