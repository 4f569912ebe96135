//! Lists in all places and shapes.

use super::{Chain, Found, Model, Outcome, Walk};
use crate::device::{Library, Pdu, Profile, Reply};
use std::collections::BTreeMap;

fn meter() -> std::sync::Arc<Profile> {
    Library::builtin().get("sunspec-meter").expect("it is shipped")
}

/// A device with these models behind a marker at `base`.
fn device(base: u16, models: &[(u16, u16)], end: bool) -> BTreeMap<u16, u16> {
    let mut registers = BTreeMap::from([(base, 0x5375), (base + 1, 0x6E53)]);
    let mut at = base + 2;
    for (id, length) in models {
        registers.extend((at..at + 2 + length).map(|at| (at, 0x8000)));
        registers.extend([(at, *id), (at + 1, *length)]);
        at += 2 + length;
    }
    if end {
        registers.extend([(at, 0xFFFF), (at + 1, 0)]);
    }
    registers
}

/// Walks along a device; the addresses read and what came of it.
fn walk(registers: &BTreeMap<u16, u16>, nth: u16) -> (Vec<u16>, Option<Profile>) {
    let (profile, mut walk, mut read) = (meter(), Walk::new(nth), Vec::new());
    loop {
        let Pdu::Read { addr, count, .. } = walk.pdu() else {
            panic!("a walk only reads")
        };
        assert_eq!(count, 2);
        read.push(addr);
        let words: Option<Vec<u16>> = (addr..addr + 2).map(|at| registers.get(&at).copied()).collect();
        match walk.replied(&profile, words.map(Reply::Registers).as_ref()) {
            Outcome::More => assert!(read.len() < 200, "a walk ends"),
            Outcome::Done(profile) => return (read, Some(*profile)),
            Outcome::Nothing => return (read, None),
        }
    }
}

fn address(profile: &Profile, point: &str) -> u16 {
    profile.point(profile.find(point).expect("a point")).addr
}

#[test]
fn in_the_usual_place_nothing_moves() {
    let (read, found) = walk(&device(40_000, &[(1, 66), (203, 105)], true), 1);
    let found = found.expect("a meter");
    assert_eq!(read, [40_000, 40_002, 40_070]);
    assert_eq!(
        (address(&found, "power"), address(&found, "marker")),
        (40_088, 40_000)
    );
}

#[test]
fn other_bases_other_models_in_between_and_a_common_model_without_its_pad() {
    for base in [50_000, 0, 39_999, 40_001] {
        let (_, found) = walk(
            &device(base, &[(1, 65), (103, 50), (64_001, 7), (201, 105)], true),
            1,
        );
        let found = found.expect("a meter");
        let at = base + 2 + 67 + 52 + 9;
        assert_eq!(
            (address(&found, "model"), address(&found, "power")),
            (at, at + 18)
        );
        assert_eq!(address(&found, "serial_number"), base + 2 + 50);
    }
}

#[test]
fn of_several_meters_the_connector_says_which_with_its_own_common_model() {
    // As a SolarEdge inverter with two meters has it.
    let models = [(1, 65), (103, 50), (1, 65), (203, 105), (1, 65), (203, 105)];
    let second = walk(&device(40_000, &models, true), 2).1.expect("a second meter");
    let first = walk(&device(40_000, &models, true), 1).1.expect("a meter");
    assert_eq!(
        (address(&first, "model"), address(&first, "common")),
        (40_188, 40_121)
    );
    assert_eq!(
        (address(&second, "model"), address(&second, "common")),
        (40_362, 40_295)
    );
    assert!(walk(&device(40_000, &models, true), 3).1.is_none());
}

#[test]
fn what_does_not_fit_is_refused() {
    for (models, why) in [
        (&[(1, 66), (203, 104)][..], "a length that is not the model's"),
        (&[(1, 60), (203, 105)], "nor is this"),
        (&[(1, 66), (213, 124)], "another layout"),
        (&[(203, 105)], "no common model"),
        (&[], "nothing"),
    ] {
        for end in [true, false] {
            assert!(walk(&device(40_000, models, end), 1).1.is_none(), "{why}");
        }
    }
    let (read, found) = walk(&BTreeMap::new(), 1);
    assert_eq!(
        (read, found.is_none()),
        (vec![40_000, 50_000, 0, 39_999, 40_001], true)
    );
}

#[test]
fn a_list_that_never_ends_is_left() {
    let (read, found) = walk(&device(0, &[(64_000, 1); 100], false), 1);
    assert!(found.is_none() && read.len() <= 70, "{}", read.len());
    let mut beyond = device(40_000, &[(1, 66)], false);
    beyond.extend([(40_070, 700), (40_071, 0xFFF0)]);
    assert!(walk(&beyond, 1).1.is_none(), "beyond the last address");
}

#[test]
fn chains_are_checked() {
    for (list, mistake) in [
        (vec![], "at least one"),
        (vec![vec![]], "at least one"),
        (vec![vec![1], vec![999]], "999 is not known"),
        (vec![vec![201, 211]], "same layout"),
    ] {
        let told = Chain::new(&list).expect_err("a mistake");
        assert!(told.contains(mistake), "{told}");
    }
    let chain = Chain::new(&[vec![1], vec![203]]).expect("a chain");
    assert!(
        chain.holds(40_000, 2)
            && chain.holds(40_070, 107)
            && !chain.holds(40_069, 2)
            && !chain.holds(40_176, 2)
    );
    let found = Found {
        base: 0,
        models: vec![Model {
            id: 1,
            at: 2,
            length: 66,
        }],
    };
    assert!(meter().moved(&found, 1).is_none());
}

#[test]
fn a_profile_with_points_outside_its_models_is_a_mistake() {
    let good = "format = 1\nid = \"m\"\nkind = \"meter\"\nvendor = \"v\"\nmodels = [\"m\"]\nsource = [\"s\"]\n\
                sunspec = [1, 203]\n[link]\ntcp_port = 502\nunit = 1\npoll_ms = 1000\n[points]\n\
                power = { at = 40088, fc = 3, type = \"i16\", quantity = \"power\" }\n";
    assert!(Profile::parse("m.toml", good).is_ok());
    for (from, to) in [
        ("at = 40088", "at = 40177"),
        ("fc = 3", "fc = 4"),
        ("[1, 203]", "[1, 203, 5]"),
        ("[1, 203]", "[1, [201, 213]]"),
        (
            "unit = 1",
            "unit = 1\nno_read = [{ fc = 3, first = 1, last = 2 }]",
        ),
    ] {
        let told = Profile::parse("m.toml", &good.replace(from, to)).expect_err(to);
        assert!(
            told.iter().any(|error| error.to_string().contains("sunspec")),
            "{told:?}"
        );
    }
}
