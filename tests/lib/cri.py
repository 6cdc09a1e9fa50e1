# SPDX-License-Identifier: Apache-2.0
"""containerd of Debian 12 with nydus-snapshotter of Debian 13, in place.

programs() fetches the packages through an apt state of its own (nothing is
added to the system's) and unpacks them below CACHE. Messages of the CRI are
written by hand: a few fields do not need a compiler of protocols.
"""

import os
import subprocess
import sys
import time

CACHE = os.path.join(os.environ.get("EK_CORPUS_CACHE") or
                     "/var/tmp/erofskit-corpora", "containerd")
BOOKWORM = ("containerd", "runc", "docker-registry", "python3-grpcio")
TRIXIE = ("nydus-snapshotter",)
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MIRROR = "http://deb.debian.org/debian"
PATIENCE = 300


def _run(argv, **more):
    subprocess.run(argv, check=True, timeout=PATIENCE,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE, **more)


def _fetch(where, release, packages):
    """Download packages of a release into where."""
    state = os.path.join(where, release)
    for name in ("lists/partial", "cache/archives/partial", "etc/parts"):
        os.makedirs(os.path.join(state, name))
    with open(os.path.join(state, "etc/sources.list"), "w") as out:
        out.write("deb [signed-by=%s] %s %s main\n" % (KEYRING, MIRROR,
                                                       release))
    with open(os.path.join(state, "status"), "w"):
        pass
    options = []
    for key, value in (("State", ""), ("State::status", "status"),
                       ("State::lists", "lists"), ("Cache", "cache"),
                       ("Etc::sourcelist", "etc/sources.list"),
                       ("Etc::sourceparts", "etc/parts")):
        options += ["-o", "Dir::%s=%s" % (key, os.path.join(state, value))]
    options += ["-o", "APT::Sandbox::User=root"]
    _run(["apt-get", *options, "update"])
    _run(["apt-get", *options, "download", *packages], cwd=where)


def programs():
    """The root below which the packages are unpacked."""
    root = os.path.join(CACHE, "root")
    if os.path.isdir(root):
        return root
    work = "%s.part-%d" % (CACHE, os.getpid())
    os.makedirs(os.path.join(work, "root"))
    try:
        _fetch(work, "bookworm", BOOKWORM)
        _fetch(work, "trixie", TRIXIE)
        for name in sorted(os.listdir(work)):
            if name.endswith(".deb"):
                _run(["dpkg-deb", "-x", os.path.join(work, name),
                      os.path.join(work, "root")])
        os.rename(work, CACHE)
    finally:
        subprocess.run(["rm", "-rf", work], check=False)
    return root


def _varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def message(*fields):
    """A protobuf message of (number, value): an int, a text, or bytes."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += _varint(number << 3) + _varint(value)
            continue
        data = value.encode() if isinstance(value, str) else value
        out += _varint(number << 3 | 2) + _varint(len(data)) + data
    return out


def _read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def fields(data):
    """{number: the last value}; a group or a fixed number is no answer."""
    found, at = {}, 0
    while at < len(data):
        key, at = _read_varint(data, at)
        if key & 7 == 0:
            found[key >> 3], at = _read_varint(data, at)
        elif key & 7 == 2:
            size, at = _read_varint(data, at)
            found[key >> 3] = data[at:at + size]
            at += size
        else:
            raise ValueError("wire type %d" % (key & 7))
    return found


class Cri:
    """The runtime and image services at a socket."""

    def __init__(self, root, socket):
        sys.path.append(os.path.join(root, "usr/lib/python3/dist-packages"))
        import grpc
        self.grpc = grpc
        self.channel = grpc.insecure_channel("unix://" + socket)

    def call(self, method, *request):
        service = ("ImageService" if method.endswith("Image")
                   else "RuntimeService")
        send = self.channel.unary_unary("/runtime.v1.%s/%s" % (service,
                                                               method))
        return fields(send(message(*request), timeout=PATIENCE))

    def wait(self):
        """Until it answers at all."""
        end = time.monotonic() + 60
        while True:
            try:
                return self.call("Version", (1, "v1"))
            except self.grpc.RpcError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def pull(self, image):
        return self.call("PullImage", (1, message((1, image))))[1].decode()

    def sandbox(self, name, logs, cgroup):
        """A pod in the network of the host; its id and its config."""
        node = message((1, 2), (2, 1))
        config = message(
            (1, message((1, name), (2, name + "-uid"), (3, "default"))),
            (3, logs),
            (8, message((1, cgroup), (2, message((1, node))))))
        return self.call("RunPodSandbox", (1, config))[1].decode(), config

    def container(self, sandbox, config, name, image, *command):
        made = self.call(
            "CreateContainer", (1, sandbox),
            (2, message((1, message((1, name))), (2, message((1, image))),
                        *((3, word) for word in command),
                        (11, name + ".log"))),
            (3, config))[1].decode()
        self.call("StartContainer", (1, made))
        return made

    def execute(self, container, *command):
        """(exit code, stdout, stderr) of a command in a container."""
        got = self.call("ExecSync", (1, container),
                        *((2, word) for word in command), (3, 120))
        return got.get(3, 0), got.get(1, b""), got.get(2, b"")

    def remove(self, sandbox):
        self.call("StopPodSandbox", (1, sandbox))
        self.call("RemovePodSandbox", (1, sandbox))
