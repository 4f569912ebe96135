//! Sideways shell: MQTT and metrics. Empty until the telemetry work begins.
