#!/usr/bin/env bash
# tests/aarch64/build.sh [--fresh]: builds what runs on an emulated 64-bit ARM processor, unless it is there and as new as the
# source: the gateway, which the emulated board runs too, and the unit tests. One call of cargo makes both, because tests ask
# dependencies for more than the gateway does and everything would be compiled twice.
# With --fresh nothing is built; the exit code says whether anything would have to be.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=aarch64-unknown-linux-musl
out=target/cross/$target/emulated
programs=("$out/retrovolt" "$out/pure-tests")

fresh() {
  local program
  for program in "${programs[@]}"; do
    [ -x "$program" ] || return 1
    [ -z "$(find src config build.rs Cargo.toml Cargo.lock .cargo deploy/cross/cargo deploy/cross/rustc deploy/cross/requirements.txt -newer "$program" -print -quit)" ] || return 1
  done
}

if fresh; then exit 0; fi
[ "${1:-}" != --fresh ] || exit 1
bash deploy/cross/setup.sh
[ ! -e .lab/cross/missing ] || exit 0
told=$(mktemp)
trap 'rm -f "$told"' EXIT
# The gateway is made for the sake of an integration test, of which the smallest is taken.
bash deploy/cross/cargo $target test --no-run --profile emulated --lib --test profile_verb \
  --message-format json-render-diagnostics >"$told"

# program NAME KIND FILE: what cargo says it has made, under a name without a hash.
program() {
  local made
  made=$(grep "\"name\":\"$1\"" "$told" | grep "\"kind\":\[\"$2\"\]" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -1)
  [ -n "$made" ] || { echo "cargo made no $1 ($2)" >&2; exit 1; }
  [ "$made" -ef "$3" ] || ln -f "$made" "$3"
  touch "$3"
}
program retrovolt bin "${programs[0]}"
program retrovolt lib "${programs[1]}"
