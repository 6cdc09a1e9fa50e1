# SPDX-License-Identifier: Apache-2.0
"""Holder and FUSE door alone: who dies, who takes over, what is refused."""

import contextlib
import errno
import filecmp
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from lib.doorman import Doorman

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.environ.get("EK_BUILD") or os.path.join(TOP, "build", "release")
MOUNT_SUID, MOUNT_LOOP, MOUNT_LAYER, MOUNT_ABSENT = 1, 2, 4, 8
FILES = 40


@pytest.fixture(autouse=True)
def patience():
    """Whatever hangs is a failure of its own test."""
    def late(*_):
        raise AssertionError("hangs")
    old = signal.signal(signal.SIGALRM, late)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)


@pytest.fixture(scope="module")
def program():
    path = os.environ.get("EK_DOORMAN") or os.path.join(
        BUILD, "tests", "tools", "doorman")
    if not os.access(path, os.X_OK):
        pytest.skip("%s is not built" % path)
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        pytest.skip("needs root and /dev/fuse")
    return os.path.abspath(path)


class Image:
    """A tree and images of it: data in a blob of its own, or all in one."""

    def __init__(self, path, mkfs):
        self.tree = os.path.join(path, "tree")
        os.mkdir(self.tree)
        bytes_of = random.Random(6)
        for i in range(FILES):
            with open(os.path.join(self.tree, "f%d" % i), "wb") as out:
                out.write(bytes_of.randbytes(bytes_of.randrange(1, 400000)))
        os.chmod(os.path.join(self.tree, "f0"), 0o644)
        self.meta = os.path.join(path, "meta")
        self.blob = os.path.join(path, "blob")
        self.whole = os.path.join(path, "whole")
        mkfs.ok("--quiet", "--chunksize=4096", "--blobdev=" + self.blob,
                self.meta, self.tree)
        mkfs.ok("--quiet", self.whole, self.tree)

    def same(self, target, names=None):
        names = names or sorted(os.listdir(self.tree))
        assert sorted(os.listdir(target)) == sorted(os.listdir(self.tree))
        wrong = filecmp.cmpfiles(self.tree, target, names, shallow=False)
        assert wrong[1:] == ([], []), wrong


@pytest.fixture(scope="module")
def image(session_dir, mkfs):
    path = os.path.join(session_dir, "holder-image")
    os.mkdir(path)
    return Image(path, mkfs)


@pytest.fixture
def service(program, work, image):
    with Doorman(program, work, "hang=1000") as made:
        for name in ("meta", "blob", "whole"):
            os.link(getattr(image, name), os.path.join(made.root, name))
        yield made


def mount(service, name="mnt", flags=0, ident="img"):
    for file in ("meta", "blob"):
        answer = service.ask("add", file, os.path.join(service.root, file))
        assert answer.startswith("ok") or "exists" in answer, answer
    target = service.target(name)
    service.ok("mount", ident, target, str(flags), "meta", "blob")
    return target


def drop_caches(target):
    """Of the files there alone: others measure on this host."""
    for name in os.listdir(target):
        file = os.open(os.path.join(target, name), os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


class Readers:
    """Threads that compare the tree until told to end; errors are kept."""

    def __init__(self, image, target, n=4):
        self.image, self.target, self.stop = image, target, False
        self.errors, self.rounds = [], 0
        self.threads = [threading.Thread(target=self._run, args=(i,))
                        for i in range(n)]
        for thread in self.threads:
            thread.start()

    def _run(self, seed):
        order = random.Random(seed)
        while not self.stop:
            names = os.listdir(self.image.tree)
            order.shuffle(names)
            try:
                self.image.same(self.target, names)
            except (OSError, AssertionError) as why:
                self.errors.append(why)
            self.rounds += 1

    def end(self):
        self.stop = True
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a reader hangs"
        return self.errors


def test_reads(service, image):
    service.start()
    target = mount(service)
    image.same(target)
    # What the kernel reads through is root's, what it shows everybody's.
    door = os.path.join(service.run_dir, "door")
    assert sorted(os.listdir(door)) == ["blob", "meta"]
    with open(os.path.join(door, "blob"), "rb") as served, \
            open(image.blob, "rb") as there:
        assert served.read() == there.read()
    with pytest.raises(OSError):
        open(os.path.join(door, "blob"), "r+b")
    drop_caches(target)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with open(os.path.join(image.tree, "f0"), "rb") as there:
        subprocess.run([*nobody, "cmp", "f0", "-"], cwd=target, stdin=there,
                       check=True)
    assert subprocess.run([*nobody, "cat", "blob"], cwd=door,
                          capture_output=True).returncode != 0


def test_worker_is_small(service):
    service.start()
    with open("/proc/%d/status" % service.worker) as lines:
        status = dict(line.split(":", 1) for line in lines)
    assert status["Uid"].split() == ["65534"] * 4
    assert status["Gid"].split() == ["65534"] * 4
    assert status["Groups"].split() == []
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"
    # A system call that is not on the list.
    assert int(service.ok("syscall")) in (errno.EPERM, 0)
    with open("/proc/%d/status" % service.process.pid) as lines:
        status = dict(line.split(":", 1) for line in lines)
    assert int(status["RssAnon"].split()[0]) < 4096  # KiB
    assert status["Threads"].strip() == "1"


def test_worker_dies(service, image):
    """Again and again, with readers under way and an idle connection."""
    service.options += ("delay=3",)
    service.start()
    target = mount(service)
    idle = service.connect()
    drop_caches(target)
    readers = Readers(image, target)
    waits = 0
    for _ in range(10):
        time.sleep(0.1)
        before = service.worker
        waits += service.stats()["waits"]
        os.kill(before, signal.SIGKILL)
        service.wait_for(lambda last=before: service.worker != last)
        drop_caches(target)
    assert readers.end() == []
    assert waits > 0
    assert service.ask("ping", connection=idle).startswith("ok")
    assert service.stats()["generation"] == 10
    assert service.ok("mounts").startswith("img:alive:0:1")


def test_worker_hangs(service, image):
    service.options += ("delay=3",)
    service.start()
    target = mount(service)
    drop_caches(target)
    stopped = service.kill_worker(signal.SIGSTOP)
    image.same(target)
    assert service.worker != stopped
    assert "reason=hangs" in service.log()


def test_holder_dies(service, image):
    service.options += ("delay=3",)
    service.start()
    target = mount(service)
    idle = service.connect()
    drop_caches(target)
    readers = Readers(image, target)
    worker = service.worker
    for _ in range(5):
        time.sleep(0.05)
        service.kill_holder()
        time.sleep(0.05)
        service.start()
        assert service.worker == worker
        # The new one can be asked, and knows what is mounted.
        assert service.ok("mounts").startswith("img:alive:0:1")
    # It also replaces a worker that is not its child.
    os.kill(worker, signal.SIGKILL)
    service.wait_for(lambda: service.worker != worker)
    assert readers.end() == []
    assert service.ask("ping", connection=idle).startswith("ok")


def test_both_hang_and_die(service, image):
    """A worker that hangs and has no holder: its descriptors are taken."""
    service.options += ("delay=3",)
    service.start()
    target = mount(service)
    drop_caches(target)
    readers = Readers(image, target, 2)
    hung = service.worker
    os.kill(hung, signal.SIGSTOP)
    service.kill_holder()
    service.start()
    assert service.worker != hung
    with contextlib.suppress(FileNotFoundError):
        with open("/proc/%d/stat" % hung) as stat:
            assert stat.read().rsplit(")", 1)[1].split()[0] == "Z"
    assert readers.end() == []
    assert service.ok("mounts").startswith("img:alive:0:1")


def test_descriptor_store(service, image):
    """Both die; the service manager has the descriptors: nobody notices."""
    path = os.path.join(service.work, "notify")
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(path)
    manager.settimeout(30)
    service.options += ("delay=3",)
    service.start(notify=path)
    kept, told = {}, []
    while "READY=1" not in told:
        text, fds, _, _ = socket.recv_fds(manager, 4096, 4)
        lines = text.decode().split("\n")
        told += lines
        if "FDSTORE=1" in lines:
            name = [line for line in lines if line.startswith("FDNAME=")]
            kept[name[0][len("FDNAME="):]] = fds[0]
    assert sorted(kept) == ["api", "door", "listener", "shared"]
    target = mount(service)
    drop_caches(target)
    readers = Readers(image, target, 2)
    worker = service.worker
    service.process.send_signal(signal.SIGSTOP)
    os.kill(worker, signal.SIGKILL)
    service.kill_holder()
    time.sleep(0.1)
    service.start(kept=kept)
    assert readers.end() == []
    assert service.worker != worker
    assert service.ok("mounts").startswith("img:alive:0:1")
    for fd in kept.values():
        os.close(fd)
    manager.close()


def test_upgrade(service, image):
    service.options += ("delay=3",)
    service.start()
    target = mount(service)
    idle = service.connect()
    refused = subprocess.run(
        [service.program, "run", service.run_dir,
         os.path.join(service.work, "state"), service.root],
        capture_output=True, text=True, timeout=60)
    assert refused.returncode == 3
    assert "process %d holds it" % service.process.pid in refused.stderr
    drop_caches(target)
    readers = Readers(image, target)
    for _ in range(3):
        worker, old = service.worker, service.process
        time.sleep(0.1)
        service.start("upgrade")
        assert old.wait(60) == 0
        service.wait_for(lambda last=worker: service.worker != last)
    assert readers.end() == []
    assert service.ask("ping", connection=idle).startswith("ok")


def test_both_die(service, image):
    """Readers get errors, no zeros; then all can be mounted again."""
    service.options += ("delay=20",)
    service.start()
    target = mount(service)
    drop_caches(target)
    worker = service.worker
    got, failed = [], []

    def read():
        for name in sorted(os.listdir(image.tree)):
            try:
                with open(os.path.join(target, name), "rb") as file:
                    got.append((name, file.read()))
            except OSError as why:
                failed.append(why.errno)

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.1)
    service.process.send_signal(signal.SIGSTOP)  # it shall not restart it
    os.kill(worker, signal.SIGKILL)
    service.kill_holder()
    reader.join(60)
    assert not reader.is_alive()
    assert failed
    for name, data in got:
        with open(os.path.join(image.tree, name), "rb") as file:
            assert file.read() == data
    service.start()
    assert "event=detached id=img" in service.log()
    image.same(mount(service))


def test_no_redelivery(service, image):
    """As before 6.9: errors rather than readers that hang."""
    service.options += ("delay=20",)
    service.start("no-resend")
    target = mount(service)
    drop_caches(target)
    done = []

    def read():
        for name in os.listdir(image.tree):
            try:
                with open(os.path.join(target, name), "rb") as file:
                    file.read()
            except OSError as why:
                done.append(why.errno)

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.1)
    service.kill_worker()
    reader.join(60)
    assert not reader.is_alive() and done
    service.wait_for(lambda: service.stats()["generation"] == 1)
    assert "cannot deliver again" in service.log()
    image.same(mount(service, ident="again"))


def test_stop(service, image):
    service.start()
    target = mount(service)
    assert "exists img is mounted" in service.ask("stop", "0")
    # With the worker kept, reads go on; the next run finds it.
    worker = service.worker
    service.ok("stop", "1")
    assert service.process.wait(60) == 0
    drop_caches(target)
    image.same(target)
    service.start()
    assert service.worker == worker
    # The service manager's signal means the same while mounts need it.
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(60) == 0
    drop_caches(target)
    image.same(target)
    service.start()
    service.ok("umount", "img", "0")
    assert service.ok("mounts") == ""
    service.ok("stop", "0")
    assert service.process.wait(60) == 0
    assert not os.path.exists(os.path.join(service.run_dir, "api.sock"))
    assert service.run_dir not in open("/proc/self/mounts").read()


def test_sigterm_without_mounts(service):
    service.start()
    worker = service.worker
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(60) == 0
    assert not os.path.exists("/proc/%d" % worker)


def test_loop(service, image):
    service.start()
    target = mount(service, flags=MOUNT_LOOP)
    with open("/proc/self/mounts") as mounts:
        source = next(line.split()[0] for line in mounts
                      if line.split()[1] == target)
    assert source.startswith("/dev/loop")
    image.same(target)
    drop_caches(target)
    service.kill_worker()
    image.same(target)
    service.ok("umount", "img", "0")


def test_one_file(service, image):
    """Metadata through the door as well."""
    service.start()
    service.ok("add", "whole", os.path.join(service.root, "whole"))
    target = service.target("one")
    service.ok("mount", "one", target, "0", "whole")
    drop_caches(target)
    image.same(target)


def test_overlay(service, image):
    service.start()
    for file in ("meta", "blob", "whole"):
        service.ok("add", file, os.path.join(service.root, file))
    service.ok("mount", "l0", "-", str(MOUNT_LAYER), "meta", "blob")
    service.ok("mount", "l1", "-", str(MOUNT_LAYER), "whole")
    target = service.target("over")
    service.ok("overlay", "over", target, "0", "l0", "l1")
    image.same(target)
    with pytest.raises(OSError):
        open(os.path.join(target, "new"), "w")
    assert service.ask("umount", "l0", "0") == "exists l0: overlay over " \
        "needs it"
    written = service.target("rw")
    service.ok("overlay", "rw", written, "1", "l0")
    with open(os.path.join(written, "f1"), "w") as out:
        out.write("changed")
    service.kill_worker()
    service.wait_for(lambda: service.stats()["generation"] == 1)
    assert service.ok("mounts").split() == [
        "l0:alive:0:1", "l1:alive:0:0", "over:alive:1:2", "rw:alive:1:1"]
    service.ok("umount", "rw", "0")
    # What was written is there again.
    service.ok("overlay", "rw", written, "1", "l0")
    with open(os.path.join(written, "f1")) as back:
        assert back.read() == "changed"
    for name in ("rw", "over", "l0", "l1"):
        service.ok("umount", name, "0")
    assert service.ok("mounts") == ""


def test_refused(service, image):
    service.start()
    target = mount(service)
    root = service.root
    os.symlink("/etc", os.path.join(root, "link"))
    os.symlink("/etc/passwd", os.path.join(root, "file-link"))
    os.mkfifo(os.path.join(root, "pipe"))
    for path, why in ((target, "already"), ("/etc", "beneath none"),
                      (root + "/link", "symbolic"),
                      (root + "/none", "No such"), (root + "/meta", ""),
                      (root + "/../root/mnt", "invalid"),
                      ("relative", "invalid")):
        answer = service.ask("mount", "other", path, "0", "meta", "blob")
        assert not answer.startswith("ok") and why in answer, answer
    free = service.target("free")
    for words, why in (
            (("img", free, "0", "meta", "blob"), "is mounted at"),
            (("suid", free, str(MOUNT_SUID), "meta", "blob"), "setuid"),
            (("x/y", free, "0", "meta", "blob"), "id"),
            (("flags", free, "64", "meta", "blob"), "flags"),
            (("none", free, "0", "nothing"), "source"),
            (("data", free, "0", "blob"), "EROFS")):
        answer = service.ask("mount", *words)
        assert not answer.startswith("ok") and why in answer, answer
    # Of the worker's own directory: a link, and not a file.
    images = os.path.join(service.work, "state", "images", "x")
    os.makedirs(images)
    os.symlink(os.path.join(root, "meta"), os.path.join(images, "a"))
    os.mkdir(os.path.join(images, "b"))
    for name in ("x/a", "x/b", "x/../a"):
        answer = service.ask("mount", "state", free, "0", name)
        assert not answer.startswith("ok"), answer
    for path in ("/etc/passwd", root + "/file-link", root + "/pipe",
                 root + "/link/passwd", root):
        assert not service.ask("open", path, "0").startswith("ok"), path
    assert service.ask("open", root + "/meta", "0").startswith("ok")
    assert service.ask("open", root, "1").startswith("ok")
    assert not service.ask("open", root + "/meta", "1").startswith("ok")
    # Nothing of it is left, and all still works.
    assert service.ok("mounts") == "img:alive:0:1"
    assert os.listdir(os.path.join(service.run_dir, "images")) == []
    made = os.path.join(root, "a", "b")
    service.ok("mount", "made", made, str(MOUNT_ABSENT), "meta", "blob")
    image.same(made)


def test_setuid(program, work, image):
    with Doorman(program, work, "suid") as service:
        for name in ("meta", "blob"):
            os.link(getattr(image, name), os.path.join(service.root, name))
        service.start()
        mount(service)
        mount(service, "suid", MOUNT_SUID, "suid")
        with open("/proc/self/mounts") as lines:
            options = {line.split()[1]: line.split()[3] for line in lines}
        root = service.root
        assert "nosuid" in options[root + "/mnt"].split(",")
        assert "nosuid" not in options[root + "/suid"].split(",")
        assert "nodev" in options[root + "/suid"].split(",")


def test_credentials(service):
    service.start()
    assert service.ok("credentials", "known.example") == "user:word"
    assert service.ask("credentials", "other.example").startswith("not-found")
    assert service.ask("credentials", "bad.example").startswith("io")
    assert "word" not in service.log()


def test_stranger(service):
    """Who is neither root nor the worker's user gets nothing."""
    service.start()
    path = os.path.join(service.run_dir, "holder.sock")
    assert os.stat(path).st_mode & 0o777 == 0o600
    # Even with a holder that hears nonsense from root.
    for junk in (b"", b"x", b"EKH1" * 8, b"\0" * 27000):
        one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        one.settimeout(30)
        one.connect(path)
        if junk:
            one.send(junk)
        one.shutdown(socket.SHUT_WR)
        assert one.recv(100) == b""
        one.close()
    service.ok("ping")


def steps_of(*names):
    """The steps that these files list."""
    found = []
    for name in names:
        with open(os.path.join(TOP, "cachefilesd", name)) as file:
            text = re.search(r"_steps\[\] = \{(.*?)\};", file.read(), re.S)
        found += re.findall(r'"([a-z]+:[a-z-]+)"', text[1])
    return found


WORKER_STEPS = steps_of("kernel/fuse-door.c", "worker/boot.c")
HOLDER_STEPS = steps_of("holder/run.c")


@pytest.mark.parametrize("step", WORKER_STEPS)
def test_worker_killed_at(service, image, step):
    """Once at each named step; nobody sees an error."""
    if step == "boot:hand-over":
        service.options += ("delay=3",)
        service.start(kill=step + ":1")
        target = mount(service)
        service.kill_holder()
        service.process = None
        # It dies as it hands over: both are dead, nothing is kept.
        service.start()
        assert service.stats()["generation"] == 0
        image.same(mount(service))
        return
    service.start(kill=step + ":1")
    for file in ("meta", "blob"):
        service.ok("add", file, os.path.join(service.root, file))
    target = service.target("mnt")
    asking = service.connect()
    asking.sendall(("mount img %s 0 meta blob" % target).encode())
    # Who asked may have died; the kernel and a child of the holder go on.
    service.wait_for(lambda: service.ok("mounts") == "img:alive:0:1")
    asking.close()
    drop_caches(target)
    image.same(target)
    assert service.stats()["generation"] == 1, "the step was not reached"


@pytest.mark.parametrize("step", HOLDER_STEPS)
def test_holder_killed_at(service, image, step):
    """Once at each named step; the next holder puts it right."""
    taking = step in ("holder:taken", "holder:giving")
    service.start(kill=None if step == "holder:taken" else step + ":1",
                  wait=False)
    target = service.target("mnt")
    if step in ("holder:door-mounted", "holder:before-fork",
                "holder:started"):
        service.process.wait(60)  # it did not get far
        service.start()
    service.wait_for(lambda: service.ask("ping").startswith("ok"))
    for file in ("meta", "blob"):
        service.ok("add", file, os.path.join(service.root, file))
    first = service.ask("mount", "img", target, "0", "meta", "blob")
    if step in ("holder:recorded", "holder:mounted"):
        assert first.startswith("io"), "the step was not reached"
        alive = service.ok("mounts")
        assert alive == ("img:alive:0:1" if step == "holder:mounted"
                         else "img:dead:0:1")
        service.kill_holder()
        service.start()
        assert service.ok("mounts") == alive
        if step == "holder:recorded":
            service.ok("mount", "img", target, "0", "meta", "blob")
    else:
        assert first.startswith("ok")
    image.same(target)
    if step in ("holder:worker-died", "holder:kill"):
        service.kill_worker(signal.SIGKILL if step == "holder:worker-died"
                            else signal.SIGSTOP)
        service.process.wait(60)
        service.start()
        # With no worker left the door was lost too; one that only hung had it.
        assert service.ok("mounts") == (
            "img:dead:0:1" if step == "holder:worker-died"
            else "img:alive:0:1")
    elif taking:
        service.start("upgrade", wait=False,
                      kill=step + ":1" if step == "holder:taken" else None)
        if step == "holder:taken":
            assert service.process.wait(60) == -signal.SIGKILL
            service.process = service.old.pop()
        else:
            assert service.old[-1].wait(60) == -signal.SIGKILL
            service.process.wait(60)
            service.start()
    elif step == "holder:unmounting":
        assert service.ask("umount", "img", "0").startswith("io")
        assert service.ok("mounts") == "img:alive:0:1"
        service.kill_holder()
        service.start()
    if service.ok("mounts") == "img:dead:0:1":
        service.ok("umount", "img", "0")
        mount(service)
    drop_caches(target)
    image.same(target)
    service.ok("umount", "img", "0")
