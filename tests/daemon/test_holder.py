# SPDX-License-Identifier: Apache-2.0
"""Holder and FUSE door alone: who dies, who takes over, what is refused."""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from lib.doorman import (  # noqa: F401 (fixtures)
    Doorman, Readers, drop_caches, image, mount, patience, program, service)

SOAK = os.environ.get("EK_SOAK") == "1"
UPGRADES = 250 if SOAK else 3
MOUNT_SUID, MOUNT_LOOP, MOUNT_LAYER = 1, 2, 4


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


def test_worker_is_mute(service, image):
    """Its heart beats, nothing is pending, and a read is never answered."""
    service.options += ("deadline=300",)
    service.start()
    target = mount(service)
    drop_caches(target)
    worker = service.worker
    service.ok("delay", "100000")
    image.same(target)
    assert service.worker != worker
    assert service.log().count("reason=hangs") == 1


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


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


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
    before = descriptors(service.process.pid)
    readers = Readers(image, target)
    for i in range(UPGRADES):
        signal.alarm(120)
        worker, old = service.worker, service.process
        if i % 4 < 3:  # else another one at once
            time.sleep(0.1)
        service.start("upgrade")
        assert old.wait(60) == 0
        service.wait_for(lambda last=worker: service.worker != last)
        assert not readers.errors, (i, readers.errors, service.log())
        drop_caches(target)
        if len(service.old) > 8:
            service.old.pop(0)
    assert readers.end() == [] and readers.rounds > 0
    assert service.ask("ping", connection=idle).startswith("ok")
    assert service.stats()["generation"] == UPGRADES
    assert descriptors(service.process.pid) <= before + 1
    assert "event=kill" not in service.log()


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


def no_worker_comes(service, image):
    """A mounted image; workers end as they start: a file of theirs is gone."""
    service.options += ("deadline=1500",)
    service.start()
    target = mount(service)
    drop_caches(target)
    os.unlink(os.path.join(service.root, "meta"))
    worker = service.kill_worker()
    service.wait_for(lambda: service.log().count("event=death") > 1)
    assert not os.path.exists("/proc/%d" % worker)
    return subprocess.Popen(["cat", os.path.join(target, "f1")],
                            stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True)


def test_no_worker_comes(service, image):
    """Readers get an error at the deadline; then one comes, and serves."""
    reader = no_worker_comes(service, image)
    assert "Input/output error" in reader.communicate(timeout=60)[1] \
        or "not connected" in reader.communicate()[1]
    assert service.log().count("no worker comes up") == 1
    os.link(image.meta, os.path.join(service.root, "meta"))
    service.wait_for(lambda: service.ask("ping").startswith("ok"))
    image.same(mount(service, ident="again"))


def test_no_worker_to_keep(service, image):
    """Asked to stop while none comes up: it tries, slowly, then gives up."""
    reader = no_worker_comes(service, image)
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(60) == 0
    assert reader.wait(60) != 0
    assert service.log().count("event=start ") < 25
    assert service.run_dir not in open("/proc/self/mounts").read()


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
    service.ok("umount", "rw", "0")
    # But not in another image; that had no changes yet.
    answer = service.ask("overlay", "rw", written, "1", "l1")
    assert answer.startswith("differs") and "another image" in answer
    assert service.ok("mounts").count("rw:") == 0
    service.ok("overlay", "rw2", written, "1", "l0")
    service.ok("umount", "rw2", "0")
    service.ok("overlay", "rw2", written, "1", "l1")
    for name in ("rw2", "over", "l0", "l1"):
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
            (("flags", free, "8", "meta", "blob"), "flags"),
            (("x/y", free, "0", "meta", "blob"), "id"),
            (("flags", free, "64", "meta", "blob"), "flags"),
            (("none", free, "0", "nothing"), "source"),
            (("data", free, "0", "blob"), "EROFS")):
        answer = service.ask("mount", *words)
        assert not answer.startswith("ok") and why in answer, answer
    assert "setuid" in service.ask("overlay", "suid", free, "2", "img", "img")
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
        assert not service.ask("open", path).startswith("ok"), path
    assert service.ask("open", root + "/meta").startswith("ok")
    # Nothing of it is left, and all still works.
    assert service.ok("mounts") == "img:alive:0:1"
    assert os.listdir(os.path.join(service.run_dir, "images")) == []


def test_only_empty_targets(service, image):
    """What lies there already is not hidden by what a worker wrote."""
    service.start()
    mount(service)
    service.ok("mount", "l0", "-", str(MOUNT_LAYER), "meta", "blob")
    full = service.target("full")
    with open(os.path.join(full, ".file"), "w"):
        pass
    for words in (("mount", "full", full, "0", "meta", "blob"),
                  ("overlay", "full", full, "1", "l0")):
        answer = service.ask(*words)
        assert answer.startswith("exists") and "empty" in answer, answer
    os.unlink(os.path.join(full, ".file"))
    service.ok("mount", "full", full, "0", "meta", "blob")
    image.same(full)


def test_open(program, work):
    """Without roots in the configuration: what the worker's user may read."""
    for path in (work, os.path.dirname(work)):
        os.chmod(path, os.stat(path).st_mode | 0o011)
    with Doorman(program, work, "as-worker") as service:
        root = service.root
        hidden = service.target("hidden")
        for name in ("open", "secret", "hidden/file"):
            with open(os.path.join(root, name), "w"):
                pass
        os.chmod(os.path.join(root, "secret"), 0o600)
        os.chmod(hidden, 0o700)
        service.start()
        for name in ("secret", "hidden/file"):
            answer = service.ask("open", os.path.join(root, name))
            assert "not readable for everybody" in answer, answer
        service.ok("open", os.path.join(root, "open"))


def test_setuid(program, work, image):
    with Doorman(program, work, "suid") as service:
        for name in ("meta", "blob"):
            os.link(getattr(image, name), os.path.join(service.root, name))
        service.start()
        mount(service)
        mount(service, "suid", MOUNT_SUID, "suid")
        service.ok("mount", "l0", "-", str(MOUNT_LAYER | MOUNT_SUID), "meta",
                   "blob")
        # An overlay honours what is asked for it, whatever is allowed.
        for name, flags in (("over", "1"), ("over-suid", "3")):
            service.ok("overlay", name, service.target(name), flags, "l0")
        with open("/proc/self/mounts") as lines:
            options = {line.split()[1]: line.split()[3] for line in lines}
        root = service.root
        assert "nosuid" in options[root + "/mnt"].split(",")
        assert "nosuid" not in options[root + "/suid"].split(",")
        assert "nosuid" in options[root + "/over"].split(",")
        assert "nosuid" not in options[root + "/over-suid"].split(",")
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
