# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# The stages of ./dev test; sourced by dev. A stage is a function stage_NAME
# whose last line of output is "= PASSED FAILED SKIPPED". Each runs as a
# process of its own with a time limit, so that none can hang or end the rest.

# Lane 1 owns build/release, lane 2 build/san; the last of lane 2 uses what
# lane 1 has built. A flavour is built under a lock.
LANE1="lint unit install programs"
LANE2="san sandaemon fuzzseeds cross dist cli"

limit() { # seconds that a stage may take; wide, for a busy machine
	case $1 in
	programs | cli) echo 2700 ;;
	*) echo 1500 ;;
	esac
}

# Each argument after the name is one check; prints "= P F S".
checks() {
	local c pass=0 fail=0
	for c in "$@"; do
		if eval "$c"; then
			pass=$((pass + 1))
		else
			say "failed: $c"
			fail=$((fail + 1))
		fi
	done
	say "= $pass $fail 0"
}

shell_scripts() {
	grep -lE '^#!/bin/(ba)?sh' dev .ci/run scripts/* tests/*/* bench/* \
		2>/dev/null
}

stage_lint() {
	prepare
	build release
	local lib=build/release/.libs/liberofskit
	local -a shells
	mapfile -t shells < <(shell_scripts)
	checks scripts/check-layers "scripts/check-style format" \
		"scripts/check-style lines" "scripts/check-style words" \
		"scripts/check-style calls" scripts/check-sizes \
		scripts/check-house "scripts/check-statics $lib.a" \
		"scripts/check-symbols $lib.so" \
		"shellcheck -x ${shells[*]}"
}

run_units() { # run_units FLAVOUR: as the user who builds
	local -a programs
	mapfile -t programs < <(unit_programs "build/$1")
	as_user scripts/run-tap 400 "${programs[@]}"
}

stage_unit() {
	prepare
	build release all
	build release check TESTS=
	run_units release
}

stage_install() {
	prepare
	build release
	as_user scripts/run-tap 600 "scripts/check-install build/release"
}

# Directories of program tests: all that hold test_*.py.
program_tests() {
	local d
	for d in tests/*/; do
		if compgen -G "${d}test_*.py" >/dev/null; then
			say "${d%/}"
		fi
	done
}

stage_cli() {
	pytest_stage cli tests/cli
}

stage_programs() {
	local -a dirs
	mapfile -t dirs < <(program_tests | grep -vx tests/cli)
	pytest_stage programs "${dirs[@]}"
}

pytest_stage() { # pytest_stage NAME DIR...
	local xml=$LOG/$1.xml
	shift
	prepare
	build release
	local -a ns=()
	# Whatever a test leaves mounted goes away with this namespace.
	if unshare -m --propagation private true 2>/dev/null; then
		ns=(unshare -m --propagation private)
	fi
	rm -f "$xml"
	as_user mkdir -p "$LOG"
	"${ns[@]}" /usr/bin/python3 -m pytest -q -p no:cacheprovider \
		--durations=10 --junitxml="$xml" "$@" </dev/null || true
	test -s "$xml" || {
		say "pytest wrote no results"
		say "= 0 1 0"
		return
	}
	scripts/count-junit "$xml" tests/must-run.txt "$@" || true
}

san_env() {
	export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1
	export UBSAN_OPTIONS=print_stacktrace=1
	ASAN_SYMBOLIZER_PATH=$(command -v llvm-symbolizer-14 || true)
	export ASAN_SYMBOLIZER_PATH
}

stage_san() {
	prepare
	build san all
	build san check TESTS=
	san_env
	run_units san
}

# The daemon of a flavour with sanitizers; each of its processes that has
# something to report does so in a file.
daemon_under() { # daemon_under FLAVOUR TEST...
	local flavour=$1 dir
	shift
	dir=$(mktemp -d /var/tmp/erofskit-san.XXXXXX)
	chmod 1777 "$dir" # the worker is another user
	san_env
	ASAN_OPTIONS+=:log_path=$dir/report
	UBSAN_OPTIONS+=:log_path=$dir/report
	export TSAN_OPTIONS=log_path=$dir/report
	EK_BUILD=$ROOT/build/$flavour pytest_stage "daemon-$flavour" "$@"
	if compgen -G "$dir/*" >/dev/null; then
		cat "$dir"/*
		say "= 0 1 0"
	fi
	rm -r "$dir"
}

stage_sandaemon() {
	prepare
	build san all
	daemon_under san tests/daemon/test_mount.py tests/daemon/test_api.py
}

fuzz_names() {
	local f
	for f in tests/fuzz/fuzz-*.c; do
		test -e "$f" || continue
		f=${f##*/fuzz-}
		say "${f%.c}"
	done
}

# Directories with images by another maker, unpacked when they are not yet.
fuzz_fixtures() {
	local dir=build/fixtures f
	for f in images images2; do
		test -e "$EK_SHARED/fixtures/$f/images.tar.xz" || continue
		if test ! -e "$dir/$f/.done"; then
			as_user mkdir -p "$dir/$f"
			as_user tar -C "$dir/$f" --no-same-owner -xJf \
				"$EK_SHARED/fixtures/$f/images.tar.xz" >&2
			as_user touch "$dir/$f/.done"
		fi
		say "$dir/$f"
	done
}

# Directories and files with the inputs of a target.
fuzz_inputs() {
	test ! -d "tests/fuzz/seeds/$1" || say "tests/fuzz/seeds/$1"
	test ! -e "tests/fuzz/seeds/$1.images" || fuzz_fixtures
}

make_defects() { # make_defects MKFS: images that break one rule each
	test ! -e build/fixtures/defects || return 0
	scripts/make-defects "$1" build/fixtures build/fixtures/defects
}

stage_fuzzseeds() {
	prepare
	build san fuzzers
	san_env
	local name n pass=0 fail=0
	local -a inputs
	build san all
	make_defects build/san/mkfs.erofs
	for name in $(fuzz_names); do
		mapfile -t inputs < <(fuzz_inputs "$name")
		n=${EK_MUTATIONS:-200}
		# Whole images are large: fewer versions of each.
		test ! -e "tests/fuzz/seeds/$name.images" || n=$((n / 10))
		say "fuzz-$name: ${inputs[*]}"
		if as_user timeout 500 "build/san/tests/fuzz/fuzz-$name" \
			-n "$n" "${inputs[@]}"; then
			pass=$((pass + 1))
		else
			say "failed: fuzz-$name"
			fail=$((fail + 1))
		fi
	done
	# Each just beyond a rule; as they are, since there are many.
	for name in check extract image; do
		if as_user timeout 500 "build/san/tests/fuzz/fuzz-$name" -n 0 \
			build/fixtures/defects; then
			pass=$((pass + 1))
		else
			say "failed: fuzz-$name over images with defects"
			fail=$((fail + 1))
		fi
	done
	say "= $pass $fail 0"
}

stage_cross() {
	as_user scripts/run-tap 700 \
		"scripts/cross-unit aarch64-linux-gnu qemu-aarch64-static \
			build/cross/arm64" \
		"scripts/cross-unit s390x-linux-gnu qemu-s390x-static \
			build/cross/s390x"
}

# The tests of a distributed tree are built, but run elsewhere: with the
# whole of "check" this stage would repeat two others.
stage_dist() {
	prepare
	build san all
	if as_user make -s -C build/san -j"$EK_JOBS" distcheck TESTS= \
		AM_DISTCHECK_CONFIGURE_FLAGS="--disable-shared CFLAGS=-O0" \
		</dev/null; then
		say "= 1 0 0"
	else
		say "= 0 1 0"
	fi
}

# What stage NAME may take: its own limit, within that of the whole run.
allowance() {
	local left=$((${EK_DEADLINE:-2400} - SECONDS)) limit
	limit=$(limit "$1")
	test $left -ge "$limit" || limit=$left
	test "$limit" -gt 10 || limit=10
	say "$limit"
}

stage() { # stage NAME: run it with its limit, note the result, show failure
	local name=$1 start=$SECONDS rc=0 log=$LOG/stage-$1.log counts took
	as_user mkdir -p "$LOG"
	rm -f "$LOG/$name.result"
	timeout -k 10 "$(allowance "$name")" "$ROOT/dev" stage-body "$name" \
		</dev/null >"$log" 2>&1 || rc=$?
	took=$((SECONDS - start))
	counts=$(sed -n 's/^= \([0-9]* [0-9]* [0-9]*\)$/\1/p' "$log" | tail -n1)
	test "$rc" != 124 || say "timed out" >>"$log"
	# No count, or a count of nothing: the stage did not do its work.
	case $counts in
	"" | "0 0 "*) counts="0 1 0" ;;
	esac
	local pass fail skip
	read -r pass fail skip <<<"$counts"
	if test "$rc" != 0 && test "$fail" = 0; then
		fail=1
	fi
	say "$pass $fail $skip" >"$LOG/$name.result"
	say "stage $name: $pass passed, $fail failed, $skip skipped, $took s"
	if test "$fail" != 0; then
		say "--- the end of $log"
		tail -n 80 "$log"
		say "--- (stage $name)"
		return 1
	fi
}

lane() {
	local s
	for s in "$@"; do
		stage "$s" || true
	done
}

run_tests() {
	local start=$SECONDS lane1=$LANE1 lane2=$LANE2 s
	case ${1:-} in
	"") ;;
	--quick) lane1="lint unit" lane2="" ;;
	*) lane1=$* lane2="" ;;
	esac
	# shellcheck disable=SC2086
	test "$(id -u)" != 0 || need_packages $BUILD_PACKAGES $TEST_PACKAGES
	test "$(id -u)" = 0 || test -n "${1:-}" ||
		say "not root: tests that mount will fail; use sudo ./dev test"
	as_user mkdir -p "$LOG"
	rm -f "$LOG"/*.result
	prepare
	# shellcheck disable=SC2086
	{
		lane $lane1 &
		lane $lane2 &
		wait
	}
	give_back
	local pass=0 fail=0 skip=0 p f k
	for s in $lane1 $lane2; do
		read -r p f k <"$LOG/$s.result" 2>/dev/null || {
			say "stage $s left no result"
			p=0 f=1 k=0
		}
		pass=$((pass + p)) fail=$((fail + f)) skip=$((skip + k))
	done
	say "all stages: $((SECONDS - start)) s"
	say "$pass passed, $fail failed, $skip skipped"
	test "$fail" = 0
}

soak() {
	local seconds=${1:-600} name bad=0
	local -a inputs
	# shellcheck disable=SC2086
	test "$(id -u)" != 0 || need_packages $BUILD_PACKAGES $TEST_PACKAGES \
		llvm-14
	prepare
	build release
	EK_SOAK=1 /usr/bin/python3 -m pytest -v -p no:cacheprovider tests ||
		bad=1
	say "workers under ThreadSanitizer"
	build tsan
	as_user scripts/tsan-workers build/tsan /usr/include || bad=1
	say "the daemon under ThreadSanitizer"
	daemon_under tsan tests/daemon/test_{mount,api,evict,steps,kills}.py |
		tee "$LOG/daemon-tsan.log"
	tail -n1 "$LOG/daemon-tsan.log" | grep -q '^= [1-9][0-9]* 0 ' || bad=1
	say "lines of the parsers that the seeds reach"
	mapfile -t inputs < <(fuzz_fixtures)
	make_defects build/release/mkfs.erofs
	as_user scripts/fuzz-coverage build/coverage "${inputs[@]}" \
		build/fixtures/defects || bad=1
	for name in $(fuzz_names); do
		say "fuzzing $name for $seconds s"
		fuzz "$name" "$seconds" 2>&1 | tail -n 30 || bad=1
	done
	give_back
	return $bad
}
