#!/bin/sh
# Plugin of `tedge diag`: adds the gateway's support bundle, which holds no secrets. Exit code 2: nothing to collect here.
#   50_retrovolt.sh collect --output-dir FOLDER [--config-dir FOLDER]
set -u
[ "${1:-}" = collect ] || { echo "usage: $0 collect --output-dir FOLDER" >&2; exit 1; }
shift
folder=
while [ $# -gt 0 ]; do
  case $1 in
  --output-dir) folder=${2:-} && shift ;;
  --output-dir=*) folder=${1#*=} ;;
  esac
  shift
done
[ -n "$folder" ] || { echo "--output-dir is missing" >&2; exit 1; }
command -v retrovolt >/dev/null || exit 2
exec retrovolt diag --output "$folder/retrovolt-diag.tar.gz"
