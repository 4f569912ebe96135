#!/usr/bin/env bash
# Installs what the tests of deploy/ run beside sh and Python: apt-ftparchive, gpg, shellcheck, lintian, Ansible and a validator of
# bills of materials from PyPI. Where that is not possible
# the reason is left in .lab/deploy/missing, `make test` says so and counts those tests as skipped.
# RETROVOLT_REQUIRE_LAB=1 makes it an error.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
lab=$PWD/.lab/deploy
mkdir -p "$lab"

missing() {
  echo "$*" >"$lab/missing"
  echo "deploy: $*; the tests with apt, shellcheck and Ansible, and of a release, are SKIPPED" >&2
  [ -z "${RETROVOLT_REQUIRE_LAB:-}" ] || exit 1
  exit 0
}

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || missing "this is no Debian"
wanted=()
command -v apt-ftparchive >/dev/null || wanted+=(apt-utils)
command -v gpg >/dev/null || wanted+=(gpg gpg-agent)
command -v shellcheck >/dev/null || wanted+=(shellcheck)
command -v lintian >/dev/null || wanted+=(lintian)
if [ ${#wanted[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || missing "${wanted[*]} missing; install with: sudo apt-get install ${wanted[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null ||
    missing "could not install ${wanted[*]}"
fi
if ! cmp -s tests/deploy/requirements.txt "$lab/venv/requirements.txt"; then
  python3 -m venv "$lab/venv" &&
    "$lab/venv/bin/pip" install --quiet --disable-pip-version-check -r tests/deploy/requirements.txt ||
    missing "Ansible or cyclonedx-python-lib cannot be installed from PyPI"
  cp tests/deploy/requirements.txt "$lab/venv/requirements.txt"
fi
rm -f "$lab/missing"
