# SPDX-License-Identifier: Apache-2.0
"""containerd 1.6 and nydus-snapshotter 0.13.4 run a container on our index.

The programs are Debian's, unpacked and run in place (lib/cri.py); the image
is pulled through the CRI from a registry on loopback.
"""

import io
import json
import os
import pickle
import subprocess
import tarfile

import pytest

from lib import corpora, layers, oci, oracle
from lib.content import noise

pytestmark = pytest.mark.soak
SCRIPT = os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "tools", "cri-tarfs")
PAUSE = b"#include <unistd.h>\nint main(void)\n{\n\tfor (;;)\n\t\tpause();\n}\n"
COMMANDS = {
    "marker": ["/bin/cat", "/etc/marker"],
    "gone": ["/bin/ls", "/etc/debian_version"],
    "apt": ["/bin/ls", "-A", "/usr/lib/apt"],
    "perl": ["/usr/bin/perl", "-e", "print 6*7"],
    "write": ["/bin/sh", "-c", "echo new >/etc/new && cat /etc/new"],
}


def pause_image(work):
    """A program of its own that waits, as a layer."""
    program = os.path.join(work, "pause")
    subprocess.run(["cc", "-static", "-Os", "-s", "-xc", "-", "-o", program],
                   input=PAUSE, check=True)
    with open(program, "rb") as f:
        data = f.read()
    info = tarfile.TarInfo("pause")
    info.mode, info.size = 0o755, len(data)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(info, io.BytesIO(data))
    return oci.Image([out.getvalue()], "gzip",
                     config={"config": {"Entrypoint": ["/pause"]}})


def app_image():
    """A root of Debian; whiteouts, directories alone, an opaque directory."""
    base = subprocess.run(
        ["tar", "-C", corpora.get("minbase"), "--sort=name", "--format=pax",
         "--numeric-owner", "--exclude=./dev/*", "--exclude=./usr/share/doc",
         "--exclude=./usr/share/locale", "-cf", "-", "."], check=True,
        stdout=subprocess.PIPE).stdout
    return oci.Image([
        base,
        oci.tar_of([("etc", None), ("etc/marker", b"two\n"),
                    ("etc/.wh.debian_version", b""), ("opt", None),
                    ("opt/big", noise(3 << 20))]),
        oci.tar_of([("srv", None), ("srv/empty", None)]),
        oci.tar_of([("usr", None), ("usr/lib", None), ("usr/lib/apt", None),
                    ("usr/lib/apt/.wh..wh..opq", b""),
                    ("usr/lib/apt/new", b"n"), ("etc", None),
                    ("etc/marker", b"four\n")])], "gzip")


def layout(work, images):
    blobs, manifests = {}, []
    for name, image in images.items():
        found, manifest = image.contents()
        manifest["annotations"] = {"org.opencontainers.image.ref.name": name}
        blobs.update(found)
        manifests.append(manifest)
    return oci.directory(os.path.join(work, "layout"),
                         oci.layout(blobs, manifests))


def test_a_container_runs_on_our_index(tarfs, mounter, work):
    app = app_image()
    where = layout(work, {"pause": pause_image(work), "app": app})
    commands = os.path.join(work, "commands")
    with open(commands, "w") as out:
        json.dump(COMMANDS, out)
    done = subprocess.run([SCRIPT, tarfs.path, where, commands, work + "/w"],
                          stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-8000:]
    told = json.loads(done.stdout)
    assert " 1.6." in told["containerd"]
    got = {name: (told[name]["code"], told[name]["out"]) for name in COMMANDS}
    assert got == {"marker": (0, "four\n"), "gone": (2, ""),
                   "apt": (0, "new\n"), "perl": (0, "42"),
                   "write": (0, "new\n")}
    assert "No such file" in told["gone"]["err"]
    calls = [line.split()[0] for line in told["calls"]]
    assert calls.count("create") == 5
    assert calls.count("merge") == calls.count("inspect") == 2
    assert len(told["erofs"]) == 2
    assert all(m[2].startswith("/dev/loop") for m in told["erofs"])
    unpacked = [layers.unpack(tar, os.path.join(work, "layer-%d" % i))
                for i, tar in enumerate(app.layers)]
    with layers.overlay(work, unpacked) as merged:
        want = oracle.normal(oracle.walk(merged))
    with open(os.path.join(work, "w", "tree"), "rb") as f:
        got = pickle.load(f)
    # The upper layers speak of no root: its time is when tar made it.
    for records in (want, got):
        del records[b"."]["mtime"]
    oracle.assert_same(want, got)
