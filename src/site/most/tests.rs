use super::*;
use crate::domain::{AuthMode, DeviceId, EvseId};
use std::time::Duration;

fn evse(id: u16, phases: u8, first_phase: Phase) -> EvseSetup {
    EvseSetup {
        id: EvseId(id),
        charger: DeviceId::new("box"),
        meter: None,
        reader: None,
        contacts: Vec::new(),
        phases,
        first_phase,
        max_current: MilliAmps(16_000),
        min_current: MilliAmps(6_000),
        dimmed_current: MilliAmps(6_000),
        nominal_voltage: 230,
        auth: AuthMode::Remote,
        meter_stale_after: Duration::from_secs(10),
        has_lock: false,
        switches_phases: false,
    }
}

/// Charge points with what restricts their EVSEs.
struct Site {
    points: Vec<(CpId, Option<MilliAmps>, Vec<Wired>)>,
    fuses: Vec<FuseSetup>,
}

type Wired = (EvseSetup, Vec<(MilliAmps, LimitSource)>);

impl Site {
    fn of(points: &[(&str, &[EvseSetup])]) -> Self {
        let wired = |evses: &[EvseSetup]| evses.iter().map(|evse| (evse.clone(), Vec::new())).collect();
        let points = points.iter();
        Self {
            points: points
                .map(|(id, evses)| (CpId::new(*id), None, wired(evses)))
                .collect(),
            fuses: Vec::new(),
        }
    }

    fn fuse(mut self, name: &str, amps: i64, members: &[(&str, u16)]) -> Self {
        self.fuses.push(FuseSetup {
            name: name.to_owned(),
            max_current: MilliAmps(amps * 1000),
            members: members
                .iter()
                .map(|(cp, evse)| (CpId::new(*cp), EvseId(*evse)))
                .collect(),
        });
        self
    }

    fn limit(mut self, point: usize, evse: usize, amps: i64, source: LimitSource) -> Self {
        self.points[point].2[evse]
            .1
            .push((MilliAmps(amps * 1000), source));
        self
    }

    /// Watt, and by whom.
    fn most(&self) -> (i64, &'static str) {
        let feeders: Vec<Feeder<'_>> = self
            .points
            .iter()
            .map(|(id, ceiling, evses)| Feeder {
                id,
                ceiling: *ceiling,
                outlets: evses
                    .iter()
                    .map(|(setup, limits)| Outlet {
                        setup,
                        limits: limits.clone(),
                    })
                    .collect(),
            })
            .collect();
        let most = most(&feeders, &self.fuses).unwrap();
        (most.power.0 / 1000, most.by.word())
    }
}

fn two() -> Site {
    let three = [evse(1, 3, Phase::L1)];
    Site::of(&[("A", &three[..]), ("B", &three[..])])
}

#[test]
fn a_site_without_evses_has_no_limit() {
    assert_eq!(most(&[], &[]), None);
}

#[test]
fn the_installation_limits_and_so_do_fuses_one_after_the_other() {
    assert_eq!(two().most(), (2 * 3 * 16 * 230, "static"));
    let fused = two().fuse("yard", 20, &[("A", 1), ("B", 1)]);
    assert_eq!(fused.most(), (3 * 20 * 230, "static"));
    let behind = two()
        .fuse("main", 35, &[("A", 1), ("B", 1)])
        .fuse("sub", 10, &[("B", 1)]);
    assert_eq!(behind.most(), (3 * (16 + 10) * 230, "static"));
    let overlapping = two()
        .fuse("one", 10, &[("A", 1), ("B", 1)])
        .fuse("other", 10, &[("B", 1), ("C", 1)]);
    assert_eq!(overlapping.most(), (3 * 10 * 230, "static"), "never too low");
}

#[test]
fn phases_are_counted_where_they_are_wired() {
    let single = |id, phase| evse(id, 1, phase);
    let site = Site::of(&[(
        "A",
        &[single(1, Phase::L1), single(2, Phase::L1), single(3, Phase::L3)],
    )]);
    let site = site.fuse("main", 20, &[("A", 1), ("A", 2), ("A", 3)]);
    assert_eq!(site.most(), ((20 + 16) * 230, "static"), "20 A of L1, 16 A of L3");
}

#[test]
fn who_lowers_it_most_is_named() {
    let all = 2 * 3 * 16 * 230;
    let dimmed = |site: Site| {
        site.limit(0, 0, 6, LimitSource::GridOperator)
            .limit(1, 0, 6, LimitSource::GridOperator)
    };
    assert_eq!(dimmed(two()).most(), (2 * 3 * 6 * 230, "dso"));
    let paused = two().limit(0, 0, 3, LimitSource::GridOperator);
    assert_eq!(paused.most(), (all / 2, "dso"), "less than the least is nothing");
    let profile = two().limit(1, 0, 10, LimitSource::TxProfile);
    assert_eq!(profile.most(), (all - 3 * 6 * 230, "csms"));
    let held = dimmed(two())
        .limit(0, 0, 0, LimitSource::Local)
        .limit(1, 0, 0, LimitSource::Local);
    assert_eq!(held.most(), (0, "operator"));
    let ill = two()
        .limit(0, 0, 0, LimitSource::Failsafe)
        .limit(1, 0, 0, LimitSource::Local);
    assert_eq!(
        ill.most(),
        (0, "failsafe"),
        "of two that do as much the one that goes before"
    );
    let idle = two()
        .limit(0, 0, 0, LimitSource::NotAuthorised)
        .limit(1, 0, 8, LimitSource::SharedFuse)
        .limit(1, 0, 32, LimitSource::Local);
    assert_eq!(idle.most(), (all, "static"));
    let behind_a_fuse = dimmed(two()).fuse("yard", 10, &[("A", 1), ("B", 1)]);
    assert_eq!(
        behind_a_fuse.most(),
        (3 * 10 * 230, "static"),
        "the fuse allows less anyway"
    );
}

#[test]
fn a_charge_point_profile_holds_for_all_its_evses_together() {
    let mut site = Site::of(&[
        ("A", &[evse(1, 3, Phase::L1), evse(2, 3, Phase::L2)]),
        ("B", &[evse(1, 3, Phase::L1)]),
    ]);
    site.points[0].1 = Some(MilliAmps(20_000));
    let shares = site.limit(0, 0, 20, LimitSource::ChargePointMaxProfile).limit(
        0,
        1,
        20,
        LimitSource::ChargePointMaxProfile,
    );
    assert_eq!(shares.most(), (3 * (20 + 16) * 230, "csms"));
}
