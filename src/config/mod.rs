//! TOML to a validated site, all errors at once.
