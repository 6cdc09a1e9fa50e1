# SPDX-License-Identifier: Apache-2.0
"""Images of Debian's files, made by the programs that make images.

Each is converted and mounted, and the mount is compared with the overlay of
the layers as GNU tar unpacks them.
"""

import json
import os
import shutil
import subprocess

import pytest

from lib import corpora, layers, oci, oracle

BIG = [pytest.param(name, marks=pytest.mark.soak)
       for name in ("minbase", "node", "python", "wordpress")]
TAR = ("tar", "--sort=name", "--format=pax", "--numeric-owner", "--xattrs",
       "--pax-option=delete=atime,delete=ctime")


def need(program):
    if not shutil.which(program):
        pytest.skip("no %s" % program)


def tarred(root, *names):
    return subprocess.run([*TAR, "-C", root, "-cf", "-", *names], check=True,
                          stdout=subprocess.PIPE).stdout


def change(root):
    """A layer over root: files gone, one a directory, one directory anew."""
    files, full = [], []
    for where, dirs, names in os.walk(root):
        dirs.sort()
        inside = os.path.relpath(where, root)
        plain = sorted(n for n in names
                       if os.path.isfile(os.path.join(where, n))
                       and not os.path.islink(os.path.join(where, n)))
        files += [os.path.normpath(os.path.join(inside, n)) for n in plain]
        if inside != "." and len(plain) > 3:
            full.append(inside)
    opaque = full[len(full) // 2] + "/"
    files = [f for f in files if not f.startswith(opaque)]
    gone, becomes, new = files[5::41], files[1], files[2::97]
    members, known = [], set()

    def add(path, data):
        head = os.path.dirname(path)
        if head and head not in known:
            add(head, None)
        known.add(path)
        members.append((path, data))

    for path in gone:
        add(os.path.join(os.path.dirname(path),
                         ".wh." + os.path.basename(path)), b"")
    add(becomes + "/inside", b"a directory now\n")
    for path in set(new) - set(gone) - {becomes}:
        add(path, b"changed: " + os.fsencode(path))
    add(opaque + ".wh..wh..opq", b"")
    add(opaque + "alone", b"alone\n")
    return oci.tar_of([(".", None)] + members)


def stack(name):
    """The tars of the layers of an image."""
    root = corpora.get("minbase" if name in corpora.DEBS else name)
    parts = sorted(os.listdir(root))
    if name == "slice":
        parts = ["etc", "usr-share-perl5"]
        found = [tarred(root, "--no-recursion", ".")]
    elif name == "minbase":
        parts.remove("dev")
        found = []
    else:
        parts = ["."]
        found = []
    found.append(tarred(root, *parts))
    if name in corpora.DEBS:
        found.append(tarred(corpora.get(name), "."))
    return found + [oci.tar_of([(".", None), ("srv", None)]), change(root),
                    oci.tar_of([(".", None), ("srv", None),
                                ("srv/last", b"last\n")])]


class Stack:
    def __init__(self, name, where):
        self.where = where
        self.tars = stack(name)
        if name == "slice":  # only what its first layers hold
            root = layers.unpack(self.tars[1], os.path.join(where, "again"))
            self.tars[-2] = change(root)
        unpacked = [layers.unpack(tar, os.path.join(where, str(i)))
                    for i, tar in enumerate(self.tars)]
        with layers.overlay(where, unpacked) as merged:
            self.records = oracle.normal(oracle.walk(merged))
        self.layout(None)
        self.layout("gzip")
        self.layout("zstd")

    def layout(self, packed):
        oci.directory(os.path.join(self.where, "oci-%s" % packed),
                      oci.oci(oci.Image(self.tars, packed), "image"))


@pytest.fixture(scope="module", params=["slice"] + BIG)
def image(request, session_dir, mounter):
    where = os.path.join(session_dir, "image-" + request.param)
    os.mkdir(where)
    yield Stack(request.param, where)
    shutil.rmtree(where)


def skopeo(source, target):
    need("skopeo")
    subprocess.run(["skopeo", "--insecure-policy", "copy", "-q", source,
                    target], check=True, stdin=subprocess.DEVNULL)


def docker_archive(image, work):
    skopeo("oci:%s/oci-None:image" % image.where,
           "docker-archive:%s/in.tar:name:1" % work)
    return os.path.join(work, "in.tar")


def oci_archive(image, work):
    skopeo("oci:%s/oci-gzip:image" % image.where,
           "oci-archive:%s/in.tar:name" % work)
    return os.path.join(work, "in.tar")


def packed_archive(image, work):
    docker_archive(image, work)
    subprocess.run(["gzip", "-1", os.path.join(work, "in.tar")], check=True)
    return os.path.join(work, "in.tar.gz")


FORMS = {
    "docker-archive": docker_archive,
    "docker-archive-gzip": packed_archive,
    "oci-archive-gzip": oci_archive,
    "layout-plain": lambda image, work: image.where + "/oci-None",
    "layout-gzip": lambda image, work: image.where + "/oci-gzip",
    "layout-zstd": lambda image, work: image.where + "/oci-zstd",
}


def mounted(tarfs, out):
    where = os.path.realpath(out) + ".mnt"
    os.mkdir(where)
    tarfs.ok("mount", out, where)
    try:
        return oracle.normal(oracle.walk(where), image=True)
    finally:
        tarfs.ok("umount", where)


@pytest.mark.parametrize("form", FORMS)
def test_converted_and_mounted(tarfs, image, work, form):
    source = FORMS[form](image, work)
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", source, "-o", out)
    tarfs.ok("verify", "--quiet", out)
    oracle.assert_same(image.records, mounted(tarfs, out))


def test_native_layers_after_skopeo(tarfs, mkfs, mounter, image, work):
    """Layers of EROFS: copied by skopeo, and mounted as an overlay."""
    native = os.path.join(work, "native")
    tarfs.ok("convert", "--quiet", "--format=erofs", "-zlz4",
             image.where + "/oci-gzip", "-o", native)
    skopeo("oci:" + native, "oci:%s/copied:image" % work)
    blobs = os.path.join(work, "copied/blobs/sha256")
    with open(os.path.join(work, "copied/index.json")) as f:
        top = json.load(f)["manifests"][0]["digest"]
    with open(os.path.join(blobs, top.split(":")[1])) as f:
        manifest = json.load(f)
    found = [layer["digest"].split(":")[1] for layer in manifest["layers"]]
    assert len(found) == len(image.tars)
    assert {layer["mediaType"] for layer in manifest["layers"]} == \
        {"application/vnd.erofs.layer.v1"}
    mounts = [mounter.mounted(os.path.join(blobs, name)) for name in found]
    places = [m.__enter__() for m in mounts]
    try:
        with layers.overlay(work, places) as where:
            got = oracle.normal(oracle.walk(where))
    finally:
        for m in reversed(mounts):
            m.__exit__(None, None, None)
    oracle.assert_same(image.records, got)


def test_a_layer_by_umoci(tarfs, image, work):
    """What umoci repacks: Go's archive/tar, and whiteouts of its making."""
    need("umoci")
    layout = os.path.join(work, "layout")
    shutil.copytree(image.where + "/oci-gzip", layout)
    bundle = os.path.join(work, "bundle")
    call = ["umoci", "--log=error"]
    subprocess.run([*call, "unpack", "--image", layout + ":image", bundle],
                   check=True)
    root = os.path.join(bundle, "rootfs")
    # umoci keeps whole seconds only.
    oracle.assert_same(oracle.changed(image.records, mtime=lambda ns: 0),
                       oracle.changed(oracle.normal(oracle.walk(root)),
                                      mtime=lambda ns: 0))
    os.remove(os.path.join(root, "srv/last"))
    with open(os.path.join(root, "srv/by-umoci"), "wb") as f:
        f.write(b"u" * 5000)
    os.symlink("by-umoci", os.path.join(root, "srv/" + "l" * 120))
    os.setxattr(os.path.join(root, "srv/by-umoci"), "user.maker", b"u\0moci")
    os.utime(os.path.join(root, "srv/by-umoci"), ns=(0, 123456789 * 10**9))
    subprocess.run([*call, "repack", "--image", layout + ":image", bundle],
                   check=True)
    want = oracle.normal(oracle.walk(root))
    out = os.path.join(work, "out")
    tarfs.ok("convert", "--quiet", layout, "-o", out)
    tarfs.ok("verify", "--quiet", out)
    got = mounted(tarfs, out)
    assert got[b"srv/by-umoci"]["xattrs"] == {b"user.maker": b"u\0moci"}
    assert got[b"srv/by-umoci"]["mtime"] == 123456789 * 10**9
    oracle.assert_same(oracle.changed(want, mtime=lambda ns: 0),
                       oracle.changed(got, mtime=lambda ns: 0))
