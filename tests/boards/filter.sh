#!/usr/bin/env bash
# Prints what `cargo nextest run` must be told so that tests whose lab is missing count as skipped; setup.sh has said
# why it is. What is missing beside kernels is said here.
set -euo pipefail
cd "$(dirname "$0")/../.."
gone=()
[ ! -e .lab/amd64/missing ] || gone+=('binary(gpio)' '(binary(boards) & test(/^uart::/))')
if [ -e .lab/arm64/missing ]; then
  gone+=('(binary(boards) & test(/^arm64::/))')
elif ! bash tests/aarch64/build.sh --fresh; then
  echo "boards: no binary for arm64, or older than the source (make board-binary makes it); its tests are SKIPPED" >&2
  [ -z "${RETROVOLT_REQUIRE_LAB:-}" ] || exit 1
  gone+=('(binary(boards) & test(/^arm64::/))')
fi
if [ -e .lab/aarch64/missing ]; then
  gone+=('(binary(boards) & test(/^processor::/))')
elif ! bash tests/aarch64/build.sh --fresh; then
  echo "processor: no programs for arm64, or older than the source (make board-binary makes them); their tests are SKIPPED" >&2
  gone+=('(binary(boards) & test(/^processor::/))')
fi
[ ! -e .lab/package/missing ] || gone+=('binary(package)')
[ ! -e .lab/deploy/missing ] || gone+=('(binary(package) & test(/^ansible::/))')
[ ! -e .lab/deploy/missing ] || gone+=('(binary(deploy) & test(/^(ansible|apt|shell)::|^release::(a_release|the_bill_of_materials_keeps)/))')
[ ${#gone[@]} -gt 0 ] || exit 0
all=$(printf ' | %s' "${gone[@]}")
echo "-E 'not (${all# | })'"
