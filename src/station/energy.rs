//! The billing register of an EVSE: what the meter reads, made fit to be billed.
//!
//! Rules:
//! * Within a transaction the value shown never falls, whatever the meter does: a reset, a roll-over or a
//!   swapped meter moves the offset, and the jump itself is billed to nobody.
//! * A step larger than the EVSE could physically have delivered is suspect. It is taken only when three
//!   readings in a row agree, and then only if it may be the resolution of the register; a larger one moves the
//!   offset instead.
//! * There is no zero baseline: a first reading of zero must be confirmed like a suspect one.
//! * Outside transactions the raw register is shown, so that `meterStart` is what the meter's display says. Where that is
//!   not the continuation of what was shown before, it is counted: the register shown has begun anew.

use crate::domain::{MilliWattHours, Mono, Quality};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A step always believed: the resolution of common registers (0.1 kWh) and half of it again, mWh.
const SLACK: i64 = 150_000;
/// A fall within this is held, not taken for a reset, mWh.
const HOLD: i64 = 250_000;
/// A confirmed step up to this is the resolution of a coarse register and is billed, mWh.
const COARSE: i64 = 1_100_000;
/// Readings in a row that confirm a suspect one.
const CONFIRM: u8 = 3;
/// Energy that must have flowed before a register that stands still and never moved yet is frozen: more than the
/// coarsest registers leave out, mWh.
const FROZEN: i64 = 1_200_000;
/// A register whose steps were seen is frozen after so many of its least step and its shortest pause.
const FROZEN_STEPS: u8 = 2;
/// A reading of power says nothing about what flows longer after it than this.
const FLOW_LASTS: Duration = Duration::from_secs(60);
/// Time assumed between runs of the process where no clock can tell.
const UNKNOWN_GAP: Duration = Duration::from_secs(3600);

/// What became of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// Believed.
    Taken,
    /// Not believed yet.
    Suspect,
    /// Confirmed as the register of another count: the offset was moved, nothing billed for the jump.
    Rebased,
}

/// The part of the register that is stored with a running transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    /// Last believed raw register, mWh.
    pub(super) raw: i64,
    /// Added to the raw register, mWh.
    pub(super) offset: i64,
    /// Highest value shown in this transaction, mWh.
    pub(super) shown: i64,
}

#[derive(Clone, Copy, Debug)]
struct Doubt {
    first: i64,
    last: i64,
    at: Mono,
    count: u8,
}

/// The register.
#[derive(Clone, Debug)]
pub(super) struct Register {
    /// Most the EVSE can deliver with margin, milliwatt.
    max_power: i64,
    known: Option<Stored>,
    /// Raw register before the last growth: a fall not below it is a glitch taken back.
    before: i64,
    /// When the last reading was believed; `None` after a restart.
    at: Option<Mono>,
    quality: Quality,
    doubt: Option<Doubt>,
    /// Time that may have passed unseen before the first reading of this run.
    gap: Duration,
    /// Energy by the power that flows since the register last grew, in mW x ms, and for how long it flowed, ms.
    unseen: i128,
    unseen_ms: u64,
    /// The highest raw register of this count.
    top: Option<i64>,
    /// Least step of the register in mWh and shortest time of flow between two, ms: neither is smaller than what
    /// the register can resolve.
    grain: Option<(i64, u64)>,
    power: Option<(i64, Mono)>,
    /// The meter was replaced within the transaction that runs.
    replaced: bool,
    /// How often what is shown began anew in this run.
    anew: u32,
}

impl Register {
    /// The register of an EVSE that can deliver `max_power` (milliwatt).
    pub(super) fn new(max_power: i64) -> Self {
        Self {
            max_power: max_power + max_power / 4,
            known: None,
            before: 0,
            at: None,
            quality: Quality::Good,
            doubt: None,
            gap: UNKNOWN_GAP,
            unseen: 0,
            unseen_ms: 0,
            top: None,
            grain: None,
            power: None,
            replaced: false,
            anew: 0,
        }
    }

    /// The power it was made for, milliwatt.
    pub(super) fn most(&self) -> i64 {
        self.max_power / 5 * 4
    }

    /// Goes on from what was stored with a transaction; `gap` is the time since then, if it is known.
    pub(super) fn restore(&mut self, stored: Stored, gap: Option<Duration>) {
        self.known = Some(stored);
        self.before = stored.raw;
        self.at = None;
        self.gap = gap.unwrap_or(UNKNOWN_GAP);
    }

    /// Takes a reading of the raw register.
    pub(super) fn read(&mut self, raw: i64, quality: Quality, at: Mono) -> Judged {
        if quality == Quality::Suspect || raw < 0 {
            return Judged::Suspect;
        }
        let Some(known) = self.known else {
            if raw != 0 || self.confirmed(raw, at) {
                self.known = Some(Stored {
                    raw,
                    offset: 0,
                    shown: raw,
                });
                self.before = raw;
                self.take(raw, quality, at);
                return Judged::Taken;
            }
            return Judged::Suspect;
        };
        let fall = known.raw - raw;
        let believed = if fall > 0 {
            fall <= HOLD || raw >= self.before
        } else {
            -fall <= SLACK + self.deliverable(self.elapsed(at))
        };
        if believed {
            self.take(raw, quality, at);
            return Judged::Taken;
        }
        if !self.confirmed(raw, at) {
            return Judged::Suspect;
        }
        let first = self.doubt.map_or(raw, |d| d.first);
        if raw > known.raw && raw - known.raw <= COARSE + self.deliverable(self.elapsed(at)) {
            self.take(raw, quality, at);
            return Judged::Taken;
        }
        self.known = Some(Stored {
            raw: first,
            offset: known.shown - first,
            shown: known.shown,
        });
        self.before = first;
        (self.top, self.grain) = (None, None);
        self.take(raw, quality, at);
        Judged::Rebased
    }

    /// Takes the active power that flows (milliwatt), to notice a register that stands still.
    pub(super) fn flow(&mut self, power: i64, at: Mono) {
        self.flowed(at);
        self.power = Some((power, at));
    }

    /// Adds what has flowed until now.
    fn flowed(&mut self, at: Mono) {
        let Some((power, since)) = self.power.as_mut() else {
            return;
        };
        let passed = at.since(*since).min(FLOW_LASTS);
        *since = at.max(*since);
        if *power > 0 {
            let ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
            self.unseen += i128::from(*power) * i128::from(ms);
            self.unseen_ms = self.unseen_ms.saturating_add(ms);
        }
    }

    /// A transaction begins: from here on the value shown starts at the raw register.
    pub(super) fn begin(&mut self) -> Option<MilliWattHours> {
        let known = self.known.as_mut()?;
        if self.replaced || known.raw != known.shown {
            self.anew = self.anew.wrapping_add(1);
        }
        self.replaced = false;
        *known = Stored {
            raw: known.raw,
            offset: 0,
            shown: known.raw,
        };
        self.before = known.raw;
        Some(MilliWattHours(known.raw))
    }

    /// The transaction is over: the raw register is shown again.
    pub(super) fn end(&mut self) {
        self.begin();
    }

    /// The meter says that it is another one than before. Outside a transaction its first reading stands for itself.
    pub(super) fn replace(&mut self, in_transaction: bool) {
        if in_transaction {
            self.replaced = true;
            return;
        }
        self.anew = self.anew.wrapping_add(u32::from(self.known.is_some()));
        (self.known, self.at, self.doubt) = (None, None, None);
        (self.top, self.grain) = (None, None);
    }

    /// How often what is shown began anew in this run: the meter was swapped or reset, or its register ran over. Within a
    /// transaction nothing begins anew.
    pub(super) fn anew(&self) -> u32 {
        self.anew
    }

    /// What is billed by; `None` before a valid reading.
    pub(super) fn value(&self) -> Option<MilliWattHours> {
        self.known.map(|k| MilliWattHours(k.shown))
    }

    /// How good the last believed reading was.
    pub(super) fn quality(&self) -> Quality {
        self.quality
    }

    /// What to store with a transaction.
    pub(super) fn stored(&self) -> Option<Stored> {
        self.known
    }

    /// When the last reading was believed, in this run.
    pub(super) fn read_at(&self) -> Option<Mono> {
        self.at
    }

    /// Whether power flows while the register stands still: for `patience` at least, and for longer where the
    /// steps of the register are wider apart. What its steps are is learned as it grows.
    pub(super) fn is_frozen(&self, patience: Duration) -> bool {
        let missing = |energy: i64| self.unseen > i128::from(energy) * 3_600_000;
        let Some((step, pause_ms)) = self.grain else {
            return missing(FROZEN);
        };
        let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let steps = i64::from(FROZEN_STEPS);
        missing(step.saturating_mul(steps).min(FROZEN))
            && self.unseen_ms > patience.max(pause_ms.saturating_mul(FROZEN_STEPS.into()))
    }

    /// Learns from a register that has grown to `raw`.
    fn grown(&mut self, raw: i64, at: Mono) {
        self.flowed(at);
        if let Some(top) = self.top.filter(|_| self.unseen_ms > 0) {
            let (step, pause) = self.grain.unwrap_or((i64::MAX, u64::MAX));
            self.grain = Some((step.min(raw - top), pause.min(self.unseen_ms)));
        }
        self.top = Some(raw);
        (self.unseen, self.unseen_ms) = (0, 0);
    }

    fn elapsed(&self, at: Mono) -> Duration {
        self.at.map_or(self.gap, |before| at.since(before))
    }

    /// Energy the EVSE can deliver in a time, mWh.
    fn deliverable(&self, time: Duration) -> i64 {
        let ms = i128::try_from(time.as_millis()).unwrap_or(i128::MAX);
        i64::try_from(i128::from(self.max_power).saturating_mul(ms) / 3_600_000).unwrap_or(i64::MAX / 2)
    }

    /// Counts readings that continue the suspect one.
    fn confirmed(&mut self, raw: i64, at: Mono) -> bool {
        let count = match self.doubt {
            Some(d) if raw >= d.last && raw - d.last <= SLACK + self.deliverable(at.since(d.at)) => {
                self.doubt = Some(Doubt {
                    last: raw,
                    at,
                    count: d.count + 1,
                    ..d
                });
                d.count + 1
            }
            _ => {
                self.doubt = Some(Doubt {
                    first: raw,
                    last: raw,
                    at,
                    count: 1,
                });
                1
            }
        };
        count >= CONFIRM
    }

    fn take(&mut self, raw: i64, quality: Quality, at: Mono) {
        if let Some(known) = self.known.as_mut() {
            if raw > known.raw {
                self.before = known.raw;
            }
            known.raw = raw;
            known.shown = known.shown.max(raw.saturating_add(known.offset));
        }
        if self.top.is_none_or(|top| raw > top) {
            self.grown(raw, at);
        }
        self.quality = quality;
        self.at = Some(at);
        self.doubt = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KWH: i64 = 1_000_000;
    const MAX_POWER: i64 = 11_040_000;

    fn register() -> Register {
        Register::new(MAX_POWER)
    }

    #[test]
    fn a_first_zero_is_confirmed_before_it_is_a_baseline() {
        let mut r = register();
        assert_eq!(r.read(0, Quality::Good, Mono(1_000)), Judged::Suspect);
        assert_eq!(r.value(), None);
        assert_eq!(r.read(0, Quality::Good, Mono(2_000)), Judged::Suspect);
        assert_eq!(r.read(0, Quality::Good, Mono(3_000)), Judged::Taken);
        assert_eq!(r.value(), Some(MilliWattHours(0)));
    }

    #[test]
    fn a_zero_at_start_up_does_not_become_the_baseline_of_a_real_register() {
        let mut r = register();
        r.read(0, Quality::Good, Mono(1_000));
        assert_eq!(r.read(5_000 * KWH, Quality::Good, Mono(2_000)), Judged::Taken);
        assert_eq!(r.value(), Some(MilliWattHours(5_000 * KWH)));
    }

    #[test]
    fn a_reset_in_a_transaction_moves_the_offset() {
        let mut r = register();
        r.read(100 * KWH, Quality::Good, Mono(0));
        r.begin();
        r.read(100 * KWH + 3_000, Quality::Good, Mono(1_000));
        for (i, raw) in [0, 3_000, 6_000].into_iter().enumerate() {
            r.read(raw, Quality::Good, Mono(2_000 + i as u64 * 1_000));
        }
        assert_eq!(r.value(), Some(MilliWattHours(100 * KWH + 9_000)));
        r.read(9_000, Quality::Good, Mono(5_000));
        assert_eq!(r.value(), Some(MilliWattHours(100 * KWH + 12_000)));
        r.end();
        assert_eq!(
            r.value(),
            Some(MilliWattHours(9_000)),
            "raw again outside the transaction"
        );
    }

    #[test]
    fn a_single_wild_reading_is_not_taken() {
        let mut r = register();
        r.read(100 * KWH, Quality::Good, Mono(0));
        assert_eq!(r.read(900 * KWH, Quality::Good, Mono(1_000)), Judged::Suspect);
        assert_eq!(r.read(0, Quality::Good, Mono(2_000)), Judged::Suspect);
        assert_eq!(
            r.read(100 * KWH + 3_000, Quality::Good, Mono(3_000)),
            Judged::Taken
        );
        assert_eq!(r.value(), Some(MilliWattHours(100 * KWH + 3_000)));
    }

    #[test]
    fn a_swap_to_a_higher_register_bills_nothing() {
        let mut r = register();
        r.read(100 * KWH, Quality::Good, Mono(0));
        r.begin();
        for i in 1..=3 {
            r.read(7_000 * KWH, Quality::Good, Mono(i * 1_000));
        }
        assert_eq!(r.value(), Some(MilliWattHours(100 * KWH)));
    }

    #[test]
    fn a_coarse_register_is_followed() {
        let mut r = register();
        r.read(100 * KWH, Quality::Good, Mono(0));
        r.begin();
        for i in 1..=3 {
            r.read(101 * KWH, Quality::Good, Mono(i * 1_000));
        }
        assert_eq!(r.value(), Some(MilliWattHours(101 * KWH)));
    }

    #[test]
    fn a_register_that_stands_still_under_load_is_frozen() {
        let mut r = register();
        r.read(100 * KWH, Quality::Good, Mono(0));
        for minute in 0..6 {
            r.flow(11_000_000, Mono(minute * 60_000));
            r.read(100 * KWH, Quality::Good, Mono(minute * 60_000));
        }
        let patience = Duration::from_secs(5);
        assert!(!r.is_frozen(patience));
        for minute in 6..9 {
            r.flow(11_000_000, Mono(minute * 60_000));
        }
        assert!(r.is_frozen(patience));
        r.read(100 * KWH + 100_000, Quality::Good, Mono(600_000));
        assert!(!r.is_frozen(patience));
    }

    /// A register of `grain` mWh that is brought up to date every `refresh` ms, read every second while `power` flows.
    fn counting(r: &mut Register, seconds: std::ops::Range<u64>, power: i64, grain: i64, refresh: u64) {
        for second in seconds {
            let at = Mono(second * 1_000);
            let counted = power * i64::try_from(at.0 / refresh * refresh).unwrap() / 3_600_000;
            r.read(100 * KWH + counted / grain * grain, Quality::Good, at);
            r.flow(power, at);
            assert!(
                !r.is_frozen(Duration::from_secs(5)),
                "{power} mW after {second} s"
            );
        }
    }

    #[test]
    fn a_fine_register_is_frozen_after_its_patience_and_no_healthy_one_is() {
        for power in [30_000, 1_400_000, 11_000_000] {
            for (grain, refresh) in [
                (1, 1_000),
                (1_000, 1_000),
                (10_000, 1_000),
                (100_000, 1_000),
                (1, 30_000),
            ] {
                let mut r = register();
                counting(&mut r, 0..7_200, power, grain, refresh);
            }
        }
        let mut r = register();
        counting(&mut r, 0..60, 11_000_000, 1_000, 1_000);
        let still = r.value().unwrap().0;
        for second in 60..66 {
            assert!(!r.is_frozen(Duration::from_secs(5)), "{second}");
            r.read(still, Quality::Good, Mono(second * 1_000));
            r.flow(11_000_000, Mono(second * 1_000));
        }
        assert!(r.is_frozen(Duration::from_secs(5)));
    }

    #[test]
    fn a_register_that_was_learned_under_load_is_not_frozen_at_a_trickle() {
        for refresh in [1_000, 30_000] {
            let mut r = register();
            counting(&mut r, 0..600, 11_000_000, 1_000, refresh);
            let base = r.value().unwrap().0;
            for second in 600..10_000 {
                let at = Mono(second * 1_000);
                let since = i64::try_from(at.0 / refresh * refresh).unwrap() - 600_000;
                let counted = (20_000 * since.max(0) / 3_600_000) / 1_000 * 1_000;
                r.read(base + counted, Quality::Good, at);
                r.flow(20_000, at);
                assert!(
                    !r.is_frozen(Duration::from_secs(5)),
                    "after {second} s, {refresh}"
                );
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Deliver { percent: i64, ms: u64 },
        Glitch(i64),
        Reset,
        Swap(i64),
        Silence { ms: u64 },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0..=100i64, 200..5_000u64).prop_map(|(percent, ms)| Step::Deliver { percent, ms }),
            2 => (0..2_000 * KWH).prop_map(Step::Glitch),
            1 => Just(Step::Reset),
            1 => (0..5_000 * KWH).prop_map(Step::Swap),
            1 => (0..120_000u64).prop_map(|ms| Step::Silence { ms }),
        ]
    }

    proptest! {
        #[test]
        fn never_falls_and_never_bills_more_than_was_delivered(
            start in 1..1_000 * KWH,
            steps in proptest::collection::vec(step(), 1..300),
        ) {
            let (mut r, mut now, mut meter, mut delivered) = (register(), Mono(0), start, 0i64);
            r.read(meter, Quality::Good, now);
            r.begin();
            let (mut shown, mut tolerance) = (start, 0);
            for s in steps {
                let before = now;
                let mut reading = None;
                match s {
                    Step::Deliver { percent, ms } => {
                        now = Mono(now.0 + ms);
                        let energy = MAX_POWER / 100 * percent * i64::try_from(ms).unwrap() / 3_600_000;
                        meter += energy;
                        delivered += energy;
                    }
                    Step::Glitch(wild) => {
                        now = Mono(now.0 + 500);
                        reading = Some(wild);
                    }
                    Step::Reset => meter = 0,
                    Step::Swap(other) => meter = other,
                    Step::Silence { ms } => now = Mono(now.0 + ms),
                }
                // What one misread or misjudged step may add: what was physically possible, and the slack.
                if !matches!(s, Step::Deliver { .. }) {
                    tolerance += COARSE + SLACK + r.deliverable(now.since(before)) + r.deliverable(Duration::from_secs(125));
                }
                r.read(reading.unwrap_or(meter), Quality::Good, now);
                let value = r.value().unwrap().0;
                prop_assert!(value >= shown, "fell from {} to {}", shown, value);
                shown = value;
            }
            prop_assert!(shown - start <= delivered + tolerance, "billed {} of {}", shown - start, delivered);
        }

        #[test]
        fn bills_exactly_what_a_healthy_meter_counts(
            start in 1..1_000 * KWH,
            steps in proptest::collection::vec((0..=100i64, 200..60_000u64), 1..300),
        ) {
            let (mut r, mut now, mut meter) = (register(), Mono(0), start);
            r.read(meter, Quality::Good, now);
            r.begin();
            for (percent, ms) in steps {
                now = Mono(now.0 + ms);
                meter += MAX_POWER / 100 * percent * i64::try_from(ms).unwrap() / 3_600_000;
                prop_assert_eq!(r.read(meter, Quality::Good, now), Judged::Taken);
                prop_assert_eq!(r.value(), Some(MilliWattHours(meter)));
            }
        }
    }
}
