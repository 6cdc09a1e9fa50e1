# SPDX-License-Identifier: Apache-2.0
"""What is measured: each row is two command lines for the same work."""

import json
import os
import subprocess

from lib import corpora

TMPFS = "/dev/shm/erofskit-bench"


class Tools:
    """Paths of both makers' programs."""

    def __init__(self, build, peer):
        self.mkfs = os.path.join(build, "mkfs.erofs")
        self.fsck = os.path.join(build, "fsck.erofs")
        self.tarfs = os.path.join(build, "erofs-tarfs")
        self.peer_mkfs = os.path.join(peer, "mkfs", "mkfs.erofs")
        self.peer_fsck = os.path.join(peer, "fsck", "fsck.erofs")
        for path in vars(self).values():
            if not os.access(path, os.X_OK):
                raise SystemExit("bench: %s is not there" % path)
        self.launch = None  # bench/launch.c, made by run.py
        self.before = []  # words of a command that runs it

    def versions(self):
        """First lines of -V, ours and the peer's."""
        return [subprocess.run([p, "-V"], capture_output=True, check=False,
                               text=True).stdout.strip().splitlines()
                for p in (self.mkfs, self.peer_mkfs)]


class Row:
    """One comparison.

    target: the most that the median ratio of wall clocks may be. limits: what
    else is wanted, by the keys of report.LIMITS.
    """

    def __init__(self, name, words, target=None, workers=2, **limits):
        self.name, self.words, self.workers = name, words, workers
        self.limits = dict(limits)
        if target is not None:
            self.limits["wall"] = target

    def prepare(self, tools, scratch):
        """Made once, before the pairs."""

    def commands(self, tools, scratch):
        """(ours, peer, our output, peer's output)."""
        raise NotImplementedError

    def before(self, scratch):
        """Before each single run."""

    def counters(self, tools, scratch):
        """What ours tells of one run of its own; see told()."""
        return {}


def _json(argv):
    return json.loads(subprocess.run(argv, check=True,
                                     stdout=subprocess.PIPE).stdout)


def told(argv):
    """Counters of one run of our mkfs; argv has --quiet as its first word."""
    out = _json([argv[0], "--json", *argv[2:]])
    cpu = out["cpu_seconds"]
    return {"codec_bytes_in": out["codec_bytes_in"],
            "codec_passes": out["codec_bytes_in"] / max(out["bytes_in"], 1),
            "serial": cpu["ordering_thread"] / max(cpu["all"], 1e-6)}


class Build(Row):
    """mkfs of a corpus. sync: ours waits for the disk, as it does."""

    def __init__(self, name, corpus, flags, target, sync=False, **limits):
        super().__init__(name, "mkfs %s, %s%s" % (
            " ".join(flags) or "plain", corpus, "" if sync else ", --no-sync"),
            target, **limits)
        self.corpus, self.flags, self.sync = corpus, flags, sync

    def commands(self, tools, scratch):
        tree = corpora.get(self.corpus)
        ours, peer = (os.path.join(scratch, n) for n in ("ours", "peer"))
        quiet = ["--quiet", "--workers=%d" % self.workers, *self.flags]
        return ([tools.mkfs, *quiet, *([] if self.sync else ["--no-sync"]),
                 ours, tree],
                [tools.peer_mkfs, *quiet, peer, tree], ours, peer)

    def before(self, scratch):
        for name in ("ours", "peer"):
            path = os.path.join(scratch, name)
            if os.path.exists(path):
                os.unlink(path)

    def counters(self, tools, scratch):
        return told(self.commands(tools, scratch)[0])


class Check(Row):
    """fsck with decode, against the peer's --extract without a directory."""

    def __init__(self, name, corpus, flags, target):
        super().__init__(name, "fsck with decode, %s %s" % (
            corpus, " ".join(flags)), target)
        self.corpus, self.flags = corpus, flags

    def prepare(self, tools, scratch):
        subprocess.run([tools.peer_mkfs, "--quiet", *self.flags,
                        os.path.join(scratch, "image"),
                        corpora.get(self.corpus)], check=True)

    def commands(self, tools, scratch):
        image = os.path.join(scratch, "image")
        return ([tools.fsck, image], [tools.peer_fsck, "--extract", image],
                None, None)

    def counters(self, tools, scratch):
        ours = self.commands(tools, scratch)[0]
        cpu = _json([ours[0], "--json", *ours[1:]])["cpu_seconds"]
        # Two threads that walk do so beside each other.
        return {"serial": max(cpu["checking_thread"],
                              cpu.get("extracting_thread", 0)) / cpu["all"]}


class Extract(Check):
    """--extract=DIR to tmpfs."""

    def __init__(self, name, corpus, flags, target):
        super().__init__(name, corpus, flags, target)
        self.words = "fsck --extract=DIR to tmpfs, %s %s" % (
            corpus, " ".join(flags))

    def commands(self, tools, scratch):
        image = os.path.join(scratch, "image")
        root = TMPFS
        extra = ["--xattrs", "--preserve"]
        return ([tools.fsck, "--extract=%s/ours" % root, image],
                [tools.peer_fsck, "--extract=%s/peer" % root, *extra, image],
                None, None)

    def before(self, scratch):
        subprocess.run(["rm", "-rf", TMPFS], check=True)
        os.makedirs(TMPFS)


# What issue 4 wants of images and of memory.
SAME = {"size": 1.0, "rss": 1.2}

ROWS = [
    Build("plain-node", "node", [], 0.6, **SAME),
    Build("lz4-node", "node", ["-zlz4"], 0.6, serial=0.1, **SAME),
    Build("lz4-minbase", "minbase", ["-zlz4"], 0.7, **SAME),
    Build("lz4hc-minbase", "minbase", ["-zlz4hc,9"], 0.97, cores=1.85,
          **SAME),
    Build("lz4hc-64k-minbase", "minbase", ["-zlz4hc,9", "-C65536"], 0.97,
          cores=1.85, **SAME),
    Build("lz4-modules", "modules", ["-zlz4"], 0.6, serial=0.1, **SAME),
    Build("lz4-binaries", "binaries", ["-zlz4"], None),
    Build("lz4-kernel", "kernel", ["-zlz4"], None),
    Build("lz4-node-sync", "node", ["-zlz4"], None, sync=True),
    Check("check-lz4", "minbase", ["-zlz4"], 0.6),
    Check("check-zstd", "minbase", ["-zzstd", "-C65536"], 0.6),
    Check("check-lz4-binaries", "binaries", ["-zlz4"], 0.6),
    Check("check-lz4-modules", "modules", ["-zlz4"], None),
    Extract("extract-lz4", "minbase", ["-zlz4"], 0.6),
    Extract("extract-node", "node", ["-zlz4"], 0.6),
    Extract("extract-binaries", "binaries", ["-zlz4"], 0.6),
    Extract("extract-modules", "modules", ["-zlz4"], 0.6),
]
