#!/usr/bin/env bash
# Furnishes .lab/old-glibc with the C library of Debian 11 (glibc 2.31, the oldest that released packages are for) of each
# architecture, out of its packages, so that released binaries can be started with it. 8 MB are loaded once. Where that is not
# possible the reason is left in .lab/old-glibc/missing.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
lab=$PWD/.lab/old-glibc
. tests/own_apt.sh

missing() {
  mkdir -p "$lab"
  echo "$*" >"$lab/missing"
  echo "old glibc: $*; released binaries are not started with it" >&2
  exit 0
}

work=$(mktemp -d) || missing "no temporary folder"
trap 'rm -rf "$work"' EXIT
for arch in amd64 arm64 armhf; do
  [ -d "$lab/$arch" ] && continue
  OWN_APT_ARCHITECTURE=$arch own_apt "$work/$arch" bullseye || missing "the index of bullseye for $arch cannot be loaded"
  (cd "$work/$arch" && apt-get download -qq libc6 libgcc-s1) || missing "libc6 or libgcc-s1 for $arch cannot be loaded"
  for deb in "$work/$arch"/*.deb; do
    dpkg-deb -x "$deb" "$work/$arch/root" || missing "$deb cannot be unpacked"
  done
  mkdir -p "$lab"
  mv "$work/$arch/root" "$lab/$arch"
done
rm -f "$lab/missing"
