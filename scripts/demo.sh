# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# ./dev demo: a directory becomes an image that the kernel mounts, equal to
# its source. Sourced by dev.

demo_clean() {
	ondemand_clean
	test -z "${DEMO_MOUNTED:-}" || umount "$DEMO_TMP/mnt" ||
		umount -l "$DEMO_TMP/mnt" || true
	rm -rf "$DEMO_TMP" "${OD:-$DEMO_TMP}"
}

# The first way that works: prints why another did not.
demo_mount() { # demo_mount IMAGE DIR
	local mounter=build/release/tests/tools/mounter why
	modprobe erofs 2>/dev/null || true
	if why=$("$mounter" mount "$1" "$2" 2>&1); then
		say "mount: by the kernel, file-backed (no loop device needed)"
		return 0
	fi
	say "mount: not file-backed: ${why:-refused}"
	modprobe loop 2>/dev/null || true
	if why=$("$mounter" loop "$1" "$2" 2>&1); then
		say "mount: by the kernel, through a loop device"
		return 0
	fi
	say "mount: not by a loop device: ${why:-refused}"
	say "mount: this host cannot mount it, so it is extracted instead"
	return 1
}

human() { numfmt --to=iec-i --suffix=B --format=%.1f "$1"; }

percent() {
	awk -v a="$1" -v b="$2" 'BEGIN {printf "%.1f %%", b ? 100 * a / b : 0}'
}

demo() {
	local dir=${1:-/usr/share} bin=build/release start took in out seen
	test "$(id -u)" = 0 || die "demo: needs root: sudo ./dev demo"
	test -d "$dir" || die "demo: $dir is no directory"
	# shellcheck disable=SC2086
	need_packages $BUILD_PACKAGES
	prepare
	say "building..."
	build release
	DEMO_TMP=$(mktemp -d "${TMPDIR:-/var/tmp}/erofskit-demo.XXXXXX")
	trap demo_clean EXIT
	trap 'exit 130' INT TERM
	mkdir "$DEMO_TMP/mnt"
	say "+ mkfs.erofs -zlz4 demo.img $dir"
	start=$(date +%s%N)
	"$bin/mkfs.erofs" -zlz4 "$DEMO_TMP/demo.img" "$dir"
	took=$((($(date +%s%N) - start) / 1000000))
	say "+ dump.erofs demo.img"
	"$bin/dump.erofs" "$DEMO_TMP/demo.img"
	if demo_mount "$DEMO_TMP/demo.img" "$DEMO_TMP/mnt"; then
		DEMO_MOUNTED=yes
		seen=$DEMO_TMP/mnt
	else
		seen=$DEMO_TMP/extracted
		"$bin/fsck.erofs" --extract="$seen" "$DEMO_TMP/demo.img"
	fi
	say "+ compare every path, all metadata, all contents"
	start=$SECONDS
	scripts/compare-trees "$dir" "$seen" ||
		die "demo: the image differs from $dir"
	in=$(find "$dir" -xdev -type f -printf '%D:%i %s\n' |
		sort -u | awk '{s += $2} END {printf "%.0f", s}')
	out=$(stat -c %s "$DEMO_TMP/demo.img")
	say "source    $(human "$in") in $(find "$dir" -xdev | wc -l) paths"
	say "image     $(human "$out"), $(percent "$out" "$in") of the source"
	say "pack      $((took / 1000)).$(printf '%03d' $((took % 1000))) s," \
		"$(human $((took ? in * 1000 / took : in)))/s," \
		"$(nproc) core(s)"
	say "compare   $((SECONDS - start)) s"
	say "result    equal"
	demo_ondemand
}
