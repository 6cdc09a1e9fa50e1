# SPDX-License-Identifier: Apache-2.0
"""What the service manager keeps for a holder, and when it keeps nothing."""

import os
import signal
import socket
import subprocess
import time

import pytest

from lib.doorman import (  # noqa: F401 (fixtures)
    Readers, drop_caches, image, mount, patience, program, service)


class Manager:
    """The service manager's side: what it was told, and what it keeps."""

    def __init__(self, service):
        self.path = os.path.join(service.work, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(30)
        self.kept, self.told, self.stored = {}, [], []

    def hear(self):
        text, fds, _, _ = socket.recv_fds(self.socket, 4096, 4)
        lines = text.decode().split("\n")
        self.told += lines
        name = [line for line in lines if line.startswith("FDNAME=")]
        name = name and name[0][len("FDNAME="):]
        if "FDSTORE=1" in lines:
            self.kept[name] = fds[0]
            self.stored.append(name)
        elif "FDSTOREREMOVE=1" in lines and name in self.kept:
            os.close(self.kept.pop(name))

    def hear_until(self, true):
        while not true():
            self.hear()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        for fd in self.kept.values():
            os.close(fd)
        self.socket.close()


@pytest.fixture
def manager(service):
    with Manager(service) as made:
        yield made


def test_descriptor_store(service, image, manager):
    """Both die; the service manager has the descriptors: nobody notices."""
    service.options += ("delay=3",)
    service.start(notify=manager.path)
    manager.hear_until(lambda: "READY=1" in manager.told)
    assert sorted(manager.kept) == ["api", "door", "listener", "shared"]
    target = mount(service)
    drop_caches(target)
    readers = Readers(image, target, 2)
    worker = service.worker
    service.process.send_signal(signal.SIGSTOP)
    os.kill(worker, signal.SIGKILL)
    service.kill_holder()
    time.sleep(0.1)
    service.start(kept=manager.kept)
    assert readers.end() == []
    assert service.worker != worker
    assert service.ok("mounts").startswith("img:alive:0:1")


def test_descriptor_store_after_stop(service, image, manager):
    """What was stopped is not kept; what was kept all the same is useless."""
    service.start(notify=manager.path)
    manager.hear_until(lambda: "READY=1" in manager.told)
    left = {name: os.dup(fd) for name, fd in manager.kept.items()}
    service.ok("stop", "0")
    assert service.process.wait(60) == 0
    manager.hear_until(lambda: not manager.kept)
    # Its sockets have no names any more: new ones are made.
    service.start(kept=left)
    for fd in left.values():
        os.close(fd)
    image.same(mount(service))
    service.start("upgrade")


def test_descriptor_store_not_whole(service, image, manager):
    """A door without what belongs to it: its readers get errors."""
    service.options += ("delay=60000",)
    service.start(notify=manager.path)
    manager.hear_until(lambda: "READY=1" in manager.told)
    service.ok("add", "blob", os.path.join(service.root, "blob"))
    reader = subprocess.Popen(
        ["cat", os.path.join(service.run_dir, "door", "blob")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    service.wait_for(lambda: service.stats()["waits"])
    worker = service.worker
    service.process.send_signal(signal.SIGSTOP)
    os.kill(worker, signal.SIGKILL)
    service.kill_holder()
    os.close(manager.kept.pop("shared"))
    service.start(kept=manager.kept)
    # Now only the new service could keep the reader waiting.
    while manager.kept:
        os.close(manager.kept.popitem()[1])
    assert reader.wait(60) != 0
    assert service.stats()["generation"] == 0


def test_descriptor_store_new_door(service, image, manager):
    """The lost door is not kept: its readers get errors."""
    service.options += ("delay=60000",)
    service.start("no-resend", notify=manager.path)
    manager.hear_until(lambda: "READY=1" in manager.told)
    service.ok("add", "blob", os.path.join(service.root, "blob"))
    reader = subprocess.Popen(
        ["cat", os.path.join(service.run_dir, "door", "blob")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    service.wait_for(lambda: service.stats()["waits"])
    service.kill_worker()
    manager.hear_until(lambda: manager.stored.count("door") == 2)
    assert reader.wait(60) != 0
    assert sorted(manager.kept) == ["api", "door", "listener", "shared"]
