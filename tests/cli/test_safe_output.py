# SPDX-License-Identifier: Apache-2.0
"""Whatever happens, a target is the old one or the new one, complete."""

import os
import signal
import subprocess
import threading

import pytest

from lib import mounts, oracle
from lib.content import noise, text
from lib.image import Superblock
from lib.run import environment, kill_when

OLD = b"the old contents"


@pytest.fixture(scope="module")
def slow(memory):
    """A source that takes a second or more with lz4hc,12 on one worker."""
    path = os.path.join(memory, "slow")
    os.mkdir(path)
    data = text(2 << 20)
    for i in range(40):
        with open(os.path.join(path, "file-%d" % i), "wb") as out:
            out.write(b"%d" % i)
            out.write(data)
    return path


SLOWLY = ("-zlz4hc,12", "-C1048576", "--workers=1")


@pytest.fixture
def src(work):
    path = os.path.join(work, "src")
    os.mkdir(path)
    for i in range(20):
        with open(os.path.join(path, "f%02d" % i), "wb") as out:
            out.write(noise(100000, i))
    return path


@pytest.fixture
def old(work):
    path = os.path.join(work, "out")
    os.mkdir(path)
    image = os.path.join(path, "out.img")
    with open(image, "wb") as out:
        out.write(OLD)
    return image


def intact(image):
    with open(image, "rb") as f:
        return f.read() == OLD


def temporaries(image):
    return [name for name in os.listdir(os.path.dirname(image))
            if name != os.path.basename(image)]


def under_way(image):
    """The temporary file is there and has grown."""
    where = os.path.dirname(image)
    for name in temporaries(image):
        try:
            if os.path.getsize(os.path.join(where, name)) > 100000:
                return True
        except FileNotFoundError:
            pass
    return False


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT,
                                    signal.SIGHUP], ids=lambda s: s.name)
def test_signal(mkfs, slow, old, signum):
    process = mkfs.start("--quiet", *SLOWLY, old, slow)
    code = kill_when(process, lambda: under_way(old), signum)
    assert code == -signum
    assert intact(old)
    assert temporaries(old) == []


def test_signal_at_once(mkfs, slow, old):
    """However early it comes."""
    for delay in range(12):
        process = mkfs.start("--quiet", *SLOWLY, old, slow)
        timer = threading.Timer(delay * 0.002, process.terminate)
        timer.start()
        process.communicate(timeout=60)
        timer.join()
        assert process.returncode == -signal.SIGTERM
        assert intact(old)
        assert temporaries(old) == []


def test_ignored_signals_stay_ignored(mkfs, src, old):
    """As nohup(1) wants it."""
    process = subprocess.Popen(
        ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"]
        + mkfs.argv(["--quiet", "-zlz4hc,12", "--workers=1", old, src]),
        env=environment(), stdin=subprocess.DEVNULL)
    kill_when(process, lambda: temporaries(old), signal.SIGHUP)
    assert process.returncode == 0
    assert Superblock(old).inos == 21


def test_kill(mkfs, slow, old):
    process = mkfs.start("--quiet", *SLOWLY, old, slow)
    code = kill_when(process, lambda: under_way(old), signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert intact(old)


def test_after_a_kill_the_next_run_works(mkfs, src, slow, old):
    process = mkfs.start("--quiet", *SLOWLY, old, slow)
    kill_when(process, lambda: under_way(old), signal.SIGKILL)
    mkfs.ok("--quiet", old, src)
    assert Superblock(old).inos == 21


@pytest.mark.parametrize("room", ["64k", "1m"])
def test_full_tmpfs(mkfs, work, src, room):
    with mounts.tmpfs(os.path.join(work, "full"), room) as where:
        image = os.path.join(where, "out.img")
        with open(image, "wb") as out:
            out.write(OLD)
        result = mkfs.fails("--quiet", image, src, code=1)
        assert "No space left" in result.errors
        assert intact(image) and temporaries(image) == []
        os.unlink(image)
        mkfs.fails("--quiet", "-zlz4", image, src, code=1)
        assert os.listdir(where) == []


def test_full_ext4(mkfs, work, src):
    """Delayed allocation: the lack may show only late."""
    with mounts.ext4(os.path.join(work, "ext4.img"),
                     os.path.join(work, "full"), 2 << 20) as where:
        image = os.path.join(where, "out.img")
        with open(image, "wb") as out:
            out.write(OLD)
        before = sorted(os.listdir(where))
        result = mkfs.fails("--quiet", image, src, code=1)
        assert "No space left" in result.errors
        assert intact(image)
        assert sorted(os.listdir(where)) == before


def test_file_size_limit(mkfs, src, old):
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 64; trap "" XFSZ; exec "$@"', "sh"]
        + mkfs.argv(["--quiet", old, src]), env=environment(),
        capture_output=True)
    assert done.returncode == 1 and done.stderr
    assert intact(old) and temporaries(old) == []


def test_target_inside_the_source(mkfs, mounter, work, src):
    """It is left out of itself, and so is the one of an earlier run."""
    image = os.path.join(src, "out.img")
    plain = os.path.join(work, "plain.img")
    os.utime(src, (1600000000, 1600000000))
    mkfs.ok("--quiet", "-T0", plain, src)
    for _ in range(2):
        mkfs.ok("--quiet", "-T0", image, src)
        with open(plain, "rb") as a, open(image, "rb") as b:
            assert a.read() == b.read()
    with mounter.mounted(plain) as where:
        assert "out.img" not in os.listdir(where)


def test_all_outputs_inside_the_source(mkfs, mounter, work, src):
    """Neither they nor their temporary names are in the image."""
    image, text, blob = (os.path.join(src, name)
                         for name in ("out.img", "out.mf", "out.blob"))
    plain = os.path.join(work, "plain.img")
    os.utime(src, (1600000000, 1600000000))
    mkfs.ok("--quiet", "-T0", plain, src)
    for _ in range(2):
        mkfs.ok("--quiet", "-T0", "--verify", "--manifest-out=" + text, image,
                src)
        with open(plain, "rb") as a, open(image, "rb") as b:
            assert a.read() == b.read()
    names = set(os.listdir(src))
    mkfs.ok("--quiet", "--chunksize=4096", "--blobdev=" + blob,
            "--manifest-out=" + text, image, src)
    with open(text, "rb") as f:
        assert b"out." not in f.read()
    assert set(os.listdir(src)) == names | {"out.blob"}


def test_target_by_symlink(mkfs, work, src, old):
    """The file is replaced, the link stays."""
    link = os.path.join(work, "link.img")
    os.symlink(old, link)
    mkfs.ok("--quiet", link, src)
    assert os.path.islink(link)
    assert Superblock(old).inos == 21


def test_permissions(mkfs, work, src, old):
    """An old target keeps its own; a new one obeys the umask."""
    os.chmod(old, 0o640)
    mkfs.ok("--quiet", old, src)
    assert os.stat(old).st_mode & 0o7777 == 0o640
    fresh = os.path.join(work, "fresh.img")
    mkfs.ok("--quiet", fresh, src, umask=0o027)
    assert os.stat(fresh).st_mode & 0o7777 == 0o640


@pytest.mark.parametrize("kind", ["pipe", "fifo", "null"])
def test_targets_that_cannot_seek(mkfs, work, src, kind):
    if kind == "pipe":
        result = mkfs.run("--quiet", "/dev/stdout", src)
        assert result.code == 1 and not result.out
    elif kind == "fifo":
        fifo = os.path.join(work, "fifo")
        os.mkfifo(fifo)
        result = mkfs.run("--quiet", fifo, src, timeout=20)
        assert result.code == 1
        assert os.path.exists(fifo)
    else:
        result = mkfs.run("--quiet", "/dev/null", src)
        assert result.code == 1
        assert not os.path.isfile("/dev/null")
    assert result.err


def test_block_device(mkfs, mounter, work, src):
    """Written in place, and as a file would be."""
    plain = os.path.join(work, "plain.img")
    mkfs.ok("--quiet", "-zlz4", plain, src)
    backing = os.path.join(work, "backing")
    with open(backing, "wb") as out:
        out.write(b"\xee" * (8 << 20))
    with mounts.loop(backing) as device:
        mkfs.ok("--quiet", "-zlz4", device, src)
        with open(plain, "rb") as a, open(device, "rb") as b:
            want = a.read()
            assert b.read(len(want)) == want
        want = oracle.normal(oracle.walk(src))
    with mounter.mounted(backing, "loop") as where:
        oracle.assert_same(want, oracle.normal(oracle.walk(where), True))


def test_block_device_too_small(mkfs, work, src):
    backing = os.path.join(work, "backing")
    with open(backing, "wb") as out:
        out.truncate(512 << 10)
    with mounts.loop(backing) as device:
        result = mkfs.fails("--quiet", device, src, code=1)
        assert os.path.basename(device) in result.errors


def test_block_device_that_is_mounted(mkfs, work, src):
    with mounts.ext4(os.path.join(work, "ext4.img"),
                     os.path.join(work, "mnt"), 4 << 20) as where:
        with open("/proc/self/mounts") as lines:
            device = [line.split()[0] for line in lines
                      if line.split()[1] == where][0]
        result = mkfs.fails("--quiet", device, src, code=1)
        assert os.path.basename(device) in result.errors


NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


@pytest.mark.parametrize("what", ["file", "directory"])
def test_unreadable(mkfs, session_dir, work, src, what):
    """Named, and nothing is made."""
    os.chmod(session_dir, 0o755)
    os.chmod(work, 0o777)
    name = os.path.join(src, "f07" if what == "file" else "locked")
    if what == "directory":
        os.mkdir(name)
    os.chmod(name, 0)
    done = subprocess.run(
        NOBODY + mkfs.argv(["--quiet", os.path.join(work, "x.img"), src]),
        env=environment(), capture_output=True)
    if done.returncode == 126:
        pytest.skip("nobody may not run the program")
    assert done.returncode == 1
    assert os.path.basename(name).encode() in done.stderr
    assert sorted(os.listdir(work)) == ["src"]


def test_without_root(mkfs, session_dir, work, src):
    """An ordinary user builds what he may read."""
    os.chmod(session_dir, 0o755)
    os.chmod(work, 0o777)
    image = os.path.join(work, "x.img")
    done = subprocess.run(NOBODY + mkfs.argv(["--quiet", image, src]),
                          env=environment(), capture_output=True)
    assert done.returncode == 0, done.stderr
    plain = os.path.join(work, "plain.img")
    mkfs.ok("--quiet", plain, src)
    with open(plain, "rb") as a, open(image, "rb") as b:
        assert a.read() == b.read()


def change_at_open(mkfs, intercept, old, src, watched, *command):
    """Build, and run command when the builder opens the watched file."""
    with subprocess.Popen([intercept, "open", os.path.join(src, watched),
                           *command], stdout=subprocess.PIPE,
                          text=True) as watch:
        assert watch.stdout.readline() == "ready\n"
        result = mkfs.run("--quiet", "--workers=1", old, src)
        assert watch.wait(60) == 0
    return result


def many(src, count):
    for i in range(count):
        with open(os.path.join(src, "g%04d" % i), "wb") as out:
            out.write(b"x" * 5000)


def test_vanishing_file(mkfs, intercept, old, src):
    """It was there when the directory was read, and is not when it is
    opened: an error that names it, no image without it."""
    many(src, 500)
    victim = os.path.join(src, "g0499")
    result = change_at_open(mkfs, intercept, old, src, "f00", "rm", victim)
    assert result.code == 1
    assert "g0499" in result.errors
    assert intact(old) and temporaries(old) == []


@pytest.mark.parametrize("how", ["grows", "shrinks", "same-size", "replaced"])
def test_changing_file(mkfs, intercept, old, src, how):
    """What was read may not differ from what was measured."""
    victim = os.path.join(src, "f10")
    command = {
        "grows": 'printf more >> "$1"',
        "shrinks": 'truncate -s 50000 "$1"',
        "same-size": 'printf XX | dd of="$1" bs=1 seek=4097 conv=notrunc',
        "replaced": 'cp "$1" "$1.new" && printf y >> "$1.new" && '
                    'mv "$1.new" "$1"',
    }[how]
    result = change_at_open(mkfs, intercept, old, src, "f00", "sh", "-c",
                            command + " 2>/dev/null", "sh", victim)
    assert result.code == 1
    assert "f10" in result.errors
    assert intact(old) and temporaries(old) == []


def test_file_that_changes_while_it_is_read(mkfs, intercept, old, src):
    victim = os.path.join(src, "f10")
    with open(victim, "wb") as out:
        out.write(noise(8 << 20))
    with subprocess.Popen([intercept, "read", victim, "truncate", "-s",
                           "100000", victim], stdout=subprocess.PIPE,
                          text=True) as watch:
        assert watch.stdout.readline() == "ready\n"
        result = mkfs.run("--quiet", "--workers=1", old, src)
        assert watch.wait(60) == 0
    assert result.code == 1
    assert "f10" in result.errors
    assert intact(old) and temporaries(old) == []


def test_xattr_that_does_not_fit(mkfs, memory, old):
    """64 KiB of value is more than the format's 16 bits can say."""
    path = os.path.join(memory, "too-large")
    os.mkdir(path)
    name = os.path.join(path, "monster")
    with open(name, "w"):
        pass
    os.setxattr(name, "user.monster", bytes(65536))
    result = mkfs.fails("--quiet", old, path, code=1)
    assert "monster" in result.errors
    assert intact(old) and temporaries(old) == []
    os.setxattr(name, "user.monster", bytes(65535))
    mkfs.ok("--quiet", old, path)
