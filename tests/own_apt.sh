# shellcheck shell=bash
# An apt of its own, for labs that need a package of another suite: the system's sources and state stay as they are.
# Sourced by setup scripts. own_apt FOLDER SUITE...: afterwards apt-get update, download and apt-cache work on these suites.
own_apt() {
  local dir=$1 keyring=/usr/share/keyrings/debian-archive-keyring.gpg suite
  shift
  command -v apt-get >/dev/null || { echo "no apt-get" >&2; return 1; }
  [ -e "$keyring" ] || { echo "no $keyring to check packages with" >&2; return 1; }
  mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
  : >"$dir/status"
  for suite in "$@"; do
    echo "deb [signed-by=$keyring] ${DEBIAN_MIRROR:-http://deb.debian.org/debian} $suite main"
  done >"$dir/sources.list"
  cat >"$dir/apt.conf" <<END
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$dir/lists";
Dir::State::status "$dir/status";
Dir::Cache "$dir/cache";
APT::Architecture "${OWN_APT_ARCHITECTURE:-amd64}";
APT::Architectures { "${OWN_APT_ARCHITECTURE:-amd64}"; };
APT::Sandbox::User "root";
END
  export APT_CONFIG=$dir/apt.conf
  apt-get update -qq 2>/dev/null
}
