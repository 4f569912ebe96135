#!/usr/bin/env bash
# Furnishes .lab/amd64 and .lab/arm64 (or the one named): a Debian kernel with a simulated GPIO chip (CONFIG_GPIO_SIM=m),
# the modules a board needs, a busybox, and the qemu to boot it in. About 150 MB are loaded once. Where that is not possible
# the reason is left in .lab/<arch>/missing, `make test` says so and counts the stage as skipped.
# RETROVOLT_REQUIRE_LAB=1 makes it an error.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
repository=$PWD
suite=trixie-backports
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# Says why a lab cannot be had, and gives up on it.
missing() {
  mkdir -p "$lab"
  echo "$*" >"$lab/missing"
  echo "boards: $arch: $*; its tests are SKIPPED" >&2
  exit 1
}

tools() {
  local wanted=()
  case $arch in
  amd64) command -v qemu-system-x86_64 >/dev/null || wanted+=(qemu-system-x86) ;;
  arm64) command -v qemu-system-aarch64 >/dev/null || wanted+=(qemu-system-arm) ;;
  esac
  command -v xz >/dev/null || wanted+=(xz-utils)
  command -v strip >/dev/null || wanted+=(binutils)
  [ ${#wanted[@]} -eq 0 ] && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null ||
      missing "could not install ${wanted[*]}"
  else
    missing "${wanted[*]} missing; install with: sudo apt-get install ${wanted[*]}"
  fi
}

# An apt of its own: the system's sources and state stay as they are.
own_apt() {
  local dir=$work/$arch-apt
  mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
  : >"$dir/status"
  for of in trixie $suite; do
    echo "deb [signed-by=$keyring] ${DEBIAN_MIRROR:-http://deb.debian.org/debian} $of main"
  done >"$dir/sources.list"
  cat >"$dir/apt.conf" <<CONF
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$dir/lists";
Dir::State::status "$dir/status";
Dir::Cache "$dir/cache";
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Default-Release "$suite";
APT::Sandbox::User "root";
CONF
  export APT_CONFIG=$dir/apt.conf
}

# The kernel of a board, the modules named, and a busybox.
kernel() {
  local package=$1 version deb module modules found fresh=$work/$arch
  shift
  [ -e "$lab/complete" ] && [ "$(cat "$lab/complete")" = "$*" ] && return
  command -v apt-get >/dev/null || missing "no apt-get to load a kernel with"
  [ -e "$keyring" ] || missing "no $keyring to check a kernel with"
  own_apt
  apt-get update -qq 2>/dev/null || missing "the index of $suite cannot be loaded"
  version=$(apt-cache depends "$package" 2>/dev/null | sed -n 's/.*Depends: linux-image-\([0-9].*\)/\1/p' | head -1)
  [ -n "$version" ] || missing "the index of $suite cannot be loaded, or has no $package"
  mkdir -p "$fresh/debs" "$fresh/unpacked" "$lab" && cd "$fresh/debs" || missing "no temporary folder"
  apt-get download -qq "linux-binary-$version" "linux-modules-$version" busybox-static ||
    missing "linux-binary-$version, linux-modules-$version or busybox-static cannot be loaded"
  for deb in *.deb; do
    dpkg-deb -x "$deb" "$fresh/unpacked" || missing "$deb cannot be unpacked"
  done
  cd "$repository" || missing "no repository"
  modules=$fresh/unpacked/usr/lib/modules/$version
  cp "$modules/vmlinuz" "$lab/vmlinuz" || missing "no kernel in linux-binary-$version"
  find "$fresh/unpacked" -path '*/bin/busybox' -exec cp {} "$lab/busybox" \;
  [ -e "$lab/busybox" ] || missing "no busybox in busybox-static"
  for module in "$@"; do
    found=$(find "$modules/kernel" -name "$module.ko.xz")
    [ -n "$found" ] && xz -dc "$found" >"$lab/$module.ko" || missing "no $module in linux-modules-$version"
  done
  echo "$version" >"$lab/version"
  echo "$*" >"$lab/complete"
}

furnish() {
  arch=$1
  lab=$repository/.lab/$arch
  [ "$(uname -m)" = x86_64 ] || missing "this machine is $(uname -m); the test programs are built for x86_64"
  tools
  case $arch in
  amd64) kernel linux-image-amd64 configfs gpio-sim ;;
  arm64) kernel linux-image-cloud-arm64 configfs gpio-sim failover net_failover virtio_net virtio_blk ;;
  *) missing "no such board" ;;
  esac
  rm -f "$lab/missing"
}

failed=0
for one in "${@:-amd64 arm64}"; do
  for arch in $one; do
    (furnish "$arch") || failed=1
  done
done
[ -z "${RETROVOLT_REQUIRE_LAB:-}" ] || exit $failed
