#!/usr/bin/env bash
# Furnishes .lab/aarch64: an emulator that runs single programs of an ARM machine. It has to know the terminal calls of
# today's kernels (TCGETS2: qemu 10.2 or later), which the one of Debian 12 and 13 does not, so it comes from backports; 70 MB
# are loaded once. Where that is not possible the reason is left in .lab/aarch64/missing and the stage counts as skipped.
# RETROVOLT_REQUIRE_LAB=1 makes it an error.
set -uo pipefail
cd "$(dirname "$0")/../.."
lab=$PWD/.lab/aarch64
. tests/own_apt.sh

missing() {
  mkdir -p "$lab"
  echo "$*" >"$lab/missing"
  echo "aarch64 lab: $*; the tests on an emulated ARM processor are SKIPPED" >&2
  [ -n "${RETROVOLT_REQUIRE_LAB:-}" ] && exit 1
  exit 0
}

emulator() {
  [ -x "$lab/qemu-aarch64" ] && return
  local work
  work=$(mktemp -d) || missing "no temporary folder"
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  own_apt "$work" trixie-backports || missing "the index of trixie-backports cannot be loaded"
  (cd "$work" && apt-get download -qq qemu-user) || missing "qemu-user cannot be loaded"
  dpkg-deb -x "$work"/qemu-user_*.deb "$work/unpacked" || missing "qemu-user cannot be unpacked"
  mkdir -p "$lab"
  cp "$work/unpacked/usr/bin/qemu-aarch64" "$lab/qemu-aarch64.new" || missing "qemu-user has no qemu-aarch64"
  mv "$lab/qemu-aarch64.new" "$lab/qemu-aarch64"
}

# The demo starts itself as a process of its own: the kernel has to know what to do with an ARM program. A user namespace
# has a register for that of its own (since kernel 6.7), so nothing is left behind.
register() {
  unshare --user --map-root-user --mount mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc 2>/dev/null ||
    missing "this kernel has no binfmt_misc in a user namespace"
}

[ "$(uname -m)" = x86_64 ] || missing "the machine is $(uname -m); the emulator is for x86_64"
emulator
register
rm -f "$lab/missing"
