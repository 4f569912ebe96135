#!/usr/bin/env bash
# Furnishes .lab/nodered: a real Node-RED from npm (about 100 MB), with the distribution's Node.js where there is none. Where that is not
# possible the reason is left in .lab/nodered/missing, `make test-nodered` says so and counts as skipped. RETROVOLT_REQUIRE_LAB=1 makes it
# an error.
set -uo pipefail
cd "$(dirname "$0")/../.."
lab=$PWD/.lab/nodered
version=4.1.8

missing() {
  mkdir -p "$lab"
  echo "$*" >"$lab/missing"
  echo "Node-RED lab: $*; the test with a real Node-RED is SKIPPED" >&2
  [ -n "${RETROVOLT_REQUIRE_LAB:-}" ] && exit 1
  exit 0
}

tools() {
  command -v node >/dev/null && command -v npm >/dev/null && return
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || missing "Node.js or npm missing"
  apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm >/dev/null ||
    missing "could not install Node.js"
}

package() {
  [ "$(cat "$lab/version" 2>/dev/null)" = "$version" ] && return
  rm -rf "$lab/node_modules"
  mkdir -p "$lab"
  echo '{ "private": true }' >"$lab/package.json"
  npm install --prefix "$lab" --no-audit --no-fund --no-save --loglevel=error "node-red@$version" >/dev/null ||
    missing "Node-RED cannot be installed"
  echo "$version" >"$lab/version"
}

tools
package
rm -f "$lab/missing"
