//! The schema that is checked in is the schema the loader uses.

use std::path::Path;

#[test]
fn the_checked_in_schemas_are_current() {
    current("device", &crate::device::json_schema());
    current("stream-device", &crate::device::stream_json_schema());
}

#[allow(
    clippy::disallowed_methods,
    reason = "reads and, when asked to, rewrites a checked-in file"
)]
fn current(name: &str, current: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/schema/{name}.schema.json"));
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, current).unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        checked_in == current,
        "run the tests once with UPDATE_SCHEMA=1 and commit {}",
        path.display()
    );
}

#[test]
fn the_example_in_the_documentation_is_a_sound_profile() {
    let page = include_str!("../../../docs/profile-format.md");
    let example = page
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    let profile = crate::device::Profile::parse("example.toml", example);
    assert_eq!(
        profile.map(|profile| profile.id().to_owned()),
        Ok("example-box".to_owned())
    );
}
