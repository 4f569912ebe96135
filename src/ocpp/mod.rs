//! OCPP: frames, the call engine, one folder per dialect. Pure.
