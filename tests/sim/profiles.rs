//! Every shipped profile goes through the conformance story, and every device has its page.

use retrovolt::device::{Kind, Library, Point, Profile, Role, devices_index};
use retrovolt::domain::Quantity;
use retrovolt::sim::story::{Outcome, Report, rehearse};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn shipped() -> Vec<Arc<Profile>> {
    let library = Library::builtin();
    library.ids().filter_map(|id| library.get(id)).collect()
}

/// The stories of all, told by as many threads as there are processors.
fn stories() -> Vec<Report> {
    let profiles = shipped();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = profiles.len().div_ceil(threads);
    std::thread::scope(|scope| {
        let tellers: Vec<_> = profiles
            .chunks(share)
            .map(|part| scope.spawn(|| part.iter().map(rehearse).collect::<Vec<_>>()))
            .collect();
        tellers
            .into_iter()
            .flat_map(|teller| teller.join().unwrap())
            .collect()
    })
}

#[test]
fn every_shipped_profile_goes_through_its_day() {
    let stories = stories();
    let wrong: Vec<String> = stories
        .iter()
        .flat_map(|story| {
            story
                .failures()
                .map(|scene| format!("{}: {}: {}", story.profile, scene.name, scene.detail))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} steps failed:\n  {}",
        wrong.len(),
        wrong.join("\n  ")
    );

    // A story that skips is none: what must be there is there for all, and the rest was tried on some.
    let mut passed: BTreeMap<&str, usize> = BTreeMap::new();
    for scene in stories.iter().flat_map(|story| &story.scenes) {
        *passed.entry(scene.name).or_default() += usize::from(scene.outcome == Outcome::Passed);
    }
    let count = |kind: Kind| shipped().iter().filter(|profile| profile.kind() == kind).count();
    assert_eq!(passed["recognised"], stories.len());
    for step in [
        "plug in", "start", "limits", "too low", "pause", "restart", "stop", "leave", "unplug",
    ] {
        assert_eq!(passed[step], count(Kind::Charger), "{step}");
    }
    // An inverter only counts what it produces, and nothing produces here.
    let has_register = |profile: &&Arc<Profile>| {
        let is_import = |point: &Point| {
            matches!(
                point.role,
                Role::Reading {
                    quantity: Quantity::EnergyImport,
                    ..
                }
            )
        };
        profile.kind() == Kind::Meter && profile.points().iter().any(is_import)
    };
    assert_eq!(passed["counts"], shipped().iter().filter(has_register).count());
}

#[test]
fn the_story_finds_what_does_not_fit_together() {
    let page = include_str!("../../docs/profile-format.md");
    let example = page
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    let broken = |from: &str, to: &str| {
        assert!(example.contains(from), "the example has changed: {from}");
        let text = example.replace(from, to);
        let profile = Profile::parse("example.toml", &text).unwrap_or_else(|errors| panic!("{errors:?}"));
        let report = rehearse(&Arc::new(profile));
        report.failures().map(|scene| scene.name).collect::<Vec<_>>()
    };
    assert_eq!(broken("id = ", "id = "), [""; 0], "the example itself is sound");
    // The limit is looked for in a register that nothing writes.
    let elsewhere = broken(
        r#"value = "limit", verify = "limit", settle_ms = 2000"#,
        r#"value = "limit", verify = "rating", settle_ms = 2000"#,
    );
    assert!(elsewhere.contains(&"limits"), "{elsewhere:?}");
    // No raw state means charging.
    let blind = broken(r#"{ raw = 4, iec = "C2" }"#, r#"{ raw = 4, iec = "B2" }"#);
    assert!(blind.contains(&"start"), "{blind:?}");
    // Two readings share one register.
    let shared = broken(r#"energy    = { at = 135"#, r#"energy    = { at = 132"#);
    assert!(shared.contains(&"reads"), "{shared:?}");
    // The pause switches something else.
    let deaf = broken(
        r#"pause = [{ write = "allow", value = 0, verify = "allow""#,
        r#"pause = [{ write = "unlock", value = 7"#,
    );
    assert!(deaf.contains(&"pause"), "{deaf:?}");
    // A fingerprint that contradicts itself.
    let nobody = broken(
        r#"{ point = "firmware", starts_with = "BOX" }"#,
        r#"{ point = "state", is = 77 }"#,
    );
    assert!(nobody.contains(&"recognised"), "{nobody:?}");
}

fn pages() -> BTreeMap<PathBuf, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/devices");
    let profiles = shipped();
    let page = |profile: &Arc<Profile>| (folder.join(format!("{}.md", profile.id())), profile.page());
    let mut pages: BTreeMap<PathBuf, String> = profiles.iter().map(page).collect();
    pages.insert(
        folder.join("README.md"),
        devices_index(profiles.iter().map(AsRef::as_ref)),
    );
    pages
}

/// `make docs-devices` writes them anew.
#[test]
fn the_pages_of_devices_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/devices");
    let pages = pages();
    let by_hand = BTreeSet::from([folder.join("adding.md")]);
    let found: Vec<PathBuf> = std::fs::read_dir(&folder)
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    let stray = |path: &&PathBuf| !pages.contains_key(*path) && !by_hand.contains(*path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        found
            .iter()
            .filter(stray)
            .for_each(|path| std::fs::remove_file(path).unwrap());
        pages
            .iter()
            .for_each(|(path, page)| std::fs::write(path, page).unwrap());
        return;
    }
    let stale: Vec<_> = pages
        .iter()
        .filter(|(path, page)| std::fs::read_to_string(path).ok().as_ref() != Some(page))
        .map(|(path, _)| path)
        .chain(found.iter().filter(stray))
        .collect();
    assert!(stale.is_empty(), "run `make docs-devices` and commit: {stale:?}");
}
