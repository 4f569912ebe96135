#!/usr/bin/env bash
# Installs what the interop tests talk to: foreign CSMSs, a foreign Modbus slave and decoders of meter telegrams from
# PyPI in .venv; libmodbus, libsml, socat, two MQTT brokers and a C compiler from the distribution where they are missing and we may install them.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=tests/interop

wanted=()
[ -e /usr/include/modbus/modbus.h ] || wanted+=(libmodbus-dev)
[ -e /usr/include/sml/sml_file.h ] || wanted+=(libsml-dev)
[ -e /usr/include/uuid/uuid.h ] || wanted+=(uuid-dev)
command -v socat >/dev/null || wanted+=(socat)
PATH=$PATH:/usr/sbin
command -v mosquitto >/dev/null || wanted+=(mosquitto)
command -v mosquitto_sub >/dev/null || wanted+=(mosquitto-clients)
command -v nats-server >/dev/null || wanted+=(nats-server)
command -v cc >/dev/null || wanted+=(gcc libc6-dev)
python3 -c 'import ensurepip, venv' 2>/dev/null || wanted+=(python3-venv)
if [ ${#wanted[@]} -gt 0 ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/dev/null
  else
    echo "missing for the interop tests: ${wanted[*]}; install them with: sudo apt-get install ${wanted[*]}" >&2
    exit 1
  fi
fi

if ! cmp -s "$here/requirements.txt" .venv/requirements.txt; then
  python3 -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  cp "$here/requirements.txt" .venv/requirements.txt
fi

slave=$here/slaves/libmodbus_slave.c
if [ "$slave" -nt .venv/libmodbus_slave ]; then
  cc -O2 -Wall -o .venv/libmodbus_slave "$slave" -I/usr/include/modbus -lmodbus
fi

meter=$here/meters/libsml_meter.c
if [ "$meter" -nt .venv/libsml_meter ]; then
  cc -O2 -Wall -o .venv/libsml_meter "$meter" -lsml -luuid
fi
