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
fn the_examples_in_the_documentation_are_sound_profiles() {
    let page = include_str!("../../../docs/profile-format.md");
    let examples = page.split("```toml\n").skip(1);
    let texts = examples.filter_map(|rest| rest.split("```").next());
    // What is no whole profile is a fragment that shows one table.
    let ids: Vec<String> = texts
        .filter(|text| text.contains("format = 1"))
        .map(|text| {
            crate::device::Profile::parse("example.toml", text).map(|profile| profile.id().to_owned())
        })
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(ids, ["example-box", "example-meter", "example-reader"]);
}
