//! S0 pulses: what is counted, what is not, and what survives.

use super::*;
use proptest::prelude::*;

/// A meter that earlier runs counted so far.
fn meter(counted: u64) -> Bench {
    let mut bench = Bench::new(device(&[], false, true));
    bench.input(GpioInput::Counted(counted));
    bench
}

fn counted(bench: &Bench) -> u64 {
    bench.machine.snapshot().pulses.unwrap()
}

#[test]
fn the_register_is_what_the_display_shows_and_the_power_is_the_rate() {
    let mut bench = meter(250);
    for _ in 0..100 {
        bench.pulse(30, 327);
    }
    bench.run(1_000);
    assert_eq!(counted(&bench), 350);
    assert_eq!(
        bench.reading("energy"),
        Some(5_000_000 + 350_000),
        "5 kWh and 350 Wh"
    );
    let power = bench.reading("power").unwrap();
    assert!(
        (3_000_000..=11_009_175).contains(&power),
        "{power}: 11 kW falls without pulses"
    );
}

#[test]
fn bounce_at_both_edges_counts_once() {
    let mut bench = meter(0);
    for _ in 0..50 {
        for (us, active) in [(0, true), (300, false), (450, true), (900, false), (1_400, true)] {
            bench.edge_at(us, active);
        }
        for (us, active) in [
            (31_000, false),
            (31_250, true),
            (31_600, false),
            (32_000, true),
            (33_000, false),
        ] {
            bench.edge_at(us, active);
        }
        bench.run(90);
    }
    assert_eq!(counted(&bench), 50);
}

#[test]
fn the_fastest_s0_output_is_counted_in_full() {
    let mut bench = meter(0);
    for _ in 0..1_000 {
        bench.pulse(30, 60);
    }
    assert_eq!(
        counted(&bench),
        1_000,
        "30 ms on, 30 ms off: 16.6 pulses a second"
    );
}

#[test]
fn needles_and_pulses_that_are_too_short_do_not_count() {
    let mut bench = meter(0);
    for _ in 0..200 {
        bench.edge_at(0, true);
        bench.edge_at(40, false);
        bench.run(100);
        bench.pulse(19, 100);
    }
    assert_eq!(counted(&bench), 0);
    bench.pulse(20, 100);
    assert_eq!(counted(&bench), 1, "the shortest width itself counts");
}

#[test]
fn a_pause_that_is_too_short_does_not_make_two_pulses_of_one() {
    let mut bench = meter(0);
    bench.edge_at(0, true);
    bench.edge_at(30_000, false);
    bench.edge_at(45_000, true);
    bench.edge_at(75_000, false);
    assert_eq!(counted(&bench), 1);
    bench.edge_at(95_000, true);
    bench.edge_at(125_000, false);
    assert_eq!(counted(&bench), 2, "20 ms are a pause");
}

#[test]
fn edges_that_come_late_and_all_at_once_count_by_their_own_times() {
    let mut bench = meter(0);
    for n in 0..500_u64 {
        bench.edge_at(n * 60_000, true);
        bench.edge_at(n * 60_000 + 30_000, false);
    }
    assert_eq!(counted(&bench), 500, "half a minute in one read");
}

#[test]
fn edges_the_kernel_dropped_are_reported_and_not_guessed() {
    let mut bench = meter(0);
    bench.pulse(30, 327);
    bench.seqno += 7;
    bench.edge_at(0, false);
    assert_eq!((counted(&bench), bench.remarks), (1, 1));
    bench.run(300);
    bench.pulse(30, 327);
    assert_eq!(counted(&bench), 2);
    assert_eq!(bench.machine.snapshot().lost_edges, 7);
    // Whether this is the end of the activity that began before the gap nobody knows.
    bench.edge_at(0, true);
    bench.seqno += 2;
    bench.run(100);
    bench.edge_at(0, false);
    assert_eq!((counted(&bench), bench.remarks), (2, 2));
}

#[test]
fn nothing_is_told_before_the_earlier_count_is_known_but_nothing_is_missed() {
    let mut bench = Bench::new(device(&[], false, true));
    for _ in 0..5 {
        bench.pulse(30, 327);
    }
    bench.run(10_000);
    assert!(bench.seen.is_empty() && bench.kept.is_none());
    bench.input(GpioInput::Counted(100));
    assert_eq!(bench.kept, Some(105));
    bench.input(GpioInput::Counted(900));
    bench.run(1_000);
    assert_eq!(counted(&bench), 105, "only the first word on it counts");
    assert_eq!(bench.reading("energy"), Some(5_105_000));
}

#[test]
fn without_pulses_the_power_falls_and_is_zero_after_ten_minutes() {
    let mut bench = meter(0);
    bench.pulse(30, 3_600);
    bench.pulse(30, 3_600);
    assert_eq!(
        bench.reading("power"),
        Some(1_000_000),
        "one pulse in 3.6 s is 1 kW"
    );
    bench.run(32_400 + 1_000);
    let power = bench.reading("power").unwrap();
    assert!((90_000..=110_000).contains(&power), "{power} after 36 s");
    bench.run(600_000);
    assert_eq!(bench.reading("power"), Some(0));
    let before = counted(&bench);
    bench.run(3_600_000);
    assert_eq!(counted(&bench), before);
}

/// The pulse line of a meter that runs on whatever becomes of the gateway.
#[derive(Clone, Debug)]
enum Step {
    Pulse {
        on: u64,
        off: u64,
    },
    Bounce {
        on: u64,
        off: u64,
    },
    /// The process is killed and starts anew, in the midst of a pulse or of a pause.
    Restart {
        in_pulse: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (30..200_u64, 30..2_000_u64).prop_map(|(on, off)| Step::Pulse { on, off }),
        3 => (30..200_u64, 30..2_000_u64).prop_map(|(on, off)| Step::Bounce { on, off }),
        2 => any::<bool>().prop_map(|in_pulse| Step::Restart { in_pulse }),
    ]
}

/// A new process: what was kept is what it goes on from, the level is what the line has now.
fn restart(old: &Bench) -> Bench {
    let mut bench = Bench::new(device(&[], false, true));
    bench.now = old.now + 5;
    bench.levels = old.levels.clone();
    bench.input(GpioInput::LinesBack(bench.levels.clone()));
    bench.input(GpioInput::Counted(old.kept.unwrap_or(0)));
    bench
}

proptest! {
    #[test]
    fn restarts_neither_lose_nor_double_a_pulse(steps in proptest::collection::vec(step(), 1..120)) {
        let (mut bench, mut pulses) = (meter(0), 0);
        for step in steps {
            match step {
                Step::Pulse { on, off } => {
                    bench.pulse(on, on + off);
                    pulses += 1;
                }
                Step::Bounce { on, off } => {
                    bench.edge_at(0, true);
                    bench.edge_at(200, false);
                    bench.edge_at(700, true);
                    bench.run(on);
                    bench.edge_at(0, false);
                    bench.edge_at(150, true);
                    bench.edge_at(400, false);
                    bench.run(off);
                    pulses += 1;
                }
                Step::Restart { in_pulse: false } => bench = restart(&bench),
                Step::Restart { in_pulse: true } => {
                    bench.edge_at(0, true);
                    bench.run(15);
                    bench = restart(&bench);
                    bench.run(15);
                    bench.edge_at(0, false);
                    bench.run(40);
                    pulses += 1;
                }
            }
            prop_assert_eq!(counted(&bench), pulses);
            prop_assert_eq!(bench.kept, Some(pulses));
        }
    }

    #[test]
    fn no_sequence_of_edges_counts_more_than_the_width_allows(
        edges in proptest::collection::vec((any::<bool>(), 0..60_000_u64, 1..4_u32), 1..400),
    ) {
        let mut bench = meter(0);
        let mut us = 0;
        for (active, gap, step) in edges {
            us += gap;
            bench.seqno += step - 1;
            bench.edge_at(us, active);
        }
        // Each pulse after the first takes a width of activity and a width of pause.
        prop_assert!(counted(&bench) <= 1 + us / 40_000);
    }
}
