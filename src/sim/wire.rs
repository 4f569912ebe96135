//! A serial line as time and bytes, without the operating system: when each byte is on the wire, what silence lay
//! before a request, what noise did to a frame. [`super::line`] gives it a pseudo-terminal and a clock.
//!
//! All instants are nanoseconds since the line was opened.

use super::slave::{Units, close_rtu, open_rtu};
use crate::domain::{Parity, Rng};
use std::collections::VecDeque;
use std::time::Duration;

/// Gaps kept for the median of [`WireStats`].
const GAPS_KEPT: usize = 4096;

/// Speed and shape of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Bits per second.
    pub baud: u32,
    /// 7 or 8.
    pub data_bits: u8,
    /// Parity bit.
    pub parity: Parity,
    /// 1 or 2.
    pub stop_bits: u8,
}

impl Format {
    /// 8 data bits, even parity, 1 stop bit: the standard's own.
    #[must_use]
    pub fn even(baud: u32) -> Self {
        Self {
            baud,
            data_bits: 8,
            parity: Parity::Even,
            stop_bits: 1,
        }
    }

    /// 8 data bits, no parity, 1 stop bit.
    #[must_use]
    pub fn none(baud: u32) -> Self {
        Self {
            baud,
            data_bits: 8,
            parity: Parity::None,
            stop_bits: 1,
        }
    }

    /// Time of one character on the wire, nanoseconds.
    #[must_use]
    pub fn char_ns(self) -> u64 {
        let parity = u64::from(self.parity != Parity::None);
        let bits = 1 + u64::from(self.data_bits) + parity + u64::from(self.stop_bits);
        bits * 1_000_000_000 / u64::from(self.baud.max(1))
    }

    /// Silence between frames, nanoseconds: 3.5 characters, above 19,200 baud 1.75 ms
    /// (Modbus over Serial Line V1.02, section 2.5.1.1).
    #[must_use]
    pub fn silence_ns(self) -> u64 {
        if self.baud > 19_200 {
            1_750_000
        } else {
            self.char_ns() * 7 / 2
        }
    }
}

/// What the line does to requests and answers, each with its chance in parts per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noise {
    /// A bit of a byte flips; chance per byte, both directions.
    pub flip_ppm: u32,
    /// A byte is lost; chance per byte, both directions.
    pub lose_ppm: u32,
    /// 1 to 8 bytes of garbage come before an answer; chance per answer.
    pub garbage_ppm: u32,
    /// An answer never comes; chance per answer.
    pub mute_ppm: u32,
    /// An answer comes late by `late`; chance per answer.
    pub late_ppm: u32,
    /// How late.
    pub late: Duration,
    /// An answer breaks off; chance per answer.
    pub cut_ppm: u32,
    /// Another unit's answer runs into it, without a gap or over its first bytes; chance per answer.
    pub merge_ppm: u32,
    /// The data of `forged_unit` are random under a checksum that fits: what a checksum of 16 bits cannot find;
    /// chance per answer.
    pub forged_ppm: u32,
    /// Whose answers are forged.
    pub forged_unit: u8,
}

/// Done once, to the next answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It never comes.
    Mute,
    /// It comes later by this.
    Late(Duration),
    /// Only the first bytes come.
    Truncate(usize),
    /// A bit flips in the byte at this position.
    Flip(usize),
    /// These bytes come before it.
    Before(Vec<u8>),
    /// These bytes come in its place.
    Replace(Vec<u8>),
    /// It carries this unit id, with a CRC that fits.
    ForeignUnit(u8),
}

/// What was counted. Nanoseconds throughout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WireStats {
    /// Requests begun.
    pub requests: u64,
    /// Answers sent in full or in part.
    pub answers: u64,
    /// Bytes from the master.
    pub bytes_in: u64,
    /// Bytes to the master, echo not counted.
    pub bytes_out: u64,
    /// Requests that began inside the silence after the frame before.
    pub violations: u64,
    /// Requests that began while an answer was on the wire.
    pub collisions: u64,
    /// Frames not taken: too early (strict), at the wrong speed, or damaged.
    pub ignored: u64,
    /// Requests sent while the port was set to another speed than the line's.
    pub wrong_speed: u64,
    /// Requests and answers that the noise has changed, answers it has swallowed among them.
    pub damaged: u64,
    /// Of these, answers whose checksum fits all the same.
    pub undetectable: u64,
    /// Time a byte was on the wire.
    pub busy_ns: u64,
    /// Least time the requests and answers seen need, with silence before each and the think times.
    pub needed_ns: u64,
    /// Start of the first request.
    pub first_ns: Option<u64>,
    /// End of the last frame.
    pub last_ns: u64,
    /// Shortest silence before a request.
    pub least_gap_ns: Option<u64>,
    gaps: Vec<u64>,
}

impl WireStats {
    /// Time needed over time taken, per mille; above 1000 the master does not keep the silence.
    /// `None` before the first request.
    #[must_use]
    pub fn efficiency_permille(&self, format: Format) -> Option<u64> {
        let taken = self.last_ns.checked_sub(self.first_ns?)? + format.silence_ns();
        Some(self.needed_ns.saturating_mul(1000) / taken.max(1))
    }

    /// Median silence before a request over the first 4096 gaps.
    #[must_use]
    pub fn median_gap_ns(&self) -> Option<u64> {
        let mut gaps = self.gaps.clone();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied()
    }
}

struct Chunk {
    due: u64,
    bytes: Vec<u8>,
    /// Belongs to an answer that begins here; echo does not.
    answer_from: Option<u64>,
}

/// The rules of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireRules {
    /// Speed and shape.
    pub format: Format,
    /// The master's receiver hands over this many bytes at a time, as a UART's FIFO does.
    pub fifo: usize,
    /// Slaves ignore a request that began inside the silence or during an answer.
    pub strict: bool,
    /// The adapter hears itself.
    pub echo: bool,
    /// Seed of the noise.
    pub seed: u64,
}

/// One line with its slaves.
pub struct Wire {
    rules: WireRules,
    units: Box<dyn Units>,
    rng: Rng,
    noise: Noise,
    faults: VecDeque<Fault>,
    frame: Vec<u8>,
    frame_end: u64,
    refuse_frame: bool,
    spoilt_frame: bool,
    out: Vec<Chunk>,
    last_end: Option<u64>,
    stats: WireStats,
}

impl Wire {
    /// A silent line.
    #[must_use]
    pub fn new(rules: WireRules, units: Box<dyn Units>) -> Self {
        Self {
            rules,
            units,
            rng: Rng::new(rules.seed),
            noise: Noise::default(),
            faults: VecDeque::new(),
            frame: Vec::new(),
            frame_end: 0,
            refuse_frame: false,
            spoilt_frame: false,
            out: Vec::new(),
            last_end: None,
            stats: WireStats::default(),
        }
    }

    /// From now on, this noise.
    pub fn set_noise(&mut self, noise: Noise) {
        self.noise = noise;
    }

    /// Queues a fault for the next answer without one.
    pub fn inject(&mut self, fault: Fault) {
        self.faults.push_back(fault);
    }

    /// What was counted since the line was opened or [`Self::reset_stats`].
    #[must_use]
    pub fn stats(&self) -> &WireStats {
        &self.stats
    }

    /// Starts counting afresh.
    pub fn reset_stats(&mut self) {
        self.stats = WireStats::default();
    }

    /// Drops whatever is on its way, as pulling the plug does.
    pub fn clear(&mut self) {
        self.frame.clear();
        self.out.clear();
        self.last_end = None;
    }

    /// Bytes of the master begin to go out at `now`. `right_speed`: the master's port is set as the line is.
    pub fn arrived(&mut self, now: u64, bytes: &[u8], right_speed: bool) {
        if bytes.is_empty() {
            return;
        }
        let collides = self
            .out
            .iter()
            .any(|c| c.answer_from.is_some_and(|from| from <= now));
        if self.frame.is_empty() {
            self.begin_frame(now, collides, right_speed);
        }
        let char_ns = self.rules.format.char_ns();
        let start = self.frame_end.max(now);
        for (i, byte) in bytes.iter().enumerate() {
            let heard = self.through_noise(*byte);
            self.spoilt_frame |= heard != Some(*byte);
            self.frame.extend(heard);
            if self.rules.echo {
                let due = start + char_ns * (i as u64 + 1);
                self.out.push(Chunk {
                    due,
                    bytes: vec![*byte],
                    answer_from: None,
                });
            }
        }
        if self.rules.strict && collides {
            for chunk in self
                .out
                .iter_mut()
                .filter(|c| c.answer_from.is_some_and(|from| from <= now))
            {
                chunk.bytes.iter_mut().for_each(|b| *b ^= 0x55);
            }
        }
        let time = char_ns * bytes.len() as u64;
        self.frame_end = start + time;
        self.stats.bytes_in += bytes.len() as u64;
        self.stats.busy_ns += time;
        self.stats.needed_ns += time;
        self.ended(self.frame_end);
        self.out.sort_by_key(|c| c.due);
    }

    fn begin_frame(&mut self, now: u64, collides: bool, right_speed: bool) {
        self.stats.requests += 1;
        self.stats.first_ns.get_or_insert(now);
        self.stats.needed_ns += self.rules.format.silence_ns();
        self.frame_end = now;
        let gap = self.last_end.map(|end| now.saturating_sub(end));
        let early = gap.is_some_and(|gap| gap < self.rules.format.silence_ns());
        if let Some(gap) = gap {
            self.stats.least_gap_ns = Some(self.stats.least_gap_ns.map_or(gap, |least| least.min(gap)));
            if self.stats.gaps.len() < GAPS_KEPT {
                self.stats.gaps.push(gap);
            }
        }
        self.stats.violations += u64::from(early && !collides);
        self.stats.collisions += u64::from(collides);
        self.stats.wrong_speed += u64::from(!right_speed);
        self.refuse_frame = !right_speed || self.rules.strict && (early || collides);
    }

    fn through_noise(&mut self, byte: u8) -> Option<u8> {
        if self.chance(self.noise.lose_ppm) {
            return None;
        }
        if self.chance(self.noise.flip_ppm) {
            return Some(byte ^ 1 << self.rng.below(8));
        }
        Some(byte)
    }

    fn chance(&mut self, ppm: u32) -> bool {
        ppm != 0 && self.rng.below(1_000_000) < u64::from(ppm)
    }

    fn ended(&mut self, at: u64) {
        self.last_end = Some(self.last_end.map_or(at, |end| end.max(at)));
        self.stats.last_ns = self.stats.last_ns.max(at);
    }

    /// When [`Self::poll`] has something to do.
    #[must_use]
    pub fn due(&self) -> Option<u64> {
        let frame = (!self.frame.is_empty()).then(|| self.frame_end + self.rules.format.silence_ns());
        let chunk = self.out.first().map(|c| c.due);
        frame.into_iter().chain(chunk).min()
    }

    /// Hands a finished request to the slaves, and gives bytes that have reached the master by `now`.
    pub fn poll(&mut self, now: u64) -> Option<Vec<u8>> {
        if !self.frame.is_empty() && self.frame_end + self.rules.format.silence_ns() <= now {
            self.serve();
        }
        if self.frame.is_empty() && self.out.is_empty() {
            let unasked = self.units.speak();
            if !unasked.is_empty() {
                self.put(now, &unasked);
            }
        }
        if self.out.first()?.due > now {
            return None;
        }
        let chunk = self.out.remove(0);
        if chunk.answer_from.is_some() {
            self.stats.bytes_out += chunk.bytes.len() as u64;
            // The master cannot know of the byte before it was handed over: its silence counts from there.
            self.ended(now);
        }
        Some(chunk.bytes)
    }

    fn serve(&mut self) {
        let frame = std::mem::take(&mut self.frame);
        self.stats.damaged += u64::from(std::mem::take(&mut self.spoilt_frame));
        if self.refuse_frame {
            self.stats.ignored += 1;
            return;
        }
        if self.units.is_foreign() {
            if let Some(answer) = self.units.hear(&frame) {
                self.answer(0, &[], answer.pdu, answer.think);
            }
            return;
        }
        let Some((unit, pdu)) = open_rtu(&frame) else {
            self.stats.ignored += 1;
            return;
        };
        let Some(answer) = self.units.call(unit, pdu) else {
            return;
        };
        if unit == 0 {
            return;
        }
        let frame = close_rtu(unit, &answer.pdu);
        self.answer(unit, &answer.pdu, frame, answer.think);
    }

    fn answer(&mut self, unit: u8, pdu: &[u8], frame: Vec<u8>, think: Duration) {
        let format = self.rules.format;
        let think = u64::try_from(think.as_nanos()).unwrap_or(u64::MAX);
        let ready = self.frame_end + format.silence_ns() + think;
        self.stats.needed_ns += format.silence_ns() + think + frame.len() as u64 * format.char_ns();
        if let Some((from, bytes)) = self.spoil(ready, unit, pdu, frame) {
            self.put(from, &bytes);
        }
    }

    /// What is left of an answer after an injected fault and the noise, and when it begins.
    fn spoil(&mut self, ready: u64, unit: u8, pdu: &[u8], frame: Vec<u8>) -> Option<(u64, Vec<u8>)> {
        let late = |by: Duration| ready + u64::try_from(by.as_nanos()).unwrap_or(u64::MAX / 2);
        let (mut from, mut bytes) = (ready, frame);
        match self.faults.pop_front() {
            None => {}
            Some(Fault::Mute) => return None,
            Some(Fault::Late(by)) => from = late(by),
            Some(Fault::Truncate(keep)) => bytes.truncate(keep),
            Some(Fault::Flip(at)) => bytes.iter_mut().skip(at).take(1).for_each(|b| *b ^= 0x08),
            Some(Fault::Before(garbage)) => bytes = [garbage, bytes].concat(),
            Some(Fault::Replace(other)) => bytes = other,
            Some(Fault::ForeignUnit(other)) => {
                bytes = close_rtu(if other == unit { !unit } else { other }, pdu);
            }
        }
        if self.chance(self.noise.mute_ppm) {
            self.stats.damaged += 1;
            return None;
        }
        if self.chance(self.noise.late_ppm) {
            from = late(self.noise.late);
        }
        let before = bytes.clone();
        bytes = self.noisy(unit, pdu, bytes);
        self.stats.damaged += u64::from(bytes != before);
        self.stats.undetectable += u64::from(bytes != before && open_rtu(&bytes).is_some());
        (!bytes.is_empty()).then_some((from, bytes))
    }

    /// What the noise leaves of an answer.
    fn noisy(&mut self, unit: u8, pdu: &[u8], mut bytes: Vec<u8>) -> Vec<u8> {
        if unit == self.noise.forged_unit && pdu.len() > 2 && self.chance(self.noise.forged_ppm) {
            let data = pdu[2..].iter().map(|_| self.rng.next_u64().to_le_bytes()[0]);
            let forged: Vec<u8> = pdu[..2].iter().copied().chain(data).collect();
            return close_rtu(unit, &forged);
        }
        if self.chance(self.noise.cut_ppm) {
            let keep = self.rng.below(bytes.len().max(1) as u64);
            bytes.truncate(usize::try_from(keep).unwrap_or(0));
        }
        if self.chance(self.noise.merge_ppm) {
            let other = close_rtu(unit.wrapping_add(1), pdu);
            let over = usize::try_from(self.rng.below(4)).unwrap_or(0).min(bytes.len());
            let (clash, rest) = bytes.split_at(over);
            let kept = other.len().saturating_sub(over);
            let mixed = other[kept..].iter().zip(clash).map(|(one, two)| one | two);
            bytes = other[..kept]
                .iter()
                .copied()
                .chain(mixed)
                .chain(rest.iter().copied())
                .collect();
        }
        if self.chance(self.noise.garbage_ppm) {
            let garbage = (0..=self.rng.below(8)).map(|_| self.rng.next_u64().to_le_bytes()[0]);
            bytes = garbage.chain(bytes).collect();
        }
        bytes.into_iter().filter_map(|b| self.through_noise(b)).collect()
    }

    fn put(&mut self, from: u64, bytes: &[u8]) {
        let char_ns = self.rules.format.char_ns();
        let mut due = from;
        for piece in bytes.chunks(self.rules.fifo.max(1)) {
            due += char_ns * piece.len() as u64;
            self.out.push(Chunk {
                due,
                bytes: piece.to_vec(),
                answer_from: Some(from),
            });
        }
        self.stats.answers += 1;
        self.stats.busy_ns += due - from;
        self.out.sort_by_key(|c| c.due);
    }
}

#[cfg(test)]
mod tests {
    use super::super::slave::Answer;
    use super::*;

    struct Parrot;
    impl Units for Parrot {
        fn call(&mut self, unit: u8, pdu: &[u8]) -> Option<Answer> {
            (unit < 10).then(|| Answer {
                pdu: pdu.to_vec(),
                think: Duration::from_millis(1),
            })
        }
    }

    fn wire(strict: bool) -> Wire {
        let format = Format::even(9600);
        Wire::new(
            WireRules {
                format,
                fifo: 8,
                strict,
                echo: false,
                seed: 7,
            },
            Box::new(Parrot),
        )
    }

    /// Runs until nothing is due; every byte with the instant it was handed over.
    fn drain(wire: &mut Wire) -> Vec<(u64, Vec<u8>)> {
        let mut out = Vec::new();
        while let Some(due) = wire.due() {
            if let Some(bytes) = wire.poll(due) {
                out.push((due, bytes));
            }
        }
        out
    }

    const REQUEST: [u8; 6] = [4, 0, 0, 0, 2, 9];

    #[test]
    fn a_byte_takes_its_time_in_both_directions() {
        let mut wire = wire(true);
        let (char_ns, silence) = (Format::even(9600).char_ns(), Format::even(9600).silence_ns());
        assert_eq!((char_ns, silence), (1_145_833, 4_010_415));
        let frame = close_rtu(1, &REQUEST);
        wire.arrived(0, &frame, true);
        let got = drain(&mut wire);
        let starts = 9 * char_ns + silence + 1_000_000;
        assert_eq!(
            got.iter().map(|g| g.0).collect::<Vec<_>>(),
            [starts + 8 * char_ns, starts + 9 * char_ns]
        );
        assert_eq!(got.concat_bytes(), frame);
        assert_eq!(wire.stats().busy_ns, 18 * char_ns);
        assert_eq!(wire.stats().efficiency_permille(Format::even(9600)), Some(1000));
    }

    trait Concat {
        fn concat_bytes(&self) -> Vec<u8>;
    }
    impl Concat for Vec<(u64, Vec<u8>)> {
        fn concat_bytes(&self) -> Vec<u8> {
            self.iter().flat_map(|(_, bytes)| bytes.clone()).collect()
        }
    }

    #[test]
    fn a_request_inside_the_silence_is_counted_and_strict_slaves_ignore_it() {
        for (strict, answered) in [(true, 0), (false, 1)] {
            let mut wire = wire(strict);
            wire.arrived(0, &close_rtu(1, &REQUEST), true);
            let end = drain(&mut wire).last().expect("an answer").0;
            wire.arrived(
                end + Format::even(9600).silence_ns() - 1,
                &close_rtu(1, &REQUEST),
                true,
            );
            assert_eq!(drain(&mut wire).len().min(1), answered);
            assert_eq!(wire.stats().violations, 1);
            let end = wire.stats().last_ns;
            wire.arrived(
                end + Format::even(9600).silence_ns(),
                &close_rtu(1, &REQUEST),
                true,
            );
            assert!(!drain(&mut wire).is_empty());
            assert_eq!(wire.stats().violations, 1);
        }
    }

    #[test]
    fn a_frame_in_two_writes_is_one_frame() {
        let mut wire = wire(true);
        let frame = close_rtu(1, &REQUEST);
        wire.arrived(0, &frame[..4], true);
        wire.arrived(10, &frame[4..], true);
        assert_eq!(drain(&mut wire).concat_bytes(), frame);
        assert_eq!(wire.stats().requests, 1);
    }

    #[test]
    fn talking_into_an_answer_spoils_both() {
        let mut wire = wire(true);
        let frame = close_rtu(1, &REQUEST);
        wire.arrived(0, &frame, true);
        while wire.stats().bytes_out == 0 {
            let due = wire.due().expect("an answer is coming");
            wire.poll(due);
        }
        let now = wire.stats().last_ns;
        wire.arrived(now, &frame, true);
        assert_ne!(drain(&mut wire).concat_bytes().as_slice(), &frame[8..]);
        assert_eq!(
            (
                wire.stats().collisions,
                wire.stats().ignored,
                wire.stats().answers
            ),
            (1, 1, 1)
        );
    }

    #[test]
    fn each_fault_does_what_it_says() {
        let frame = close_rtu(1, &REQUEST);
        let once = |fault: Fault| {
            let mut wire = wire(true);
            wire.inject(fault);
            wire.arrived(0, &frame, true);
            drain(&mut wire)
        };
        assert!(once(Fault::Mute).is_empty());
        assert_eq!(once(Fault::Truncate(3)).concat_bytes(), frame[..3]);
        assert_eq!(once(Fault::Before(vec![7, 7])).concat_bytes()[..3], [7, 7, 1]);
        assert_eq!(open_rtu(&once(Fault::Flip(4)).concat_bytes()), None);
        assert_eq!(once(Fault::ForeignUnit(5)).concat_bytes()[0], 5);
        assert_eq!(once(Fault::Replace(vec![1])).concat_bytes(), [1]);
        let plain = once(Fault::Before(vec![]))[0].0;
        assert_eq!(
            once(Fault::Late(Duration::from_millis(70)))[0].0,
            plain + 70_000_000
        );
    }

    #[test]
    fn the_same_seed_makes_the_same_noise() {
        let run = |seed: u64| {
            let format = Format::none(115_200);
            let rules = WireRules {
                format,
                fifo: 14,
                strict: false,
                echo: true,
                seed,
            };
            let mut wire = Wire::new(rules, Box::new(Parrot));
            wire.set_noise(Noise {
                flip_ppm: 20_000,
                lose_ppm: 20_000,
                garbage_ppm: 200_000,
                mute_ppm: 100_000,
                late_ppm: 100_000,
                late: Duration::from_millis(20),
                cut_ppm: 100_000,
                merge_ppm: 100_000,
                forged_ppm: 100_000,
                forged_unit: 1,
            });
            let mut heard = Vec::new();
            for i in 0..200 {
                wire.arrived(i * 100_000_000, &close_rtu(1, &REQUEST), true);
                heard.push(drain(&mut wire));
            }
            heard
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }
}
