#!/usr/bin/env bash
# Installs what the interop tests talk to: foreign CSMSs, a foreign Modbus slave and decoders of meter telegrams from
# PyPI in .venv; libmodbus, libsml, socat, a D-Bus daemon, two MQTT brokers and a C compiler from the distribution where they are missing and we may install them;
# promtool from the distribution's package of Prometheus, which is unpacked in .lab and not installed: no service is started.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=tests/interop

wanted=()
[ -e /usr/include/modbus/modbus.h ] || wanted+=(libmodbus-dev)
[ -e /usr/include/sml/sml_file.h ] || wanted+=(libsml-dev)
[ -e /usr/include/uuid/uuid.h ] || wanted+=(uuid-dev)
command -v socat >/dev/null || wanted+=(socat)
command -v dbus-daemon >/dev/null || wanted+=(dbus)
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

tool=.lab/prometheus/promtool
if [ ! -x "$tool" ]; then
  mkdir -p "$(dirname "$tool")"
  if command -v promtool >/dev/null; then
    ln -sf "$(command -v promtool)" "$tool"
  else
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    chmod 755 "$work"
    load() { (cd "$work" && apt-get download -qq prometheus 2>/dev/null); }
    { load || { apt-get update -qq && load; }; } && dpkg-deb -x "$work"/prometheus_*.deb "$work/unpacked" || {
      echo "missing for the tests of metrics: promtool; install it with: sudo apt-get install --no-install-recommends prometheus" >&2
      exit 1
    }
    install -m 755 "$work/unpacked/usr/bin/promtool" "$tool"
  fi
fi
