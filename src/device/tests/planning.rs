//! The read plan against every other plan.

use super::{WIRE, charger};
use crate::device::{Caution, Image, LinkCost, Profile, ReadFc};
use proptest::prelude::*;

fn profile(link: &str, points: &[(u16, u16)], extra: &str) -> Profile {
    let kinds = |width: u16| match width {
        1 => "u16",
        2 => "u32",
        _ => "u64",
    };
    let mut lines = String::new();
    for (index, (at, width)) in points.iter().enumerate() {
        let kind = kinds(*width);
        lines.push_str(&format!(
            "p{index} = {{ at = {at}, type = \"{kind}\", quantity = \"power\" }}\n"
        ));
    }
    let text = format!(
        "format = 1\nid = \"m\"\nkind = \"meter\"\nvendor = \"v\"\nmodels = [\"m\"]\nsource = [\"s\"]\n\
         link = {{ tcp_port = 502, unit = 1, poll_ms = 1000, {link} }}\ndefaults = {{ fc = 3, write_fc = [6] }}\n\
         [points]\n{lines}{extra}"
    );
    Profile::parse("m.toml", &text).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn reads(profile: &Profile, cost: LinkCost, caution: Caution) -> Vec<(u16, u16)> {
    let plan = profile.plan(cost, 1, &Image::new(), caution);
    plan.iter().map(|block| (block.addr, block.count)).collect()
}

/// Every way to cut the sorted points into reads, tried one by one.
fn brute_force(points: &[(u16, u16)], most: u16, holes: bool, barrier: Option<u16>, cost: LinkCost) -> u64 {
    let cuts = points.len() - 1;
    let total = |mask: u32| {
        let (mut sum, mut from) = (0, 0);
        for to in 0..points.len() {
            if to < cuts && mask & (1 << to) == 0 {
                continue;
            }
            let group = &points[from..=to];
            let first = group[0].0;
            let end = group.iter().map(|(at, width)| at + width).max()?;
            let covered = |addr: u16| points.iter().any(|(at, width)| *at <= addr && addr < at + width);
            let passable = |addr| covered(addr) || (holes && barrier != Some(addr));
            if group.len() > 1 && (end - first > most || !(first..end).all(passable)) {
                return None;
            }
            sum += cost.read_us(ReadFc::HoldingRegisters, end - first);
            from = to + 1;
        }
        Some(sum)
    };
    (0..1_u32 << cuts).filter_map(total).min().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_plan_is_cheaper(
        gaps in proptest::collection::vec((0_u16..60, prop_oneof![Just(1_u16), Just(2), Just(4)]), 1..10),
        most in 4_u16..126,
        holes: bool,
        barred in proptest::option::of(0_usize..9),
        char_us in 1_u32..5000,
        think_us in 0_u32..100_000,
    ) {
        let mut points = Vec::new();
        let mut at = 0;
        for (gap, width) in &gaps {
            at += gap;
            points.push((at, *width));
            at += width;
        }
        // A barrier is the first register of a hole.
        let barrier = barred.and_then(|index| {
            let end = points.get(index).map(|(at, width)| at + width)?;
            points.get(index + 1).filter(|(next, _)| *next > end).map(|_| end)
        });
        let cost = LinkCost { char_us, silence_us: 2 * char_us, think_us };
        let extra = barrier.map(|at| format!("bar = {{ at = {at}, access = \"w\", type = \"u16\" }}\n"));
        let link = format!("max_read_regs = {most}, read_holes = {holes}");
        let profile = profile(&link, &points, extra.as_deref().unwrap_or(""));
        let plan = profile.plan(cost, 1, &Image::new(), Caution::Normal);
        let mut read: Vec<_> = plan.iter().flat_map(|block| block.points.clone()).collect();
        read.sort_unstable();
        read.dedup();
        prop_assert_eq!(read.len(), points.len());
        let taken: u64 = plan.iter().map(|block| cost.read_us(block.fc, block.count)).sum();
        let best = brute_force(&points, most, holes, barrier, cost);
        prop_assert!(taken * 100 <= best * 105, "{} against {}", taken, best);
        for block in &plan {
            let end = block.addr + block.count;
            prop_assert!(barrier.is_none_or(|bar| bar < block.addr || end <= bar));
        }
    }
}

#[test]
fn a_hole_is_read_through_only_where_that_is_cheaper_and_allowed() {
    let points = [(0, 2), (12, 2), (200, 2)];
    let open = profile("read_holes = true", &points, "");
    assert_eq!(reads(&open, WIRE, Caution::Normal), [(0, 14), (200, 2)]);
    let slow = LinkCost {
        char_us: 9000,
        silence_us: 0,
        think_us: 0,
    };
    assert_eq!(reads(&open, slow, Caution::Normal), [(0, 2), (12, 2), (200, 2)]);
    assert_eq!(reads(&open, WIRE, Caution::Small), [(0, 2), (12, 2), (200, 2)]);
    let closed = profile("read_holes = false", &points, "");
    assert_eq!(reads(&closed, WIRE, Caution::Normal), [(0, 2), (12, 2), (200, 2)]);
    // A register that is known to exist is no hole, though nobody wants its value.
    let known = profile(
        "read_holes = false",
        &[(0, 2), (4, 2)],
        "spare = { at = 2, type = \"u32\" }\n",
    );
    assert_eq!(reads(&known, WIRE, Caution::Normal), [(0, 6)]);
}

#[test]
fn barriers_and_single_reads() {
    let points = [(0, 2), (3, 2)];
    let no_read = profile(
        "read_holes = true, no_read = [{ fc = 3, first = 2, last = 2 }]",
        &points,
        "",
    );
    assert_eq!(reads(&no_read, WIRE, Caution::Normal), [(0, 2), (3, 2)]);
    let alone = profile("read_holes = true, join = false", &[(0, 2), (2, 2)], "");
    assert_eq!(reads(&alone, WIRE, Caution::Normal), [(0, 2), (2, 2)]);
    let near = profile("", &[(0, 2), (2, 2)], "");
    assert_eq!(reads(&near, WIRE, Caution::Normal), [(0, 4)]);
    assert_eq!(reads(&near, WIRE, Caution::Single), [(0, 2), (2, 2)]);
}

#[test]
fn a_register_that_depends_on_an_unknown_version_is_a_barrier() {
    let extra = "version = { at = 90, type = \"u16\" }\n\
                 newer = { at = 2, type = \"u16\", when = [{ point = \"version\", min = 2 }] }\n";
    let profile = profile("read_holes = true", &[(0, 2), (3, 2)], extra);
    assert_eq!(reads(&profile, WIRE, Caution::Normal), [(90, 1), (0, 2), (3, 2)]);
    let mut image = Image::new();
    image.set(profile.find("version").unwrap(), crate::device::Raw::Int(2));
    let plan = profile.plan(WIRE, 1, &image, Caution::Normal);
    assert_eq!(
        plan.iter()
            .map(|block| (block.addr, block.count))
            .collect::<Vec<_>>(),
        [(90, 1), (0, 5)]
    );
}

#[test]
fn a_slow_point_inside_a_fast_block_comes_along() {
    let extra = "slow = { at = 2, type = \"u16\", quantity = \"frequency\", every = \"slow\" }\n";
    let profile = profile("read_holes = true", &[(0, 2), (3, 2)], extra);
    let plan = profile.plan(WIRE, 1, &Image::new(), Caution::Normal);
    assert_eq!(plan.len(), 1);
    assert_eq!(plan[0].points.len(), 3);
}

#[test]
fn points_at_one_address_share_a_read() {
    let profile = charger(
        "low = { at = 0, type = \"u16\", bit = 0, role = \"error\" }\n\
         limit = { at = 1, access = \"rw\", type = \"u16\", unit = \"A\", off = 0, role = \"limit_read_back\" }",
        "[limits]\nmax_a = 16\n[recipes]\nlimit = [{ write = \"limit\", value = \"limit\" }]",
    )
    .unwrap();
    let plan = profile.plan(WIRE, 1, &Image::new(), Caution::Normal);
    assert_eq!(
        plan.iter()
            .map(|block| (block.addr, block.count))
            .collect::<Vec<_>>(),
        [(0, 2)]
    );
}
