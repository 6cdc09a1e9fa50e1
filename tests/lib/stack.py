# SPDX-License-Identifier: Apache-2.0
"""A WordPress stack as an image of three layers (a small Debian with Apache
and PHP, WordPress, a configuration), and how to run it from a directory.

WordPress has no database here: what it answers first is the page that asks
for one, made by its own PHP and its translations."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
import urllib.request

from lib import corpora

PAGE = "/wp-admin/setup-config.php"
CONF = """ServerName localhost
ServerRoot /etc/apache2
PidFile /run/apache2.pid
Listen 127.0.0.1:%d
User www-data
Group www-data
ErrorLog /dev/null
LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so
LoadModule php_module /usr/lib/apache2/modules/libphp8.2.so
TypesConfig /etc/mime.types
DirectoryIndex index.php
<FilesMatch \\.php$>
SetHandler application/x-httpd-php
</FilesMatch>
DocumentRoot /usr/share/wordpress
<Directory /usr/share/wordpress>
Require all granted
</Directory>
StartServers 1
MinSpareServers 1
MaxSpareServers 1
"""
PATIENCE = 120  # seconds until it answers


def _tar(root, out, *words):
    subprocess.run(
        ["tar", "-C", root, "--format=pax", "--numeric-owner", "--sort=name",
         "--pax-option=delete=atime,delete=ctime", "--one-file-system",
         "-cf", out, *words], check=True, stdin=subprocess.DEVNULL)


def layers(where):
    """Make the layers' tars in directory where (once); their paths, bottom
    first."""
    root = corpora.get("wpstack")
    paths = [os.path.join(where, name + ".tar")
             for name in ("base", "wordpress", "config")]
    if all(os.path.exists(p) for p in paths):
        return paths
    ours = ("./usr/share/wordpress", "./etc/wordpress")
    _tar(root, paths[0], "--exclude=./proc/*", "--exclude=./sys/*",
         "--exclude=./dev/*", *("--exclude=" + p for p in ours), ".")
    # Debian's own configuration wants a database: the page needs none.
    _tar(root, paths[1], "--exclude=./usr/share/wordpress/wp-config.php",
         *ours)
    config = os.path.join(where, "config")
    shutil.rmtree(config, ignore_errors=True)
    os.makedirs(os.path.join(config, "etc/apache2"))
    with open(os.path.join(config, "etc/apache2/here"), "w") as f:
        f.write("configured\n")
    _tar(config, paths[2], ".")
    return paths


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def configure(root, port):
    """Put the configuration for this port into root, which is writable."""
    with open(os.path.join(root, "etc/apache2/stack.conf"), "w") as f:
        f.write(CONF % port)


COMMAND = ["/usr/sbin/apache2", "-f", "/etc/apache2/stack.conf",
           "-DFOREGROUND"]


def answer(port, ended=lambda: False):
    """Ask until it answers: (status, body)."""
    end = time.monotonic() + PATIENCE
    url = "http://127.0.0.1:%d%s" % (port, PAGE)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            with opener.open(url, timeout=PATIENCE) as got:
                return got.status, got.read()
        except (ConnectionError, urllib.error.URLError) as why:
            reason = getattr(why, "reason", why)
            if not isinstance(reason, ConnectionError) or ended() or \
                    time.monotonic() > end:
                raise
            time.sleep(0.002)


@contextlib.contextmanager
def running(root, port):
    """Apache in a chroot of root, which is writable."""
    configure(root, port)
    # A session of its own: at its end it signals its process group.
    process = subprocess.Popen(["chroot", root, *COMMAND],
                               start_new_session=True,
                               stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.STDOUT)
    try:
        yield lambda: process.poll() is not None
    finally:
        process.terminate()
        process.wait(PATIENCE)
