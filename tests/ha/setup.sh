#!/usr/bin/env bash
# Furnishes .lab/ha: a Home Assistant of the real kind, with the Python it wants, in a Debian root of its own (this
# distribution's Python may be older), and a mosquitto. About 0.8 GB are loaded once. Where that is not possible the reason is
# left in .lab/ha/missing, `make test-ha` says so and counts as skipped. RETROVOLT_REQUIRE_LAB=1 makes it an error.
set -uo pipefail
cd "$(dirname "$0")/../.."
lab=$PWD/.lab/ha
root=$lab/root
suite=trixie
listed=$PWD/tests/ha/requirements.txt
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

missing() {
  mkdir -p "$lab"
  echo "$*" >"$lab/missing"
  echo "Home Assistant lab: $*; the test with a real Home Assistant is SKIPPED" >&2
  [ -n "${RETROVOLT_REQUIRE_LAB:-}" ] && exit 1
  exit 0
}

tools() {
  local wanted=()
  command -v mmdebstrap >/dev/null || wanted+=(mmdebstrap)
  command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || wanted+=(mosquitto)
  command -v mosquitto_pub >/dev/null || wanted+=(mosquitto-clients)
  [ ${#wanted[@]} -eq 0 ] && return
  command -v apt-get >/dev/null || missing "${wanted[*]} missing"
  # The broker is started by the test, on a port of its own: not as a service.
  apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null ||
    missing "could not install ${wanted[*]}"
}

debian() {
  [ -x "$root/usr/bin/python3.13" ] && [ -x "$root/usr/bin/g++" ] && return
  [ -e "$keyring" ] || missing "no $keyring to check packages with"
  mkdir -p "$lab"
  rm -rf "$root.new" "$root"
  mmdebstrap --quiet --variant=essential --include=python3.13-venv,python3.13-dev,gcc,g++,libc6-dev,ca-certificates,tzdata,libturbojpeg0 \
    "$suite" "$root.new" "deb [signed-by=$keyring] ${DEBIAN_MIRROR:-http://deb.debian.org/debian} $suite main" ||
    missing "a Debian $suite with Python 3.13 cannot be made"
  mv "$root.new" "$root"
}

# Runs a command inside, with the certificates and the index settings of pip that hold outside.
inside() {
  cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null
  cp -L "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$root/etc/ssl/certs/ca-certificates.crt"
  [ -e /etc/pip.conf ] && cp -L /etc/pip.conf "$root/etc/pip.conf"
  chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_DEFAULT_TIMEOUT=180 ${PIP_INDEX_URL:+PIP_INDEX_URL="$PIP_INDEX_URL"} "$@"
}

packages() {
  cmp -s "$listed" "$root/hass/requirements.txt" && return
  [ -x "$root/hass/bin/pip" ] || inside python3.13 -m venv /hass || missing "no virtual environment for Home Assistant"
  cp "$listed" "$root/hass/requirements.new"
  inside /hass/bin/pip install --quiet --no-cache-dir --prefer-binary -r /hass/requirements.new ||
    missing "Home Assistant's packages cannot be installed"
  mv "$root/hass/requirements.new" "$root/hass/requirements.txt"
}

[ "$(id -u)" = 0 ] || missing "only root can set up a root folder to run Home Assistant in"
tools
debian
packages
rm -f "$lab/missing"
