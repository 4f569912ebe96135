#!/usr/bin/env bash
# Furnishes .lab/aarch64: emulators that run single programs of a 64-bit and a 32-bit ARM machine. They have to know the terminal calls of
# today's kernels (TCGETS2: qemu 10.2 or later), which those of Debian 12 and 13 do not, so they come from backports; 70 MB
# are loaded once. Where that is not possible the reason is left in .lab/aarch64/missing and the stage counts as skipped.
# RETROVOLT_REQUIRE_LAB=1 makes it an error.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
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
  [ -x "$lab/qemu-aarch64" ] && [ -x "$lab/qemu-arm" ] && return
  local work machine
  work=$(mktemp -d) || missing "no temporary folder"
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  own_apt "$work" trixie-backports || missing "the index of trixie-backports cannot be loaded"
  (cd "$work" && apt-get download -qq qemu-user) || missing "qemu-user cannot be loaded"
  dpkg-deb -x "$work"/qemu-user_*.deb "$work/unpacked" || missing "qemu-user cannot be unpacked"
  mkdir -p "$lab"
  for machine in aarch64 arm; do
    cp "$work/unpacked/usr/bin/qemu-$machine" "$lab/qemu-$machine.new" || missing "qemu-user has no qemu-$machine"
    mv "$lab/qemu-$machine.new" "$lab/qemu-$machine"
  done
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
