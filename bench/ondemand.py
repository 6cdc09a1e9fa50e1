#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""./dev bench --ondemand: what lazily loaded images cost and gain.

Each row runs pairs in one go, ours and what it is compared with in turn, with
caches dropped and a new store where it says cold. A link is made of a network
namespace, tbf and a relay that delays.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
sys.path[:0] = [HERE, os.path.join(TOP, "tests")]
os.environ.setdefault("EK_CORPORA", "full")

import measure  # noqa: E402
from lib import stack  # noqa: E402
from lib.daemon import Daemon  # noqa: E402
from ondemand_link import Link, build, sh  # noqa: E402

MiB = 1 << 20
BIG = 256 * MiB
LEAF = 64 << 10


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as f:
        f.write("3")


def sha(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


class Bench:
    def __init__(self, args):
        self.args, self.scratch = args, args.scratch
        self.program = os.path.abspath(
            os.path.join(args.build, "erofs-cachefilesd"))
        self.tarfs = os.path.abspath(os.path.join(args.build, "erofs-tarfs"))
        for name in ("EK_CACHEFILESD", "EK_TARFS"):
            path = os.environ.get(name)
            if path:
                setattr(self, {"EK_CACHEFILESD": "program",
                               "EK_TARFS": "tarfs"}[name], path)
        self.reads_program = build("reads", self.scratch)
        self.link = None
        self.lines = []

    # Images

    def layout(self, name, tars, packed=False):
        """An OCI layout of tars (paths), the blobs linked; its path."""
        where = os.path.join(self.scratch, "layout-" + name)
        blobs = os.path.join(where, "blobs", "sha256")
        shutil.rmtree(where, ignore_errors=True)
        os.makedirs(blobs)
        layers, ids = [], []

        def put(data):
            digest = hashlib.sha256(data).hexdigest()
            with open(os.path.join(blobs, digest), "wb") as f:
                f.write(data)
            return {"digest": "sha256:" + digest, "size": len(data)}

        for tar in tars:
            ids.append("sha256:" + sha(tar))
            path = tar
            if packed:
                path = tar + ".gz"
                if not os.path.exists(path):
                    with open(path, "wb") as f:
                        subprocess.run(["gzip", "-6nc", tar], stdout=f,
                                       check=True)
            digest = sha(path)
            with contextlib.suppress(FileExistsError):
                os.link(path, os.path.join(blobs, digest))
            layers.append({
                "mediaType": "application/vnd.oci.image.layer.v1.tar" +
                             ("+gzip" if packed else ""),
                "digest": "sha256:" + digest,
                "size": os.path.getsize(path)})
        config = put(json.dumps({
            "os": "linux", "architecture": "amd64", "config": {},
            "rootfs": {"type": "layers", "diff_ids": ids}}).encode())
        config["mediaType"] = "application/vnd.oci.image.config.v1+json"
        manifest = put(json.dumps({
            "schemaVersion": 2, "config": config, "layers": layers,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
        }).encode())
        manifest["mediaType"] = "application/vnd.oci.image.manifest.v1+json"
        manifest["annotations"] = {"org.opencontainers.image.ref.name": "x"}
        with open(os.path.join(where, "index.json"), "w") as f:
            json.dump({"schemaVersion": 2, "manifests": [manifest]}, f)
        with open(os.path.join(where, "oci-layout"), "w") as f:
            f.write('{"imageLayoutVersion": "1.0.0"}')
        return where

    def push(self, layout, name):
        sh("skopeo", "copy", "--preserve-digests", "--dest-tls-verify=false",
           "oci:%s:x" % layout, "docker://%s/%s" % (self.link.host, name))
        return "%s/%s" % (self.link.host, name)

    def convert(self, layout, name):
        out = os.path.join(self.scratch, "out-" + name)
        shutil.rmtree(out, ignore_errors=True)
        sh(self.tarfs, "convert", layout, "-o", out, "--leaf-digests",
           "--no-sync", "-q")
        return out

    def big(self):
        """An image with one file of noise."""
        tree = os.path.join(self.scratch, "big")
        os.makedirs(tree, exist_ok=True)
        path = os.path.join(tree, "data")
        if not os.path.exists(path):
            with open(path, "wb") as f:
                for i in range(BIG // MiB):
                    f.write(random.Random(i).randbytes(MiB))
        tar = os.path.join(self.scratch, "big.tar")
        sh("tar", "-C", tree, "-cf", tar, "data")
        return self.layout("big", [tar])

    @contextlib.contextmanager
    def daemon(self, **config):
        work = os.path.join(self.scratch, "daemon")
        shutil.rmtree(work, ignore_errors=True)
        os.mkdir(work)
        config.setdefault("plain_http", [self.link.host])
        with Daemon(self.program, work, **config) as daemon:
            yield daemon
        shutil.rmtree(work, ignore_errors=True)

    # Numbers

    def reads(self, path, size, how, count=0, threads=1, cpu=None):
        """(MB/s, median us, 99th percentile us)"""
        argv = ["taskset", "-c", str(cpu)] if cpu is not None else []
        return tuple(map(float, sh(*argv, self.reads_program, path, str(size),
                                   how, str(count), str(threads)).split()))

    def pairs(self, ours, other, n=None):
        """Medians of both and of their ratios (other / ours)."""
        a, b = [], []
        for i in range(n or self.args.pairs):
            for take, into in ((ours, a), (other, b))[::-1 if i % 2 else 1]:
                into.append(take())
        return (statistics.median(a), statistics.median(b),
                statistics.median(y / x for x, y in zip(a, b)))

    def row(self, work, got, target, good):
        told = {None: "", True: "met", False: "**missed**"}[good]
        line = "| %s | %s | %s | %s |" % (work, got, target, told)
        print(line, flush=True)
        self.lines.append(line)

    def wait(self):
        return measure.wait_for_quiet(self.args.busy)


def warm_and_present(b):
    """Through the door and direct, against plain file-backed EROFS."""
    b.link.shape(None, 0)
    out = b.convert(b.big_layout, "big")
    with b.daemon() as daemon:
        lazy = daemon.mount_index(out, b.big_ref)
        daemon.must("complete", "--wait", lazy, timeout=600)
        direct = daemon.mount_index(out, b.big_ref)
        plain = os.path.join(b.scratch, "plain")
        os.makedirs(plain, exist_ok=True)
        sh(b.tarfs, "mount", out, plain)
        try:
            pages = [os.path.join(p, "data") for p in (lazy, direct, plain)]
            compare_present(b, daemon, *pages)
        finally:
            sh("umount", plain)


def compare_present(b, daemon, lazy, direct, plain):
    for path in (lazy, direct, plain):  # both levels of caches
        b.reads(path, 128 << 10, "seq")
    b.wait()
    for name, path in (("complete blobs, mounted directly", direct),
                       ("through the door", lazy)):
        for what, size, how in (("sequential 128K", 128 << 10, "warm-seq"),
                                ("random 4K", 4096, "warm-random")):
            for p in (path, plain):
                b.reads(p, 128 << 10, "warm-seq")
            x, y, _ = b.pairs(lambda: b.reads(path, size, how, 20000)[0],
                              lambda: b.reads(plain, size, how, 20000)[0])
            b.row("warm, %s, %s" % (name, what),
                  "%.0f MB/s, plain %.0f: %.2f" % (x, y, x / y), "1.0",
                  x / y > 0.93)
    for name, path, least in (("direct", direct, 0.9), ("door", lazy, 0.25)):
        x, y, _ = b.pairs(lambda: b.reads(path, 128 << 10, "seq")[0],
                          lambda: b.reads(plain, 128 << 10, "seq")[0])
        b.row("present, EROFS' page cache dropped, %s, 128K sequential" % name,
              "%.0f MB/s, plain %.0f: %.2f" % (x, y, x / y), "≥ %g" % least,
              x / y >= least)
    for threads in (1, 16):
        x, y, _ = b.pairs(
            lambda: b.reads(lazy, 4096, "random", 4000 // threads, threads)[1],
            lambda: b.reads(plain, 4096, "random", 4000 // threads,
                            threads)[1])
        b.row("present through the door, 4K random, %d readers, free" %
              threads, "%.0f µs, plain %.1f µs" % (x, y),
              "about 60 µs" if threads == 1 else "(told only)",
              x <= 70 if threads == 1 else None)
    pid = daemon.worker
    sh("taskset", "-apc", "0", str(pid))
    x, y, _ = b.pairs(lambda: b.reads(lazy, 4096, "random", 4000, 1, 0)[1],
                      lambda: b.reads(plain, 4096, "random", 4000, 1, 0)[1])
    b.row("present through the door, 4K random, 1 reader, pinned",
          "%.0f µs, plain %.1f µs" % (x, y), "about 10 µs", x <= 15)


def cold(b):
    """Over a far link, with nothing in the store."""
    out = b.convert(b.big_layout, "big")
    b.link.shape(100, 20e-3)
    with b.daemon() as daemon:
        path = os.path.join(daemon.mount_index(out, b.big_ref), "data")
        b.wait()
        places = random.Random(1).sample(range(1, BIG // MiB), 100)
        took = []
        fd = os.open(path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        for place in places:
            begin = time.monotonic()
            os.pread(fd, 4096, place * MiB)
            took.append(time.monotonic() - begin)
        os.close(fd)
        limit = (b.link.rtt + LEAF / b.link.rate()) * 1000
        got = statistics.median(took) * 1000
        b.row("cold 4K read, median of 100, 100 Mbit/s and 20 ms",
              "%.1f ms: %.2f of round trip + 64 KiB" % (got, got / limit),
              "≤ 1.3", got <= 1.3 * limit)
    b.link.shape(1000, 20e-3)
    url = "http://%s/v2/big/blobs/%s" % (
        b.link.host, "sha256:" + sha(os.path.join(b.scratch, "big.tar")))

    def ours():
        with b.daemon() as daemon:
            mnt = daemon.mount_index(out, b.big_ref)
            return b.reads(os.path.join(mnt, "data"), 128 << 10, "seq")[0]

    def curl():
        return float(sh("curl", "-s", "--noproxy", "*", "-o", "/dev/null",
                        "-w", "%{speed_download}", url)) / 1e6

    x, y, _ = b.pairs(ours, curl, 3)
    share = x * 1e6 / b.link.rate()
    b.row("cold sequential read of 256 MiB, 1 Gbit/s and 20 ms",
          "%.0f MB/s: %.0f %% of the link (one stream of curl: %.0f MB/s)" %
          (x, 100 * share, y), "≥ 85 %", share >= 0.85)


def lazily(b, out, ref, trace=None, record=None):
    """(seconds to the first answer, image's counters)"""
    with b.daemon() as daemon:
        root = os.path.join(b.scratch, "root")
        os.makedirs(root, exist_ok=True)
        drop_caches()
        begin = time.monotonic()
        words = ["--rw"] + (["--trace", trace] if trace else [])
        daemon.mount_index(out, ref, *words, target=root)
        if record:
            daemon.must("trace", "record", root)
        port = stack.free_port()
        with stack.running(root, port) as ended:
            status, _ = stack.answer(port, ended)
            took = time.monotonic() - begin
            shown = daemon.image(root)
            if record:
                daemon.must("trace", "show", "--stop", "-o", record, root)
        assert status == 200 and not shown["failed"], shown
        return took, shown


def pulled(b, ref):
    """Seconds to the first answer of the image, fetched and unpacked."""
    where = os.path.join(b.scratch, "pull")
    shutil.rmtree(where, ignore_errors=True)
    root = os.path.join(where, "root")
    os.makedirs(root)
    drop_caches()
    begin = time.monotonic()
    sh("skopeo", "copy", "--src-tls-verify=false", "docker://" + ref,
       "dir:" + where + "/image")
    with open(where + "/image/manifest.json") as f:
        layers = json.load(f)["layers"]
    for layer in layers:
        sh("tar", "-C", root, "-xf",
           "%s/image/%s" % (where, layer["digest"].split(":")[1]),
           *(["-z"] if layer["mediaType"].endswith("gzip") else []))
    port = stack.free_port()
    with stack.running(root, port) as ended:
        status, _ = stack.answer(port, ended)
        took = time.monotonic() - begin
    shutil.rmtree(where, ignore_errors=True)
    assert status == 200
    return took


def wordpress(b):
    tars = stack.layers(b.scratch)
    plain = b.layout("wp", tars)
    b.link.shape(None, 0)
    ref = b.push(plain, "wp:plain")
    packed = b.push(b.layout("wpz", tars, packed=True), "wp:gzip")
    out = b.convert(plain, "wp")
    trace = os.path.join(b.scratch, "wp.trace")
    b.link.shape(100, 20e-3)
    b.wait()
    lazily(b, out, ref, record=trace)
    ours, traced, full, gzipped, bytes_ = [], [], [], [], []
    for _ in range(b.args.stacks):
        took, shown = lazily(b, out, ref)
        ours.append(took)
        bytes_.append((shown["fetched_bytes"], shown["asked_bytes"]))
        traced.append(lazily(b, out, ref, trace)[0])
        gzipped.append(pulled(b, packed))
        full.append(pulled(b, ref))
    ours, traced, full, gzipped = map(statistics.median,
                                      (ours, traced, full, gzipped))
    fetched, asked = bytes_[0]
    total = sum(map(os.path.getsize, tars))
    name = "WordPress stack, cold, to the first HTTP 200, 100 Mbit/s, 20 ms"
    b.row(name, "%.2f s; pull and unpack of the same image %.1f s: %.1f times "
          "faster (its layers as gzip %.1f s: %.1f times)" %
          (ours, full, full / ours, gzipped, gzipped / ours),
          "≥ 3 times", full >= 3 * ours)
    b.row(name + ", with a trace",
          "%.2f s: %.1f times faster (gzip: %.1f times)" %
          (traced, full / traced, gzipped / traced), "≥ 5 times",
          full >= 5 * traced)
    b.row("bytes fetched until then, without a trace",
          "%.1f MB of %.0f; readers asked for %.1f: %.2f" %
          (fetched / 1e6, total / 1e6, asked / 1e6, fetched / asked),
          "≤ 1.5", fetched <= 1.5 * asked)


def local_cache(b):
    """A file in the cache on ext4: unpacked, and ours both ways."""
    b.link.shape(None, 0)
    out = b.convert(b.big_layout, "big")
    unpacked = os.path.join(b.scratch, "big", "data")
    with b.daemon() as daemon:
        lazy = daemon.mount_index(out, b.big_ref)
        daemon.must("complete", "--wait", lazy, timeout=600)
        direct = daemon.mount_index(out, b.big_ref)
        b.wait()
        for what, how in (("sequential", "seq"), ("random", "random")):
            paths = {"OCI (unpacked, ext4)": unpacked,
                     "ours, complete": os.path.join(direct, "data"),
                     "ours, through the door": os.path.join(lazy, "data")}
            got = {name: [] for name in paths}
            for i in range(b.args.pairs):
                # In turn, so that a slow moment of the disk is not always
                # the same one's.
                names = list(paths)
                for name in names[i % 3:] + names[:i % 3]:
                    drop_caches()
                    count = 0 if how == "seq" else 2000
                    got[name].append(b.reads(paths[name], 4096, how, count))
            base, whole, door = (tuple(map(statistics.median, zip(*x)))
                                 for x in got.values())
            share = statistics.median(
                y[0] / x[0] for x, y in zip(*list(got.values())[:2]))
            row = ("OCI %.1f, ours complete %.1f (%.2f), through the door "
                   "%.1f MB/s" % (base[0], whole[0], share, door[0]))
            if how == "random":
                row += "; medians %.0f, %.0f, %.0f µs" % (base[1], whole[1],
                                                          door[1])
            b.row("local cache, 4K %s" % what, row, "≥ 0.95 of OCI",
                  share >= 0.95)


def sum_of(pid, *keys):
    """Of smaps, in MiB."""
    with open("/proc/%d/smaps_rollup" % pid) as f:
        return sum(int(line.split()[1]) for line in f
                   if line.split(":")[0] in keys) / 1024


def resident(pid):
    return sum_of(pid, "Rss")


def own(pid):
    """Without pages of files, which others share or the kernel can drop."""
    return sum_of(pid, "Private_Dirty", "Shared_Dirty", "Swap")


def ticks(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def many_images(b):
    """Twenty small images, each with a layer of its own."""
    b.link.shape(None, 0)
    outs = []
    for i in range(20):
        tree = os.path.join(b.scratch, "small-%d" % i)
        os.makedirs(tree, exist_ok=True)
        with open(os.path.join(tree, "data"), "wb") as f:
            f.write(random.Random(1000 + i).randbytes(4 * MiB))
        tar = tree + ".tar"
        sh("tar", "-C", tree, "-cf", tar, ".")
        layout = b.layout("small-%d" % i, [tar])
        outs.append((b.convert(layout, "small-%d" % i),
                     b.push(layout, "small:%d" % i)))
    b.link.shape(100, 20e-3)
    with b.daemon() as daemon:
        took = []
        for out, ref in outs:
            begin = time.monotonic()
            mnt = daemon.mount_index(out, ref)
            took.append((time.monotonic() - begin) * 1000)
            with open(os.path.join(mnt, "data"), "rb") as f:
                assert len(f.read()) == 4 * MiB
        worker, holder = daemon.worker, daemon.holder
        memory = [f(p) for p in (worker, holder) for f in (resident, own)]
        time.sleep(1)
        before = ticks(worker) + ticks(holder)
        time.sleep(10)
        idle = ticks(worker) + ticks(holder) - before
        b.row("memory, 20 images mounted and read",
              "worker %.1f MiB, %.1f of it its own; holder %.1f MiB, %.1f of "
              "it its own" % tuple(memory), "≤ 64 and ≤ 4 MiB",
              memory[0] <= 64 and memory[2] <= 4)
        b.row("CPU while idle, 10 s", "%d ms" %
              (idle * 1000 // os.sysconf("SC_CLK_TCK")), "0", idle <= 1)
        got = statistics.median(took)
        b.row("mount with a local index, 20 ms", "%.0f ms" % got,
              "≤ 100 ms + 1 round trip", got <= 120)


FIFO = ("The machine had other work; ours, the registry and what is "
        "compared\nall ran under SCHED_FIFO. ")
ROWS = {"present": warm_and_present, "cold": cold, "wordpress": wordpress,
        "local": local_cache, "many": many_images}


def options():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--build", default="build/release")
    p.add_argument("--pairs", type=int, default=7)
    p.add_argument("--stacks", type=int, default=3,
                   help="rounds of the WordPress rows")
    p.add_argument("--rows", default=",".join(ROWS))
    p.add_argument("--scratch", default="/var/tmp/erofskit-bench-ondemand")
    p.add_argument("--busy", type=float, default=0.1)
    p.add_argument("--fifo", action="store_true",
                   help="all under SCHED_FIFO, so that other work of the "
                        "machine is not measured; the document says so")
    p.add_argument("--out", default="docs/ondemand-performance.md",
                   help='"-": standard output')
    return p.parse_args()


def main():
    args = options()
    args.scratch = os.path.abspath(args.scratch)
    os.makedirs(args.scratch, exist_ok=True)
    os.chmod(args.scratch, 0o755)
    b = Bench(args)
    if args.fifo:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    with Link(args.scratch) as link:
        b.link = link
        b.big_layout = b.big()
        b.big_ref = b.push(b.big_layout, "big:1")
        for name in args.rows.split(","):
            ROWS[name](b)
    head = ["| work | measured | target | |", "|---|---|---|---|"]
    if args.out == "-":
        print("\n".join(head + b.lines))
        return
    with open(os.path.join(HERE, "ondemand-performance.md.in")) as f:
        text = f.read()
    with open(args.out, "w") as f:
        f.write(text.replace("@TABLE@", "\n".join(head + b.lines))
                .replace("@DATE@", time.strftime("%Y-%m-%d"))
                .replace("@KERNEL@", os.uname().release)
                .replace("@CPUS@", str(os.cpu_count()))
                .replace("@FIFO@", FIFO if args.fifo else ""))


if __name__ == "__main__":
    main()
