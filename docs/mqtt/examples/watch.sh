#!/bin/sh
# Shows every status change of every charge point as it happens: watch.sh HOST [options of mosquitto_sub]
host=${1:?name the broker}
shift
exec mosquitto_sub -h "$host" "$@" -q 1 -t 'retrovolt/+/cp/+/event/status' -F '%t %p'
