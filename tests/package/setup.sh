#!/usr/bin/env bash
# Furnishes .lab/package (with RETROVOLT_SUITE another than trixie: .lab/package-SUITE): a small Debian with systemd that the package is installed into and booted (systemd-nspawn), and
# lintian. About 180 MB are loaded once. Where that is not possible the reason is left in .lab/package/missing, `make test`
# says so and counts the stage as skipped. RETROVOLT_REQUIRE_LAB=1 makes it an error.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
. tests/own_apt.sh
suite=${RETROVOLT_SUITE:-trixie}
lab=$PWD/.lab/package
[ "$suite" = trixie ] || lab=$lab-$suite

missing() {
  mkdir -p "$lab"
  echo "$*" >"$lab/missing"
  echo "package lab: $*; the tests of the installed package are SKIPPED" >&2
  [ -n "${RETROVOLT_REQUIRE_LAB:-}" ] && exit 1
  exit 0
}

tools() {
  local wanted=()
  command -v systemd-nspawn >/dev/null || wanted+=(systemd-container)
  command -v mmdebstrap >/dev/null || wanted+=(mmdebstrap)
  command -v lintian >/dev/null || wanted+=(lintian)
  command -v dpkg-deb >/dev/null || wanted+=(dpkg)
  command -v readelf >/dev/null || wanted+=(binutils)
  command -v nsenter >/dev/null || wanted+=(util-linux)
  [ ${#wanted[@]} -eq 0 ] && return
  command -v apt-get >/dev/null || missing "${wanted[*]} missing"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null ||
    missing "could not install ${wanted[*]}"
}

# What a boot needs of the kernel, tried in a mount namespace of its own: control groups v2 and an overlay.
privileges() {
  local try
  try=$(mktemp -d)
  mkdir "$try/lower" "$try/upper" "$try/work" "$try/whole"
  unshare -m --propagation private sh -c "
    mount -t cgroup2 cgroup2 /sys/fs/cgroup &&
    mount -t overlay overlay -o lowerdir=$try/lower,upperdir=$try/upper,workdir=$try/work $try/whole" 2>/dev/null
  local worked=$?
  rm -rf "$try"
  [ $worked = 0 ] || missing "this machine may not mount control groups or an overlay"
}

rootfs() {
  [ "$(cat "$lab/suite" 2>/dev/null)" = "$suite" ] && return
  rm -rf "${lab:?}/root" "$lab/suite"
  mkdir -p "$lab"
  mmdebstrap --quiet --mode=root --variant=minbase --aptopt='Acquire::Retries "3"' \
    --include=systemd,systemd-sysv,dbus,udev,kmod,ca-certificates,init-system-helpers,man-db,procps \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/retrovolt*' \
    "$suite" "$lab/root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$lab/log" 2>&1 ||
    missing "no Debian $suite can be unpacked here: $(tail -1 "$lab/log")"
  echo "$suite" >"$lab/suite"
}

# Python beside that Debian, which stays bare: what Ansible needs on a machine, laid over it by the test that runs Ansible.
python() {
  [ "$(cat "$lab/python.suite" 2>/dev/null)" = "$suite" ] && return
  local work deb folder
  work=$(mktemp -d) || missing "no temporary folder"
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  own_apt "$work" "$suite" || missing "the index of $suite cannot be loaded"
  cp "$lab/root/var/lib/dpkg/status" "$work/status"
  apt-get install -y -qq --download-only --no-install-recommends python3 python3-apt >"$lab/log" 2>&1 ||
    missing "no Python of $suite can be loaded: $(tail -1 "$lab/log")"
  rm -rf "${lab:?}/python" "$lab/python.suite"
  for deb in "$work"/cache/archives/*.deb; do
    dpkg-deb -x "$deb" "$lab/python" || missing "$deb cannot be unpacked"
  done
  # These are links in a merged system, and would be hidden by folders.
  for folder in bin sbin lib lib64; do
    [ -d "$lab/python/$folder" ] || continue
    mkdir -p "$lab/python/usr/$folder"
    cp -a "$lab/python/$folder/." "$lab/python/usr/$folder/" && rm -r "${lab:?}/python/$folder"
  done
  echo "$suite" >"$lab/python.suite"
}

[ "$(uname -m)" = x86_64 ] || missing "the machine is $(uname -m); the package built here is for amd64"
[ "$(id -u)" = 0 ] || missing "booting a container needs root: sudo make test-package"
tools
privileges
rootfs
python
rm -f "$lab/missing"
