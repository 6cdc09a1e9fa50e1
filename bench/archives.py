# SPDX-License-Identifier: Apache-2.0
"""Rows of archives and layers: indexes, streams, gzip, merging, a mount."""

import os
import random
import shutil
import subprocess

from lib import corpora
from rows import Row, told

HERE = os.path.dirname(os.path.abspath(__file__))
LAYERS = 50
FILES = 10000
BLOCK = 512


def tar_of(corpus, scratch, packed=False):
    """The corpus as one tar in scratch, made once; packed: by gzip."""
    path = os.path.join(scratch, corpus + ".tar")
    if not os.path.exists(path):
        subprocess.run(["tar", "-C", corpora.get(corpus), "--sort=name",
                        "--numeric-owner", "--format=pax",
                        "--pax-option=delete=atime,delete=ctime", "-cf", path,
                        "."], check=True)
    if packed and not os.path.exists(path + ".gz"):
        subprocess.run(["gzip", "-k", path], check=True)
    return path + (".gz" if packed else "")


class Archive(Row):
    """mkfs --tar=MODE of a corpus as tar, without sync."""

    def __init__(self, name, corpus, mode, target):
        super().__init__(name, "mkfs --tar=%s, %s, --no-sync" % (
            mode, corpus), target)
        self.corpus, self.mode = corpus, mode

    def prepare(self, tools, scratch):
        tar_of(self.corpus, scratch)

    def commands(self, tools, scratch):
        tar = tar_of(self.corpus, scratch)
        ours, peer = (os.path.join(scratch, n) for n in ("ours", "peer"))
        mode = "--tar=" + self.mode
        return ([tools.mkfs, "--quiet", "--no-sync", mode, ours, tar],
                [tools.peer_mkfs, "--quiet", mode, peer, tar], ours, peer)

    def before(self, scratch):
        for name in ("ours", "peer"):
            path = os.path.join(scratch, name)
            if os.path.exists(path):
                os.unlink(path)

    def counters(self, tools, scratch):
        argv = self.commands(tools, scratch)[0]
        return told(argv) if argv[0] == tools.mkfs else {}


class Large(Archive):
    """An index of 30,000 files in 1 GiB."""

    def __init__(self):
        super().__init__("index-1g", "1g", "i", 0.5)
        self.words = ("mkfs --tar=i, 30,000 files in 1 GiB, --no-sync "
                      "(target: 0.1 s)")

    def prepare(self, tools, scratch):
        data = random.Random(1).randbytes(1 << 20)
        with open(os.path.join(scratch, "1g.tar"), "wb") as out:
            for i in range(30000):
                size = 1 + i * 7919 % 70000
                out.write(header("usr/d%d/e%d/f%05d" % (
                    i // 1000, i // 50 % 20, i), size))
                out.write(data[:size] + bytes(-size % BLOCK))
            out.write(bytes(2 * BLOCK))


class Stream(Archive):
    """The index of what comes through a pipe, against cat to nowhere."""

    def __init__(self, name, corpus, target):
        super().__init__(name, corpus, "i", target)
        self.words = "cat %s.tar into mkfs --tar=i; into cat" % corpus

    def commands(self, tools, scratch):
        tar = tar_of(self.corpus, scratch)
        ours = os.path.join(scratch, "ours")
        return (["/bin/sh", "-c", "cat %s | %s --quiet --no-sync --tar=i %s"
                 % (tar, tools.mkfs, ours)],
                ["/bin/sh", "-c", "cat %s | cat >/dev/null" % tar], None,
                None)


class Gzip(Archive):
    """The index of a gzip layer, against zlib's loop alone."""

    def __init__(self, name, corpus, target):
        super().__init__(name, corpus, "i", target)
        self.words = ("mkfs --tar=i of %s.tar.gz, against a loop that only "
                      "inflates" % corpus)

    def prepare(self, tools, scratch):
        tar_of(self.corpus, scratch, packed=True)
        subprocess.run(["cc", "-O2", "-o", os.path.join(scratch, "inflate"),
                        os.path.join(HERE, "inflate.c"), "-lz"], check=True)

    def commands(self, tools, scratch):
        tar = tar_of(self.corpus, scratch, packed=True)
        return ([tools.mkfs, "--quiet", "--no-sync", "--tar=i",
                 os.path.join(scratch, "ours"), tar],
                [os.path.join(scratch, "inflate"), tar], None, None)


def header(name, size=BLOCK):
    """A file in ustar."""
    block = bytearray(BLOCK)
    for at, text in ((0, name), (100, "0000644"), (108, "0000000"),
                     (116, "0000000"), (124, "%011o" % size),
                     (136, "%011o" % 1600000000), (148, " " * 8), (156, "0"),
                     (257, "ustar"), (263, "00")):
        block[at:at + len(text)] = text.encode()
    block[148:155] = b"%06o\0" % sum(block)
    return bytes(block)


def small_files(path, layer):
    """A tar of FILES files; of each tenth the last layer hides the rest."""
    with open(path, "wb") as out:
        for i in range(FILES):
            where = "shared" if i % 10 == 0 else "layer%d" % layer
            out.write(header("%s/d%d/f%05d" % (where, i % 100, i)))
            out.write(b"%511d\n" % i)
        out.write(bytes(2 * BLOCK))


class Merge(Row):
    """LAYERS indexes of FILES files each to one."""

    def __init__(self):
        super().__init__("merge", "merge of %d layers, %d files (targets: 2 "
                         "s, 254 MiB)" % (LAYERS, LAYERS * FILES))

    def prepare(self, tools, scratch):
        for i in range(LAYERS):
            tar = os.path.join(scratch, "%02d.tar" % i)
            small_files(tar, i)
            for tool, end in ((tools.mkfs, "ours"), (tools.peer_mkfs, "peer")):
                subprocess.run([tool, "--quiet", "--tar=i", "%s.%s" % (
                    tar, end), tar], check=True)

    def commands(self, tools, scratch):
        ours, peer = (os.path.join(scratch, n) for n in ("ours", "peer"))
        names = [os.path.join(scratch, "%02d.tar" % i) for i in range(LAYERS)]
        return ([tools.mkfs, "--quiet", "--no-sync", ours,
                 *(n + ".ours" for n in names)],
                [tools.peer_mkfs, "--quiet", peer,
                 *(n + ".peer" for n in names)], ours, peer)

    before = Archive.before


class Mount(Row):
    """From an OCI archive of a gzip layer to a mount, against umoci."""

    def __init__(self, corpus):
        super().__init__("mount-umoci", "OCI archive (gzip) of %s to a mount; "
                         "umoci unpack" % corpus, 0.5)
        self.corpus = corpus

    def prepare(self, tools, scratch):
        from lib import oci

        with open(tar_of(self.corpus, scratch), "rb") as f:
            image = oci.Image([f.read()], "gzip")
        files = oci.oci(image, "t")
        oci.directory(os.path.join(scratch, "layout"), files)
        oci.archive(os.path.join(scratch, "oci.tar"), files)

    def commands(self, tools, scratch):
        return (["/bin/sh", "-c",
                 "cd %s && mkdir mnt && %s convert --quiet oci.tar -o out && "
                 "%s mount out mnt && ls mnt && %s umount mnt" % (
                     scratch, tools.tarfs, tools.tarfs, tools.tarfs)],
                ["/bin/sh", "-c", "cd %s && umoci --log=error unpack --image "
                 "layout:t bundle" % scratch], None, None)

    def before(self, scratch):
        if os.path.ismount(os.path.join(scratch, "mnt")):
            subprocess.run(["umount", os.path.join(scratch, "mnt")],
                           check=True)
        for name in ("out", "mnt", "bundle"):
            shutil.rmtree(os.path.join(scratch, name), ignore_errors=True)


class LargeMount(Mount):
    """All corpora, and 0.5 GiB that does not compress: about 1 GiB of gzip."""

    CORPORA = ("minbase", "python", "wordpress", "node", "kernel", "binaries",
               "containerd", "modules")

    def __init__(self):
        super().__init__("nine layers")
        self.name = "mount-umoci-1g"
        self.words = ("OCI archive (1 GiB of gzip, nine layers) to a mount; "
                      "umoci unpack")

    def prepare(self, tools, scratch):
        from lib import oci

        media = os.path.join(scratch, "media")
        os.mkdir(media)
        for i in range(60):
            with open(os.path.join(media, "%d.bin" % i), "wb") as out:
                out.write(random.Random(i).randbytes(8 << 20))
        trees = [(c, corpora.get(c)) for c in self.CORPORA]
        tars = []
        for name, tree in [*trees, ("media", media)]:
            tars.append(os.path.join(scratch, "layer-%s.tar" % name))
            subprocess.run(["tar", "-C", tree, "--sort=name",
                            "--numeric-owner", "--transform",
                            "s,^\\.,./opt/%s," % name, "-cf", tars[-1], "."],
                           check=True)
        oci.large_layout(os.path.join(scratch, "layout"), tars,
                         ["gzip", "-6c"], "+gzip", "t")
        subprocess.run(["tar", "-C", os.path.join(scratch, "layout"), "-cf",
                        os.path.join(scratch, "oci.tar"), "oci-layout",
                        "index.json", "blobs"], check=True)
        for tar in tars:
            os.unlink(tar)


ROWS = [
    Archive("index-minbase", "minbase", "i", 0.5),
    Archive("index-node", "node", "i", 0.5),
    Archive("tar-minbase", "minbase", "f", 0.7),
    Archive("tar-node", "node", "f", 0.7),
    Stream("stream-minbase", "minbase", 1.1),
    Gzip("gzip-minbase", "minbase", 1.15),
    Large(),
    Merge(),
    Mount("minbase"),
    # Half an hour, most of it umoci's.
    *([LargeMount()] if os.environ.get("EK_BENCH_LARGE") == "1" else []),
]
