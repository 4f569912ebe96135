#!/usr/bin/env bash
# debian.sh PACKAGE: .lab/arm64/debian.img, a whole Debian with systemd for the emulated arm64 board, with the gateway's
# arm64 package installed by apt and the agent of the tests on its console. Needs root; about five minutes the first
# time, afterwards what was unpacked is used again.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ $# = 1 ] || { echo "usage: tests/boards/debian.sh PACKAGE" >&2; exit 64; }
package=$(realpath "$1")
lab=$PWD/.lab/arm64
suite=trixie
base=$lab/debian-$suite

fail() {
  echo "boards: $*" >&2
  exit 1
}

[ "$(id -u)" = 0 ] || fail "a Debian is unpacked by root only: sudo make test-board"

# What this machine knew to run before goes on, what is registered here for the sake of this script ends with it.
formats=/proc/sys/fs/binfmt_misc
mounted='' known='' work=''
[ -e $formats/register ] || mounted=1
[ -n "$mounted" ] || known=$(ls $formats)
clean() {
  local file name
  [ -z "$work" ] || rm -rf "$work"
  [ -e $formats/register ] || return 0
  for file in "$formats"/*; do
    name=${file##*/}
    case $name in
    register | status) ;;
    *) grep -qxF "$name" <<<"$known" || echo -1 >"$file" ;;
    esac
  done
  [ -z "$mounted" ] || umount $formats
}
trap clean EXIT
wanted=()
command -v mmdebstrap >/dev/null || wanted+=(mmdebstrap)
command -v qemu-aarch64-static >/dev/null || wanted+=(qemu-user-static)
command -v arch-test >/dev/null || wanted+=(arch-test)
command -v update-binfmts >/dev/null || wanted+=(binfmt-support)
command -v mkfs.ext4 >/dev/null || wanted+=(e2fsprogs)
if [ ${#wanted[@]} -gt 0 ]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null ||
    fail "could not install ${wanted[*]}"
fi
# Programs for arm64 run here through qemu's user mode.
[ -e $formats/register ] || mount -t binfmt_misc binfmt_misc $formats
[ -e $formats/qemu-aarch64 ] || update-binfmts --enable qemu-aarch64

if [ ! -e "$base.complete" ]; then
  rm -rf "$base"
  mmdebstrap --quiet --mode=root --arch=arm64 --variant=minbase --aptopt='Acquire::Retries "3"' \
    --include=systemd,systemd-sysv,dbus,udev,kmod,procps,ca-certificates,init-system-helpers \
    --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    "$suite" "$base" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$lab/debian.log" 2>&1 ||
    fail "no Debian $suite can be unpacked: $(tail -1 "$lab/debian.log")"
  touch "$base.complete"
fi

work=$(mktemp -d "$lab/work.XXXXXX")
cp -a "$base" "$work/root"
root=$work/root
cp "$package" "$root/root/retrovolt.deb"
# In a mount namespace of its own: what the package's scripts need is gone with it.
unshare -m --propagation private sh -c "
  mount -t proc proc '$root/proc' && chroot '$root' apt-get install -y --no-install-recommends /root/retrovolt.deb
" >"$lab/debian.log" 2>&1 ||
  fail "the package cannot be installed: $(tail -5 "$lab/debian.log")"
chroot "$root" dpkg-query -W -f='boards: retrovolt ${Version} ${Architecture} installed\n' retrovolt
echo board >"$root/etc/hostname"
rm -f "$root/etc/machine-id" "$root/root/retrovolt.deb"
install -m 0755 tests/boards/agent.sh "$root/root/agent.sh"
cat >"$root/etc/systemd/system/agent.service" <<'END'
[Unit]
Description=Obeys the console
After=multi-user.target retrovolt.service
[Service]
ExecStart=/bin/sh /root/agent.sh
StandardInput=tty-force
StandardOutput=tty
TTYPath=/dev/ttyAMA0
TTYReset=yes
[Install]
WantedBy=multi-user.target
END
cat >"$root/etc/systemd/network/lan.network" <<'END'
[Match]
Type=ether
[Network]
Address=10.0.2.15/24
END
systemctl --root="$root" --quiet mask serial-getty@ttyAMA0.service getty@tty1.service
systemctl --root="$root" --quiet enable agent.service systemd-networkd.service
rm -f "$lab/debian.img"
mkfs.ext4 -q -F -d "$root" "$lab/debian.img" 1G
echo "boards: $lab/debian.img"
