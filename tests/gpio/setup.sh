#!/usr/bin/env bash
# Furnishes .lab/gpio: a Debian kernel with a simulated GPIO chip (CONFIG_GPIO_SIM=m) and the tools to boot it in qemu.
# About 120 MB are loaded once. Where that is not possible the reason is left in .lab/gpio/missing, `make test` says so
# and counts the stage as skipped. RETROVOLT_REQUIRE_LAB=1 makes it an error.
set -uo pipefail
cd "$(dirname "$0")/../.."
lab=$PWD/.lab/gpio
suite=trixie-backports
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

missing() {
  mkdir -p "$lab"
  echo "$*" >"$lab/missing"
  echo "GPIO lab: $*; the tests on a real kernel chip are SKIPPED" >&2
  [ -n "${RETROVOLT_REQUIRE_LAB:-}" ] && exit 1
  exit 0
}

tools() {
  local wanted=()
  command -v qemu-system-x86_64 >/dev/null || wanted+=(qemu-system-x86)
  [ -x /bin/busybox ] && /bin/busybox --list 2>/dev/null | grep -q '^insmod$' || wanted+=(busybox-static)
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
  local dir=$1
  mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
  : >"$dir/status"
  echo "deb [signed-by=$keyring] ${DEBIAN_MIRROR:-http://deb.debian.org/debian} $suite main" >"$dir/sources.list"
  cat >"$dir/apt.conf" <<EOF
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$dir/lists";
Dir::State::status "$dir/status";
Dir::Cache "$dir/cache";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "root";
EOF
  export APT_CONFIG=$dir/apt.conf
}

kernel() {
  [ -e "$lab/vmlinuz" ] && [ -e "$lab/gpio-sim.ko" ] && [ -e "$lab/configfs.ko" ] && return
  command -v apt-get >/dev/null || missing "no apt-get to load a kernel with"
  [ -e "$keyring" ] || missing "no $keyring to check a kernel with"
  local work image version deb modules
  work=$(mktemp -d) || missing "no temporary folder"
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  own_apt "$work"
  apt-get update -qq 2>/dev/null || missing "the index of $suite cannot be loaded"
  image=$(apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/.*Depends: linux-image-\([0-9].*\)/\1/p' | head -1)
  [ -n "$image" ] || missing "the index of $suite cannot be loaded, or has no linux-image-amd64"
  version=$image
  mkdir "$work/debs" "$work/unpacked" && cd "$work/debs" || missing "no temporary folder"
  apt-get download -qq "linux-binary-$version" "linux-modules-$version" ||
    missing "linux-binary-$version and linux-modules-$version cannot be loaded"
  for deb in *.deb; do
    dpkg-deb -x "$deb" "$work/unpacked" || missing "$deb cannot be unpacked"
  done
  mkdir -p "$lab"
  modules=$work/unpacked/usr/lib/modules/$version
  cp "$modules/vmlinuz" "$lab/vmlinuz.new" || missing "no kernel in linux-binary-$version"
  xz -dc "$modules/kernel/fs/configfs/configfs.ko.xz" >"$lab/configfs.ko" || missing "no configfs in linux-modules-$version"
  xz -dc "$modules/kernel/drivers/gpio/gpio-sim.ko.xz" >"$lab/gpio-sim.ko" || missing "no gpio-sim in linux-modules-$version"
  echo "$version" >"$lab/version"
  mv "$lab/vmlinuz.new" "$lab/vmlinuz"
}

[ "$(uname -m)" = x86_64 ] || missing "the machine is $(uname -m); the lab boots an x86_64 kernel"
tools
kernel
rm -f "$lab/missing"
