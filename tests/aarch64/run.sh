#!/usr/bin/env bash
# tests/aarch64/run.sh WHAT: one part of what runs on an emulated 64-bit ARM processor (tests/boards/processor.rs calls it).
#   domain, device, station, site, ocpp   tests of that pure room
#   demo                                  the demo: an outage and a kill -9
# tests/aarch64/setup.sh furnishes the emulator, tests/aarch64/build.sh the programs.
set -euo pipefail
cd "$(dirname "$0")/../.."
emulator=$PWD/.lab/aarch64/qemu-aarch64
out=$PWD/target/cross/aarch64-unknown-linux-musl/emulated

# A program that starts itself again. The kernel has to know what to do with an ARM program: the emulator is registered, by its open
# file (flag F), in a user namespace that ends with this call.
as_processes() {
  local magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
  local mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
  # shellcheck disable=SC2016
  unshare --user --map-root-user --mount sh -c '
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    printf %s "$1" >/proc/sys/fs/binfmt_misc/register
    shift
    exec "$@"' sh ":retrovolt:M::$magic:$mask:$emulator:F" "$@"
}

case ${1:-} in
domain | device | station | site | ocpp)
  # Random walks, damage byte by byte and simulated hours of drivers cost minutes here and run elsewhere, in their thousands.
  skipped=(::walk:: ::random:: every_ damage any_bytes breaks_off device::driver:: device::voice:: ::troubles::
    sunspec::tests::what_does_not_fit stop_message aligned_samples_lie)
  PROPTEST_CASES=8 "$emulator" "$out/pure-tests" "$1::" "${skipped[@]/#/--skip=}"
  ;;
demo) as_processes "$out/retrovolt" demo ;;
*)
  echo "usage: tests/aarch64/run.sh domain|device|station|site|ocpp|demo" >&2
  exit 64
  ;;
esac
