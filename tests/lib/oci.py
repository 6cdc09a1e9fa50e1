# SPDX-License-Identifier: Apache-2.0
"""Container images made by hand: layers, docker archives, OCI layouts."""

import gzip
import hashlib
import io
import json
import lzma
import os
import shutil
import subprocess
import tarfile

OCI = "application/vnd.oci.image."
PACKERS = {
    None: lambda data: data,
    "gzip": lambda data: gzip.compress(data, 6, mtime=0),
    "xz": lambda data: lzma.compress(data, preset=1),
    "zstd": lambda data: subprocess.run(["zstd", "-q", "-c"], input=data,
                                        check=True,
                                        stdout=subprocess.PIPE).stdout,
}


def sha(data):
    return hashlib.sha256(data).hexdigest()


def digest(data):
    return "sha256:" + sha(data)


def blob_path(name):
    return "blobs/sha256/" + name.split(":")[1]


def tar_of(members, fmt=tarfile.PAX_FORMAT):
    """A tar of (name, bytes | None for a directory | TarInfo)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt) as tar:
        for name, content in members:
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                tar.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.mtime = 1600000000
            if content is None:
                info.type = tarfile.DIRTYPE
                info.mode = 0o755
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def link(target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo()
    info.type = kind
    info.linkname = target
    info.mtime = 1600000000
    return info


def write(path, data):
    with open(path, "wb") as out:
        out.write(data)
    return path


class Image:
    """One image: tars of its layers, how each is packed, a platform."""

    def __init__(self, layers, packed=None, arch="amd64", os_="linux",
                 variant=None, config=None):
        self.layers = layers
        self.packed = packed if isinstance(packed, list) else \
            [packed] * len(layers)
        self.platform = {"os": os_, "architecture": arch}
        if variant:
            self.platform["variant"] = variant
        self.config_changes = config or {}

    @property
    def config(self):
        config = dict(self.platform)
        config["config"] = {"Cmd": ["/bin/sh"], "Labels": {"a\"b": "\u00e9"}}
        config["history"] = [{"created_by": "step %d" % i}
                             for i in range(len(self.layers))]
        config["rootfs"] = {"type": "layers",
                            "diff_ids": [digest(t) for t in self.layers]}
        config.update(self.config_changes)
        return json.dumps(config, ensure_ascii=False).encode()

    def blobs(self):
        return [PACKERS[how](tar)
                for tar, how in zip(self.layers, self.packed)]

    def descriptor(self, data, kind, **more):
        return dict({"mediaType": kind, "digest": digest(data),
                     "size": len(data)}, **more)

    def manifest(self, **changes):
        kinds = {None: "", "gzip": "+gzip", "zstd": "+zstd", "xz": "+xz"}
        layers = [self.descriptor(blob, OCI + "layer.v1.tar" + kinds[how])
                  for blob, how in zip(self.blobs(), self.packed)]
        manifest = {"schemaVersion": 2,
                    "mediaType": OCI + "manifest.v1+json",
                    "config": self.descriptor(self.config,
                                              OCI + "config.v1+json"),
                    "layers": layers}
        manifest.update(changes)
        return json.dumps(manifest).encode()

    def contents(self, **changes):
        """{digest: bytes} and the descriptor of the manifest."""
        manifest = self.manifest(**changes)
        found = {digest(b): b for b in self.blobs() + [self.config, manifest]}
        return found, self.descriptor(manifest, OCI + "manifest.v1+json")


def layout(blobs, manifests):
    """{path: bytes} of an OCI layout."""
    index = {"schemaVersion": 2, "mediaType": OCI + "index.v1+json",
             "manifests": manifests}
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
             "index.json": json.dumps(index).encode()}
    files.update((blob_path(name), data) for name, data in blobs.items())
    return files


def oci(image, name=None, **changes):
    blobs, manifest = image.contents(**changes)
    if name:
        manifest["annotations"] = {"org.opencontainers.image.ref.name": name}
    return layout(blobs, [manifest])


def docker(images, names=None):
    """{path: bytes | ("link", target)} as docker save has it. A layer of an
    earlier image is a symlink to it, as docker did."""
    files, entries, seen = {}, [], {}
    for number, image in enumerate(images):
        paths = []
        for i, blob in enumerate(image.blobs()):
            where = sha(b"%d-%d" % (number, i)) + "/layer.tar"
            if blob in seen:
                files[where] = ("link", "../" + seen[blob])
            else:
                files[where] = blob
                seen[blob] = where
            paths.append(where)
        config = sha(image.config) + ".json"
        files[config] = image.config
        entries.append({"Config": config, "Layers": paths,
                        "RepoTags": [names[number]] if names else None})
    files["manifest.json"] = json.dumps(entries).encode()
    return files


def archive(path, files, packed=None, first=()):
    """Write files as one tar; those of first come first."""
    names = list(first) + [n for n in files if n not in first]
    members = [(name, link(files[name][1])
                if isinstance(files[name], tuple) else files[name])
               for name in names]
    return write(path, PACKERS[packed](tar_of(members)))


def directory(path, files):
    for name, data in files.items():
        where = os.path.join(path, name)
        os.makedirs(os.path.dirname(where), exist_ok=True)
        write(where, data)
    return path


def sha_of(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def config_of(ids):
    return json.dumps({
        "os": "linux", "architecture": "amd64", "config": {},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + i for i in ids]},
    }).encode()


def large_layout(path, tars, packer, suffix, name=None):
    """An OCI layout of tars that need not fit in memory, packed by a command
    that writes to its standard output."""
    blobs = os.path.join(path, "blobs", "sha256")
    os.makedirs(blobs)
    layers = []
    for tar in tars:
        with open(blobs + "/x", "wb") as out:
            subprocess.run([*packer, tar], stdout=out, check=True)
        blob = sha_of(blobs + "/x")
        os.rename(blobs + "/x", blobs + "/" + blob)
        layers.append({"mediaType": OCI + "layer.v1.tar" + suffix,
                       "digest": "sha256:" + blob,
                       "size": os.path.getsize(blobs + "/" + blob)})
    config = config_of([sha_of(t) for t in tars])
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
        "config": {"mediaType": OCI + "config.v1+json",
                   "digest": digest(config), "size": len(config)},
        "layers": layers}).encode()
    about = {"mediaType": OCI + "manifest.v1+json", "size": len(manifest),
             "digest": digest(manifest)}
    if name:
        about["annotations"] = {"org.opencontainers.image.ref.name": name}
    return directory(path, layout(
        {digest(d): d for d in (config, manifest)}, [about]))


class Layer:
    """A layer as a tar with OCI whiteouts and as a directory in the form of
    overlayfs. fill(path) makes what both have."""

    def __init__(self, work, name, fill, removed=(), opaque=()):
        self.oci = os.path.join(work, name + ".oci")
        self.overlay = os.path.join(work, name + ".overlay")
        os.mkdir(self.oci)
        fill(self.oci)
        subprocess.run(["cp", "-a", self.oci, self.overlay], check=True)
        for path in removed:
            head, tail = os.path.split(path)
            write(os.path.join(self.oci, head, ".wh." + tail), b"")
            os.mknod(os.path.join(self.overlay, path), 0o20000, 0)
        for path in opaque:
            write(os.path.join(self.oci, path, ".wh..wh..opq"), b"")
            os.setxattr(os.path.join(self.overlay, path),
                        "trusted.overlay.opaque", b"y")
        for where, dirs, _ in os.walk(self.oci):
            twin = os.path.join(self.overlay, os.path.relpath(where, self.oci))
            st = os.stat(twin)
            os.utime(where, ns=(st.st_mtime_ns, 1600000000 * 10**9))
            os.utime(twin, ns=(st.st_mtime_ns, 1600000000 * 10**9))
        self.tar = subprocess.run(
            ["tar", "-C", self.oci, "--format=pax", "--numeric-owner",
             "--xattrs", "--xattrs-include=user.*", "--sort=name",
             "--pax-option=delete=atime,delete=ctime", "-cf", "-", "."],
            check=True, stdout=subprocess.PIPE).stdout

    def drop(self):
        shutil.rmtree(self.oci)


def sample_layers(work):
    """Three layers with whiteouts, opaque directories, links, attributes."""
    from lib import content

    def bottom(path):
        for name in ("etc", "usr/bin", "var/cache/deep", "opt/gone"):
            os.makedirs(os.path.join(path, name))
        write(os.path.join(path, "etc/passwd"), b"root:x:0:0\n")
        os.chmod(os.path.join(path, "etc/passwd"), 0o640)
        os.chown(os.path.join(path, "etc/passwd"), 5, 70000)
        write(os.path.join(path, "usr/bin/tool"), content.noise(300000, 1))
        os.chmod(os.path.join(path, "usr/bin/tool"), 0o4755)
        os.link(os.path.join(path, "usr/bin/tool"),
                os.path.join(path, "usr/bin/same"))
        os.symlink("usr/bin", os.path.join(path, "bin"))
        write(os.path.join(path, "var/cache/one"), b"1" * 513)
        write(os.path.join(path, "var/cache/deep/two"), b"2" * 511)
        write(os.path.join(path, "opt/gone/file"), b"gone")
        write(os.path.join(path, "empty"), b"")
        os.setxattr(os.path.join(path, "etc/passwd"), "user.note", b"\0x\xff")
        os.mkfifo(os.path.join(path, "pipe"))
        os.mknod(os.path.join(path, "null"), 0o20666, os.makedev(1, 3))
        os.utime(os.path.join(path, "empty"), ns=(0, 123456789 * 10**9 + 77))

    def middle(path):
        for name in ("etc", "var/cache", "opt"):
            os.makedirs(os.path.join(path, name))
        write(os.path.join(path, "etc/group"), b"root:x:0:\n")
        write(os.path.join(path, "var/cache/new"), b"new" * 1000)
        os.chmod(os.path.join(path, "etc"), 0o711)

    def top(path):
        os.makedirs(os.path.join(path, "usr/bin"))
        os.makedirs(os.path.join(path, "opt"))
        write(os.path.join(path, "usr/bin/tool"), b"#!/bin/sh\n")
        write(os.path.join(path, "opt/gone"), b"a file now")
        name = "n" * 200
        os.makedirs(os.path.join(path, name, name))
        write(os.path.join(path, name, name, "\u00fcml\u00e4ut"), b"long")

    return [Layer(work, "bottom", bottom),
            Layer(work, "middle", middle, removed=["opt/gone", "etc/passwd"],
                  opaque=["var/cache"]),
            Layer(work, "top", top, removed=["pipe"])]
