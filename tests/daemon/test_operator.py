# SPDX-License-Identifier: Apache-2.0
"""What an operator is told when the host or the registry is not as it should
be: why, in the log or by the verb, without any secret."""

import base64
import errno
import json
import os
import resource
import subprocess

import pytest

from lib import faults, oci
from lib.daemon import Daemon, converted
from lib.registry import Auth, Registry

SECRET = "s3cr3t-of-ours"
FILES = 8


@pytest.fixture
def out(tarfs, work, origin):
    """(OUT, image) of some files."""
    tar = oci.tar_of([("f%d" % i, os.urandom(100000)) for i in range(FILES)])
    return converted(tarfs, work, [tar], origin)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def failed_reads(log):
    return [line for line in log.splitlines() if "event=read-failed" in line]


def said(daemon):
    """All that it says anywhere."""
    return daemon.log() + "".join(
        daemon.run(*words).stdout for words in (
            ["status"], ["status", "--json"], ["images", "--json"],
            ["blobs", "--json"], ["waits", "--json"]))


def test_why_reads_fail(daemon, out, origin):
    """The reader sees EIO; the log says why, once for many."""
    target = daemon.mount_index(out[0], str(out[1]))
    origin.fault(faults.Status(404))
    for i in range(FILES):
        with pytest.raises(OSError) as why:
            read(os.path.join(target, "f%d" % i))
        assert why.value.errno == errno.EIO
    told = failed_reads(daemon.log())
    assert told and "404" in told[0] and origin.host in told[0]
    assert "pid=" in told[0] and len(told) < FILES
    origin.heal()
    assert len(read(os.path.join(target, "f0"))) == 100000


@pytest.mark.parametrize("how", ["proxy", "redirect", "realm", "login"])
def test_no_secret_is_told(cachefilesd, can_mount, tarfs, work, how):
    """Passwords and signed places that led to nothing are in no line."""
    options, auth = {}, None
    if how == "proxy":
        options["proxy"] = "http://user:%s@127.0.0.1:1" % SECRET
    if how == "login":
        auth = Auth(user="user", password="another")
    with Registry(auth=auth) as registry:
        tar = oci.tar_of([("f", os.urandom(100000))])
        index, image = converted(tarfs, work, [tar], registry)
        if how == "login":
            options["docker_config"] = os.path.join(work, "login.json")
            both = base64.b64encode(("user:" + SECRET).encode()).decode()
            with open(options["docker_config"], "w") as file:
                json.dump({"auths": {registry.host: {"auth": both}}}, file)
        if how == "redirect":
            registry.fault(faults.Redirect(
                to="http://127.0.0.1:1/x?Signature=" + SECRET))
        if how == "realm":
            registry.fault(faults.Status(401, {
                "WWW-Authenticate":
                'Bearer realm="http://127.0.0.1:1/t?k=%s"' % SECRET}))
        with Daemon(cachefilesd, work, tries=1, log={"level": "debug"},
                    plain_http=[registry.host, "127.0.0.1:1"],
                    **options) as daemon:
            target = daemon.mount_index(index, str(image))
            with pytest.raises(OSError):
                read(os.path.join(target, "f"))
            assert failed_reads(daemon.log())
            assert SECRET not in said(daemon)


def test_umount_of_what_is_used(daemon, out):
    target = daemon.mount_index(out[0], str(out[1]))
    with open(os.path.join(target, "f0"), "rb"):
        done = daemon.run("umount", target)
        assert done.returncode == 1 and "--lazy detaches" in done.stderr
    assert len(read(os.path.join(target, "f1"))) == 100000


def run_with(cachefilesd, work, script, files=None):
    """The service in a mount namespace after `script`; its end."""
    config = os.path.join(work, "c.json")
    with open(config, "w") as file:
        json.dump({"state_dir": os.path.join(work, "state"),
                   "run_dir": os.path.join(work, "run")}, file)

    def limit():
        if files:
            resource.setrlimit(resource.RLIMIT_NOFILE, files)
    return subprocess.run(
        ["unshare", "--mount", "sh", "-ec", script +
         '\nexec "$0" run --config "$1"', cachefilesd, config],
        capture_output=True, text=True, timeout=60, preexec_fn=limit)


@pytest.mark.parametrize("script, says", [
    ("mount -t tmpfs none /dev; mknod /dev/null c 1 3",
     "/dev/fuse: is the fuse module loaded?"),
    ("mount --bind /dev/null /dev/fuse", "/dev/fuse is something else"),
    ("mount -t tmpfs none /dev", "/dev/null: No such file"),
    ('mkdir -p state; mount -t tmpfs -o ro none state',
     "/state/images: Read-only file system"),
])
def test_hosts_that_will_not_do(cachefilesd, can_mount, work, script, says):
    done = run_with(cachefilesd, work, "cd '%s'\n%s" % (work, script))
    assert done.returncode == 1 and says in done.stderr, done


def test_few_open_files(cachefilesd, can_mount, work, out, origin):
    """A low limit of the shell is lifted; one that cannot be is named."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most != resource.RLIM_INFINITY and most < 1024:
        pytest.skip("has few itself")
    script = os.path.join(work, "few")
    with open(script, "w") as file:
        file.write("#!/bin/sh\nulimit -S -n 64\nexec '%s' \"$@\"\n" %
                   cachefilesd)
    os.chmod(script, 0o755)
    with Daemon(script, work, plain_http=[origin.host]) as daemon:
        daemon.program = cachefilesd
        target = daemon.mount_index(out[0], str(out[1]))
        assert len(read(os.path.join(target, "f0"))) == 100000
    no_rights = ["setpriv", "--bounding-set=-sys_resource",
                 "--inh-caps=-sys_resource", "sh", "-c",
                 'ulimit -n 64; exec "$0" run --config "$1"']
    done = subprocess.run([*no_rights, cachefilesd, daemon.config_path],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "ulimit -n" in done.stderr, done
