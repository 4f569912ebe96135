//! Every shipped profile goes through the conformance story, and every device has its page.

use retrovolt::device::{
    Confidence, Electrical, Image, Kind, Library, Point, Profile, Reply, Role, devices_index,
};
use retrovolt::domain::{Mono, Protocol, Quantity};
use retrovolt::sim::story::{Outcome, Report, rehearse};
use retrovolt::sim::{DeviceSpec, SimDevice};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What speaks Modbus; the other protocols have stories of their own beside their machines.
fn shipped() -> Vec<Arc<Profile>> {
    let library = Library::builtin();
    let modbus = library.speaking(Protocol::Modbus);
    // Collected here, because the ids borrow from the library.
    modbus.map(|(_, profile)| profile).collect()
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
    // Two meters show nothing that a stranger would not show as well.
    let nameless = shipped()
        .iter()
        .filter(|profile| profile.identify_reads().is_empty())
        .count();
    assert_eq!((passed["recognised"], nameless), (stories.len() - 2, 2));
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

#[test]
fn whoever_follows_the_guide_gets_a_sound_profile() {
    let guide = include_str!("../../docs/devices/adding.md");
    let blocks = guide
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let parts: Vec<&str> = blocks.filter(|block| !block.contains("[[")).collect();
    let text = parts.join("\n").replace(
        "source = [\"Vendor",
        "experimental = \"made up\"\nsource = [\"Vendor",
    );
    let profile = Profile::parse("mybox.toml", &text).unwrap_or_else(|errors| panic!("{errors:?}"));
    assert!(profile.watchdog().is_some() && profile.identify().is_some());
    let report = rehearse(&Arc::new(profile));
    assert!(report.is_good(), "{:?}", report.failures().collect::<Vec<_>>());
    let neighbour = guide
        .split("retrovolt profile show ")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    assert!(Library::builtin().get(neighbour.unwrap()).is_some());
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

/// What a scan would find: profiles whose fingerprint holds on a device that answers only what its own profile has.
fn recognised_as(device: &Arc<Profile>, all: &[Arc<Profile>]) -> Vec<Arc<Profile>> {
    let same_wire = |other: &Profile| {
        let (a, b) = (device.link(), other.link());
        (a.serial.is_some() && b.serial.is_some()) || (a.tcp_port.is_some() && b.tcp_port.is_some())
    };
    let candidates = all
        .iter()
        .filter(|other| other.kind() != Kind::Reader && same_wire(other));
    candidates
        .filter(|other| fingerprint_holds(device, other))
        .cloned()
        .collect()
}

fn fingerprint_holds(device: &Arc<Profile>, other: &Profile) -> bool {
    let mut sim = SimDevice::new(DeviceSpec::new("d", Arc::clone(device), 1), Mono(0));
    let mut image = Image::new();
    for block in other.identify_reads() {
        let mut words = Vec::new();
        for at in block.addr..block.addr + block.count {
            let Some(word) = sim.register(block.fc.code(), at) else {
                return false;
            };
            words.push(word);
        }
        let reply = if block.fc.is_bits() {
            Reply::Bits(words.iter().map(|word| *word != 0).collect())
        } else {
            Reply::Registers(words)
        };
        if other
            .decode(&block, &reply, 1, Electrical::default(), &mut image, Mono(0))
            .is_err()
        {
            return false;
        }
    }
    other.matches(&image) == Some(true)
}

#[test]
fn a_sure_fingerprint_is_nobody_elses() {
    let all = shipped();
    let mut wrong = Vec::new();
    for device in &all {
        for other in recognised_as(device, &all) {
            let sure = other.identify().map(|identify| identify.confidence) == Some(Confidence::High);
            if other.id() != device.id() && sure {
                wrong.push(format!(
                    "{} would surely be taken for {}",
                    device.id(),
                    other.id()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
