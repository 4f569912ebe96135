#!/bin/sh
# Obeys a console: each line typed is a number and a command for the shell; each line printed by the command comes back
# behind the number and a bar, its exit code behind the number and an equals sign.
chip=/sys/kernel/config/gpio-sim/lab

# chip_make LABEL NAME...: a simulated GPIO chip with lines of these names, not plugged in yet.
chip_make() {
  mkdir -p $chip/bank0
  echo $(($# - 1)) >$chip/bank0/num_lines
  echo "$1" >$chip/bank0/label
  shift
  offset=0
  for name; do
    mkdir -p $chip/bank0/line$offset
    echo "$name" >$chip/bank0/line$offset/name
    offset=$((offset + 1))
  done
}

# plug_in 0|1: the chip vanishes or appears.
plug_in() { echo "$1" >$chip/live; }

# attribute NAME: the folder of a line.
attribute() {
  for line in $chip/bank0/line*; do
    [ "$(cat "$line/name")" = "$1" ] && at=${line##*/line}
  done
  echo "/sys/devices/platform/$(cat $chip/dev_name)/$(cat $chip/bank0/chip_name)/sim_gpio$at"
}

# pull NAME up|down: drives an input.
pull() { echo "pull-$2" >"$(attribute "$1")/pull"; }

# level NAME: 0 or 1.
level() { cat "$(attribute "$1")/value"; }

# pulses NAME COUNT: pulses of a meter that idles high, at the fastest rate IEC 62053-31 knows.
pulses() {
  file=$(attribute "$1")/pull
  for _ in $(seq "$2"); do
    echo pull-down >"$file"
    sleep 0.03
    echo pull-up >"$file"
    sleep 0.03
  done
}

stty -echo 2>/dev/null
echo "BOARD READY"
while read -r number command; do
  out=$(eval "$command" 2>&1)
  code=$?
  printf '%s\n' "$out" | sed "s/^/$number| /"
  echo "$number= $code"
done
