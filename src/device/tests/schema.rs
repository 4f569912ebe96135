//! The schema that is checked in is the schema the loader uses.

use std::path::Path;

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "reads and, when asked to, rewrites a checked-in file"
)]
fn the_checked_in_schema_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/schema/device.schema.json");
    let current = crate::device::json_schema();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &current).unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        checked_in == current,
        "run the tests once with UPDATE_SCHEMA=1 and commit {}",
        path.display()
    );
}
