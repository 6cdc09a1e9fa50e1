# SPDX-License-Identifier: Apache-2.0
"""A disk whose power can be cut: a file served over FUSE that knows which
writes came after the last flush.

    with Disk(work, size) as disk:      # disk.file, to be a loop device
        lost = disk.cut(path, seed)     # what a cut now would leave, in path

cut() writes what was there at the last flush and a random part of the writes
since, whole or torn at 4 KiB; it returns how many blocks it left out. The
served disk itself goes on. The server is a process of its own: who waits for
this disk must not be the one who serves it.
"""

import ctypes
import os
import random
import struct
import subprocess
import sys

BLOCK = 4096
WRITE_MAX = 128 << 10
FORGET, GETATTR, OPEN, READ, WRITE, STATFS = 2, 3, 14, 15, 16, 17
RELEASE, FSYNC, FLUSH, INIT, BATCH_FORGET = 18, 20, 25, 26, 42
ENOSYS = 38
DIRECT_IO = 1
IN = struct.Struct("<IIQQIIIHH")  # length opcode id node uid gid pid 2 words


class Server:
    """The kernel's side: one regular file, which is the root."""

    def __init__(self, target, size):
        self.fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        self.size = size
        self.now = bytearray(size)
        self.durable = bytearray(size)
        self.log = []  # offsets of blocks and their bytes since the last flush
        libc = ctypes.CDLL(None, use_errno=True)
        options = "fd=%d,rootmode=100600,user_id=0,group_id=0" % self.fd
        if libc.mount(b"powerdisk", target.encode(), b"fuse", 0,
                      options.encode()) != 0:
            raise OSError(ctypes.get_errno(), "mount")

    def attributes(self):
        now = 1600000000
        attr = struct.pack("<QQQQQQIIIIIIIIII", 1, self.size,
                           self.size // 512, now, now, now, 0, 0, 0,
                           0o100600, 1, 0, 0, 0, BLOCK, 0)
        return struct.pack("<QII", 3600, 0, 0) + attr

    def write(self, offset, data):
        self.now[offset:offset + len(data)] = data
        for at in range(0, len(data), BLOCK):
            self.log.append((offset + at, data[at:at + BLOCK]))

    def flush(self):
        for offset, data in self.log:
            self.durable[offset:offset + len(data)] = data
        self.log = []

    def cut(self, path, seed):
        rng = random.Random(seed)
        share = rng.random()
        left = bytearray(self.durable)
        lost = 0
        for offset, data in self.log:
            if rng.random() < share:
                left[offset:offset + len(data)] = data
            else:
                lost += 1
        with open(path, "wb") as out:
            out.write(left)
        return lost

    def answer(self, opcode, body):
        """(error, bytes), or None when there is no answer."""
        if opcode == INIT:
            # major minor readahead flags background congestion max_write
            # granularity max_pages and the rest
            return 0, struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, 0, 16, 12,
                                  WRITE_MAX, 1, 0, 0, 0)
        if opcode == GETATTR:
            return 0, self.attributes()
        if opcode == OPEN:
            return 0, struct.pack("<QII", 1, DIRECT_IO, 0)
        if opcode == READ:
            _, offset, n = struct.unpack_from("<QQI", body)
            return 0, bytes(self.now[offset:min(offset + n, self.size)])
        if opcode == WRITE:
            _, offset, n = struct.unpack_from("<QQI", body)
            self.write(offset, bytes(body[40:40 + n]))
            return 0, struct.pack("<II", n, 0)
        if opcode in (FSYNC, FLUSH):
            if opcode == FSYNC:
                self.flush()
            return 0, b""
        if opcode == RELEASE:
            return 0, b""
        if opcode in (FORGET, BATCH_FORGET):
            return None
        return ENOSYS, b""

    def one(self):
        message = memoryview(os.read(self.fd, WRITE_MAX + BLOCK))
        _, opcode, unique, *_ = IN.unpack_from(message)
        got = self.answer(opcode, message[IN.size:])
        if got:
            error, data = got
            os.write(self.fd, struct.pack("<IiQ", 16 + len(data), -error,
                                          unique) + data)


def serve(target, size):
    """Requests of the kernel and, between them, lines "SEED PATH"."""
    import select

    server = Server(target, size)
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([server.fd, sys.stdin], [], [])
        if server.fd in ready:
            try:
                server.one()
            except OSError as why:
                if why.errno == 19:  # ENODEV: it was unmounted
                    return
                if why.errno not in (2, 4, 11):
                    raise
        if sys.stdin in ready:
            line = sys.stdin.readline()
            if not line:
                return
            seed, path = line.rstrip("\n").split(" ", 1)
            print(server.cut(path, int(seed)), flush=True)


class Disk:
    def __init__(self, work, size):
        self.file = os.path.join(work, "powerdisk")
        self.size = size

    def __enter__(self):
        with open(self.file, "w"):
            pass
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), self.file,
             str(self.size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True)
        assert self.process.stdout.readline() == "ready\n"
        # The size is known from now on.
        assert os.stat(self.file).st_size == self.size
        return self

    def __exit__(self, *args):
        subprocess.run(["umount", "-l", self.file], capture_output=True)
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()

    def cut(self, path, seed):
        self.process.stdin.write("%d %s\n" % (seed, path))
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
