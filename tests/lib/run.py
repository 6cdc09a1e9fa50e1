# SPDX-License-Identifier: Apache-2.0
"""Running the programs under test."""

import os
import signal
import subprocess
import time

PLAIN_ENV = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "HOME": "/nonexistent",
}
TIMEOUT = 120
SANITIZERS = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS",
              "LSAN_OPTIONS")


def environment(extra=None):
    """Few variables, so that a caller's own cannot change a result."""
    env = dict(PLAIN_ENV)
    for name in SANITIZERS:
        if name in os.environ:
            env[name] = os.environ[name]
    env.update(extra or {})
    return {k: v for k, v in env.items() if v is not None}


class Result:
    def __init__(self, argv, code, out, err):
        self.argv = argv
        self.code = code
        self.out = out
        self.err = err

    @property
    def text(self):
        return self.out.decode("utf-8", "surrogateescape")

    @property
    def errors(self):
        return self.err.decode("utf-8", "surrogateescape")

    def __repr__(self):
        return "%r -> %d\n--- stdout\n%s\n--- stderr\n%s" % (
            self.argv, self.code, self.text[-3000:], self.errors[-3000:])


class Tool:
    """A program by path. Calls return a Result; ok() demands exit 0."""

    def __init__(self, path):
        self.path = path

    def argv(self, args):
        return [self.path] + [os.fspath(a) if not isinstance(a, (int, str))
                              else str(a) for a in args]

    def run(self, *args, env=None, cwd=None, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, timeout=TIMEOUT, **more):
        argv = self.argv(args)
        done = subprocess.run(argv, env=environment(env), cwd=cwd,
                              stdin=stdin, stdout=stdout,
                              stderr=subprocess.PIPE, timeout=timeout, **more)
        result = Result(argv, done.returncode, done.stdout or b"",
                        done.stderr)
        assert done.returncode >= 0, "died by signal: %r" % result
        assert b"Sanitizer" not in done.stderr, repr(result)
        return result

    def ok(self, *args, **kwargs):
        result = self.run(*args, **kwargs)
        assert result.code == 0, repr(result)
        return result

    def fails(self, *args, code=None, **kwargs):
        result = self.run(*args, **kwargs)
        assert result.code != 0, "should have failed: %r" % result
        if code is not None:
            assert result.code == code, repr(result)
        assert result.err, "no word on stderr: %r" % result
        return result

    def start(self, *args, env=None, cwd=None):
        return subprocess.Popen(self.argv(args), env=environment(env),
                                cwd=cwd, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)


def kill_when(process, condition, signum=signal.SIGTERM, timeout=30):
    """Send signum once condition() holds; the exit code, or None if the
    process ended by itself before."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            process.send_signal(signum)
            break
        if process.poll() is not None:
            break
        time.sleep(0.0005)
    process.communicate(timeout=timeout)
    return process.returncode
