# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# The second half of ./dev demo: an image in a registry on loopback, mounted
# on demand, runs a program of which alone the bytes come. Sourced by dev.

ondemand_clean() {
	test -z "${OD_MOUNTED:-}" || umount -l "$OD/mnt" || true
	test -z "${OD_DAEMON:-}" || kill "$OD_DAEMON" 2>/dev/null || true
	test -z "${OD_REGISTRY:-}" || kill "$OD_REGISTRY" 2>/dev/null || true
	wait
}

# A root with this host's compiler driver and what it needs to start, and
# with compilers, which it does not need for that.
ondemand_root() { # ondemand_root DIR
	local root=$1 lib
	mkdir -p "$root"/usr/{bin,lib,lib64}
	ln -s usr/bin usr/lib usr/lib64 "$root"
	cp -L /usr/bin/gcc "$root/usr/bin/"
	ldd /usr/bin/gcc | grep -o '/[^ ]*' | while read -r lib; do
		cp -L --parents "$lib" "$root"
	done
	cp -a /usr/lib/gcc "$root/usr/lib/"
}

# An OCI layout of one plain layer.
ondemand_layout() { # ondemand_layout TAR DIR
	python3 - "$1" "$2" <<'P'
import hashlib, json, os, shutil, sys

tar, top = sys.argv[1:]
blobs = os.path.join(top, "blobs", "sha256")
os.makedirs(blobs)
OCI = "application/vnd.oci.image."


def describe(kind, data=None, path=None):
    sha = hashlib.sha256(data or b"")
    if path:
        with open(path, "rb") as f:
            while piece := f.read(1 << 20):
                sha.update(piece)
        shutil.move(path, os.path.join(blobs, sha.hexdigest()))
        size = os.path.getsize(os.path.join(blobs, sha.hexdigest()))
    else:
        with open(os.path.join(blobs, sha.hexdigest()), "wb") as f:
            f.write(data)
        size = len(data)
    return {"mediaType": OCI + kind, "digest": "sha256:" + sha.hexdigest(),
            "size": size}


layer = describe("layer.v1.tar", path=tar)
config = describe("config.v1+json", json.dumps({
    "os": "linux", "architecture": "amd64",
    "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}).encode())
manifest = describe("manifest.v1+json", json.dumps({
    "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
    "config": config, "layers": [layer]}).encode())
with open(os.path.join(top, "index.json"), "w") as f:
    json.dump({"schemaVersion": 2, "manifests": [manifest]}, f)
with open(os.path.join(top, "oci-layout"), "w") as f:
    f.write('{"imageLayoutVersion": "1.0.0"}')
P
}

ondemand_registry() { # ondemand_registry PORT: Debian's, on loopback
	cat >"$OD/registry.yml" <<Y
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $OD/registry}}
http: {addr: 127.0.0.1:$1}
Y
	docker-registry serve "$OD/registry.yml" >"$OD/registry.log" 2>&1 &
	OD_REGISTRY=$!
	local i
	for i in $(seq 100); do
		test -z "$(ondemand_ask "$1")" || return 0
		sleep 0.1
	done
	die "demo: the registry does not answer after $i tries"
}

ondemand_ask() {
	python3 -c 'import sys, urllib.request as u
print(u.urlopen("http://127.0.0.1:%s/v2/" % sys.argv[1]).status)' "$1" \
		2>/dev/null || true
}

ondemand_wait() { # until the daemon answers
	local i
	for i in $(seq 100); do
		! "$OD_BIN" status --run-dir "$OD/run" >/dev/null 2>&1 ||
			return 0
		sleep 0.1
	done
	cat "$OD/log"
	die "demo: the daemon does not answer after $i tries"
}

ondemand_fetched() { # bytes that came for the mounted image, and its size
	"$OD_BIN" images --json --run-dir "$OD/run" | python3 -c '
import json, sys
i = json.load(sys.stdin)["images"][0]
print(i["fetched_bytes"], i["size"])'
}

demo_ondemand() {
	local port image fetched size start
	# shellcheck disable=SC2086
	need_packages docker-registry skopeo
	modprobe fuse 2>/dev/null || true
	OD_BIN=build/release/erofs-cachefilesd
	say ""
	say "+ erofs-cachefilesd doors"
	"$OD_BIN" doors || true
	if ! "$OD_BIN" doors | grep -q '^fuse  *works'; then
		say "on demand: not on this host"
		return 0
	fi
	OD=$(mktemp -d "${TMPDIR:-/var/tmp}/erofskit-ondemand.XXXXXX")
	chmod 755 "$OD"
	port=$(python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	image=127.0.0.1:$port/compiler:1
	mkdir "$OD/mnt"
	ondemand_root "$OD/root"
	tar -C "$OD/root" -cf "$OD/layer.tar" .
	ondemand_layout "$OD/layer.tar" "$OD/layout"
	ondemand_registry "$port"
	say "+ skopeo copy oci:layout docker://$image"
	skopeo copy -q --preserve-digests --dest-tls-verify=false \
		"oci:$OD/layout" "docker://$image"
	say "+ erofs-tarfs convert layout -o out --leaf-digests"
	build/release/erofs-tarfs convert -q --leaf-digests "$OD/layout" \
		-o "$OD/out"
	rm -r "$OD/layout" "$OD/root"
	printf '{"fetch": {"plain_http": ["127.0.0.1:%s"]}}\n' "$port" \
		>"$OD/daemon.json"
	"$OD_BIN" run --config "$OD/daemon.json" --state-dir "$OD/state" \
		--run-dir "$OD/run" >"$OD/log" 2>&1 &
	OD_DAEMON=$!
	ondemand_wait
	say "+ erofs-cachefilesd mount --index out --from $image mnt"
	start=$(date +%s%N)
	"$OD_BIN" mount -q --run-dir "$OD/run" --index "$OD/out" \
		--from "$image" "$OD/mnt"
	OD_MOUNTED=yes
	say "mounted   in $((($(date +%s%N) - start) / 1000000)) ms"
	say "+ chroot mnt gcc --version"
	start=$(date +%s%N)
	chroot "$OD/mnt" /usr/bin/gcc --version | head -n 1
	say "ran       in $((($(date +%s%N) - start) / 1000000)) ms"
	read -r fetched size < <(ondemand_fetched)
	say "image     $(human "$size") in the registry"
	say "fetched   $(human "$fetched"), $(percent "$fetched" "$size") of it"
	"$OD_BIN" umount -q --run-dir "$OD/run" "$OD/mnt"
	OD_MOUNTED=
	"$OD_BIN" stop -q --run-dir "$OD/run"
}
