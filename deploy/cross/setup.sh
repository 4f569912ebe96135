#!/usr/bin/env bash
# Furnishes .lab/cross with what builds for another machine from this machine's own compiler: the source of its standard
# library (rustup's component where it is there, else Debian's rust-src of the same version), a C compiler and linker for
# every target (ziglang and cargo-zigbuild from PyPI, in a folder of their own), and a sysroot that joins the two.
# About 150 MB are loaded once; nothing outside .lab/cross is changed. Where that is not possible the reason is left in
# .lab/cross/missing; RETROVOLT_REQUIRE_LAB=1 makes it an error.
set -uo pipefail
cd "$(dirname "$0")/../.."
lab=$PWD/.lab/cross
here=$PWD/deploy/cross
suite=${RUST_SRC_SUITE:-trixie-backports}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

missing() {
  mkdir -p "$lab"
  echo "$*" >"$lab/missing"
  echo "cross builds: $*; what needs them is SKIPPED" >&2
  [ -n "${RETROVOLT_REQUIRE_LAB:-}" ] && exit 1
  exit 0
}

# An apt of its own: the system's sources and state stay as they are.
own_apt() {
  local dir=$1
  mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
  : >"$dir/status"
  echo "deb [signed-by=$keyring] ${DEBIAN_MIRROR:-http://deb.debian.org/debian} $suite main" >"$dir/sources.list"
  cat >"$dir/apt.conf" <<END
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$dir/lists";
Dir::State::status "$dir/status";
Dir::Cache "$dir/cache";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "root";
END
  export APT_CONFIG=$dir/apt.conf
}

# The source of the standard library, of exactly the compiler's version: another does not build.
library() {
  local release=$1 component=$2 work deb version
  [ "$(cat "$lab/library/.release" 2>/dev/null)" = "$release" ] && return
  rm -rf "$lab/library" "$lab/library.new"
  if [ -e "$component/std/Cargo.toml" ]; then
    cp -r "$component" "$lab/library.new" || missing "$component cannot be copied"
  else
    command -v apt-get >/dev/null || missing "no rust-src component and no apt-get to load Debian's with"
    [ -e "$keyring" ] || missing "no $keyring to check rust-src with"
    work=$(mktemp -d) || missing "no temporary folder"
    # shellcheck disable=SC2064
    trap "rm -rf '$work'" EXIT
    own_apt "$work"
    apt-get update -qq 2>/dev/null || missing "the index of $suite cannot be loaded"
    version=$(apt-cache madison rust-src | awk '{print $3}' | grep -m1 "^$release+")
    [ -n "$version" ] || missing "no rust-src component here and no rust-src $release in $suite"
    (cd "$work" && apt-get download -qq "rust-src=$version") || missing "rust-src $version cannot be loaded"
    deb=$(echo "$work"/rust-src_*.deb)
    dpkg-deb -x "$deb" "$work/unpacked" || missing "$deb cannot be unpacked"
    cp -r "$work/unpacked/usr/src/rustc-$release/library" "$lab/library.new" || missing "$deb has no library"
  fi
  echo "$release" >"$lab/library.new/.release"
  mv "$lab/library.new" "$lab/library"
}

# The compiler's own sysroot by links, and the source where cargo's build-std looks for it.
sysroot() {
  local real=$1 entry
  rm -rf "$lab/sysroot"
  mkdir -p "$lab/sysroot/lib/rustlib/src/rust"
  for entry in "$real"/lib/rustlib/*-*-*; do
    [ -d "$entry/lib" ] && ln -s "$entry" "$lab/sysroot/lib/rustlib/"
  done
  mv "$lab/library" "$lab/sysroot/lib/rustlib/src/rust/library"
  ln -s sysroot/lib/rustlib/src/rust/library "$lab/library"
}

tools() {
  cmp -s "$here/requirements.txt" "$lab/venv/requirements.txt" && return
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing "no python3 with venv (package python3-venv)"
  rm -rf "$lab/venv"
  python3 -m venv "$lab/venv" || missing "no Python environment can be made"
  "$lab/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" ||
    missing "ziglang and cargo-zigbuild cannot be loaded"
  cp "$here/requirements.txt" "$lab/venv/requirements.txt"
}

command -v rustc >/dev/null || missing "no rustc"
mkdir -p "$lab"
real=$(rustc --print sysroot)
release=$(rustc -vV | sed -n 's/^release: //p')
want="$release $real"
if [ "$(cat "$lab/furnished" 2>/dev/null)" != "$want" ]; then
  rm -rf "$lab/library" "$lab/sysroot" "$lab/furnished"
  library "$release" "$real/lib/rustlib/src/rust/library"
  sysroot "$real"
  echo "$want" >"$lab/furnished"
fi
tools
rm -f "$lab/missing"
