//! What lets a commit through: the judge of dependencies, and the choice of tests that can run here.

use crate::sandbox::{Said, Sandbox, root, said};
use std::time::{Duration, SystemTime};

/// `.ci/deny` before a database that `git` reaches or not, and a cargo-deny that loads it and judges as the codes say.
fn deny(reached: i32, loaded: i32, judged: i32) -> Said {
    let sandbox = Sandbox::new();
    sandbox.program("bin/git", &format!("exit {reached}"));
    sandbox.program(
        "bin/cargo",
        &format!(
            r#"case "$*" in
*fetch*) exit {loaded} ;;
*advisories*) echo "error[vulnerability]: a hole" >&2; exit {judged} ;;
esac"#
        ),
    );
    said(sandbox.command("bash").arg(root().join(".ci/deny")))
}

#[test]
fn a_known_vulnerability_lets_nothing_through_and_a_missing_database_is_told() {
    assert_eq!(deny(0, 0, 0).code, 0);
    let found = deny(0, 0, 1);
    assert_ne!(found.code, 0, "{}", found.text);
    assert!(found.text.contains("a hole"), "{}", found.text);
    for missing in [deny(2, 0, 1), deny(0, 1, 1), deny(0, 124, 1)] {
        assert_eq!(missing.code, 0, "{}", missing.text);
        assert!(missing.text.contains("NOT CHECKED"), "{}", missing.text);
    }
}

/// The scripts in a folder of their own, with programs for arm64 that were built so long ago.
fn chosen(age: Duration) -> Said {
    let sandbox = Sandbox::new();
    for script in ["tests/boards/filter.sh", "tests/aarch64/build.sh"] {
        let text = std::fs::read_to_string(root().join(script)).expect("a script");
        sandbox.file(script, &text);
    }
    let sources = ["src/lib.rs", "config/retrovolt.toml", "build.rs", "Cargo.toml"];
    let more = ["Cargo.lock", ".cargo/config.toml"];
    let cross = ["cargo", "rustc", "requirements.txt"].map(|name| format!("deploy/cross/{name}"));
    for source in sources
        .into_iter()
        .chain(more)
        .chain(cross.iter().map(String::as_str))
    {
        sandbox.file(source, "");
        let file = std::fs::File::open(sandbox.path(source)).expect("a file");
        let before = SystemTime::now() - Duration::from_secs(60);
        file.set_modified(before).expect("changed");
    }
    for program in ["retrovolt", "pure-tests"] {
        let name = format!("target/cross/aarch64-unknown-linux-musl/emulated/{program}");
        sandbox.program(&name, "");
        let file = std::fs::File::open(sandbox.path(&name)).expect("a file");
        file.set_modified(SystemTime::now() - age).expect("changed");
    }
    said(
        sandbox
            .command("bash")
            .arg(sandbox.path("tests/boards/filter.sh")),
    )
}

#[test]
fn a_program_for_arm64_that_is_older_than_the_source_is_not_tested() {
    let fresh = chosen(Duration::ZERO);
    assert_eq!((fresh.code, fresh.text.as_str()), (0, ""));
    let stale = chosen(Duration::from_secs(3600));
    assert_eq!(stale.code, 0, "{}", stale.text);
    for stage in ["test(/^arm64::/)", "test(/^processor::/)", "SKIPPED"] {
        assert!(stale.text.contains(stage), "{}", stale.text);
    }
}
