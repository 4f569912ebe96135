//! Wiring: tasks, clock, signals, systemd.
