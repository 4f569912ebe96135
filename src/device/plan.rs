//! The read plan: points to the fewest milliseconds on the wire.

use super::condition::{Image, all_hold};
use super::pdu::{Pdu, ReadFc};
use super::profile::{Cadence, Point, PointId, Profile};

/// What the planner knows of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkCost {
    /// One character, microseconds; about zero on TCP.
    pub char_us: u32,
    /// Silence kept around a frame, microseconds.
    pub silence_us: u32,
    /// Turnaround of the device, and silence before a request beyond the one above, microseconds.
    pub think_us: u32,
}

impl LinkCost {
    /// What one read takes on the wire, microseconds: 8 characters out, 5 and the data back (Modbus over Serial
    /// Line V1.02, 2.5.1), a silence after each.
    #[must_use]
    pub fn read_us(self, fc: ReadFc, count: u16) -> u64 {
        let data = if fc.is_bits() {
            u64::from(count.div_ceil(8))
        } else {
            2 * u64::from(count)
        };
        (13 + data) * u64::from(self.char_us) + 2 * u64::from(self.silence_us) + u64::from(self.think_us)
    }
}

/// How bold a plan is; a driver steps it up when a device refuses a block it should be able to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Caution {
    /// As the profile allows.
    #[default]
    Normal,
    /// Only addresses with points, at most ten registers at once: some firmware stops there.
    Small,
    /// Every point alone.
    Single,
}

/// One read request with the points in its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Function.
    pub fc: ReadFc,
    /// First address.
    pub addr: u16,
    /// Registers or bits.
    pub count: u16,
    /// How often.
    pub cadence: Cadence,
    /// Points, by address.
    pub points: Vec<PointId>,
}

impl Block {
    /// The request.
    #[must_use]
    pub fn pdu(&self) -> Pdu {
        Pdu::Read {
            fc: self.fc,
            addr: self.addr,
            count: self.count,
        }
    }
}

/// One point's addresses on the wire, half open.
#[derive(Clone, Debug)]
struct Range {
    first: u32,
    end: u32,
    points: Vec<PointId>,
}

impl Profile {
    /// The reads that bring every point whose conditions hold by now, cheapest on the wire, ordered by cadence,
    /// function and address. It has to be made anew when conditions may have changed (after the `Once` blocks).
    #[must_use]
    pub fn plan(&self, cost: LinkCost, connector: u16, image: &Image, caution: Caution) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        for cadence in [Cadence::Once, Cadence::Fast, Cadence::Slow] {
            for fc in [
                ReadFc::Coils,
                ReadFc::DiscreteInputs,
                ReadFc::HoldingRegisters,
                ReadFc::InputRegisters,
            ] {
                let map = Map::new(self, fc, connector, image, caution);
                let wanted = self.numbered().filter(|(_, point)| {
                    point.fc == Some(fc)
                        && point.cadence == cadence
                        && point.polled
                        && all_hold(&point.when, image)
                });
                let mut ranges = ranges(wanted, |point| self.reach(point, connector));
                if cadence == Cadence::Slow {
                    take_along(&mut ranges, &mut blocks, fc);
                }
                blocks.extend(map.partition(&ranges, cost, cadence));
            }
        }
        blocks
    }
}

/// Slow points that lie inside a fast block cost nothing there.
fn take_along(ranges: &mut Vec<Range>, blocks: &mut [Block], fc: ReadFc) {
    ranges.retain_mut(|range| {
        let holds = |block: &&mut Block| {
            let first = u32::from(block.addr);
            block.cadence == Cadence::Fast
                && block.fc == fc
                && first <= range.first
                && range.end <= first + u32::from(block.count)
        };
        match blocks.iter_mut().find(holds) {
            Some(block) => block.points.append(&mut range.points),
            None => return true,
        }
        false
    });
}

/// Ranges by address; a point inside another one shares its range.
fn ranges<'a>(
    points: impl Iterator<Item = (PointId, &'a Point)>,
    reach: impl Fn(&Point) -> (u32, u32),
) -> Vec<Range> {
    let mut ranges: Vec<Range> = points
        .map(|(id, point)| {
            let (first, end) = reach(point);
            Range {
                first,
                end,
                points: vec![id],
            }
        })
        .collect();
    ranges.sort_by_key(|range| (range.first, std::cmp::Reverse(range.end)));
    let mut merged: Vec<Range> = Vec::new();
    for mut range in ranges {
        match merged.last_mut() {
            Some(last) if range.end <= last.end => last.points.append(&mut range.points),
            _ => merged.push(range),
        }
    }
    merged
}

/// What may be read in one go.
struct Map {
    fc: ReadFc,
    most: u32,
    join: bool,
    holes: bool,
    /// Addresses that are known to answer, half open, merged, ascending.
    known: Vec<(u32, u32)>,
    /// Addresses that must not be read, half open.
    barred: Vec<(u32, u32)>,
}

impl Map {
    fn new(profile: &Profile, fc: ReadFc, connector: u16, image: &Image, caution: Caution) -> Self {
        let link = &profile.link;
        let most = if fc.is_bits() {
            link.max_read_bits
        } else {
            link.max_read_regs
        };
        let (mut known, mut barred) = (Vec::new(), Vec::new());
        let mut whole = Vec::new();
        for point in &profile.points {
            let first = u32::from(point.addr_for(connector));
            let span = (first, first + u32::from(point.layout.width));
            let reach = profile.reach(point, connector);
            if point.fc == Some(fc) && reach != span {
                whole.push(reach);
            }
            // A register that can only be written is reached by function 3, if by any.
            let barrier = point.fc.is_none() && fc == ReadFc::HoldingRegisters;
            if point.fc == Some(fc) && all_hold(&point.when, image) {
                known.push(span);
            } else if point.fc == Some(fc) || barrier {
                barred.push(span);
            }
        }
        // A conditional point may share its address with one that is certain to exist.
        barred.retain(|(first, end)| !known.iter().any(|(from, to)| from <= first && end <= to));
        // What is read whole is read alone: a request that takes more would be refused.
        barred.extend(whole);
        let no_read = link.no_read.iter().filter(|span| span.fc == fc);
        barred.extend(no_read.map(|span| (span.first.into(), u32::from(span.last) + 1)));
        known.sort_unstable();
        Self {
            fc,
            most: u32::from(if caution == Caution::Small {
                most.min(10)
            } else {
                most
            }),
            join: link.join && caution != Caution::Single,
            holes: link.read_holes && caution == Caution::Normal,
            known,
            barred,
        }
    }

    /// Whether one request may span these addresses.
    fn allows(&self, first: u32, end: u32) -> bool {
        let barred = self.barred.iter().any(|(from, to)| *from < end && first < *to);
        end - first <= self.most && !barred && (self.holes || self.covers(first, end))
    }

    fn covers(&self, first: u32, end: u32) -> bool {
        let reach = |at: u32, span: &(u32, u32)| if span.0 <= at { at.max(span.1) } else { at };
        self.known.iter().fold(first, reach) >= end
    }

    /// The cheapest way to read the ranges: the best split before each one is found from the best before it.
    fn partition(&self, ranges: &[Range], cost: LinkCost, cadence: Cadence) -> Vec<Block> {
        let mut best: Vec<(u64, usize)> = vec![(0, 0)];
        for to in 1..=ranges.len() {
            // A range alone is always read, however the map looks: the loader has checked it.
            let mut choice = (u64::MAX, to - 1);
            for from in (0..to).rev() {
                let (first, end) = (ranges[from].first, ranges[to - 1].end);
                if from + 1 < to && !(self.join && self.allows(first, end)) {
                    // Barriers and the limit only get worse further down.
                    break;
                }
                let total = best[from].0 + cost.read_us(self.fc, width(first, end));
                if total < choice.0 {
                    choice = (total, from);
                }
            }
            best.push(choice);
        }
        let mut blocks = Vec::new();
        let mut to = ranges.len();
        while to > 0 {
            let from = best[to].1;
            blocks.push(self.block(&ranges[from..to], cadence));
            to = from;
        }
        blocks.reverse();
        blocks
    }

    fn block(&self, ranges: &[Range], cadence: Cadence) -> Block {
        let first = ranges.first().map_or(0, |range| range.first);
        let end = ranges.last().map_or(first, |range| range.end);
        Block {
            fc: self.fc,
            addr: u16::try_from(first).unwrap_or(u16::MAX),
            count: width(first, end),
            cadence,
            points: ranges.iter().flat_map(|range| range.points.clone()).collect(),
        }
    }
}

fn width(first: u32, end: u32) -> u16 {
    u16::try_from(end - first).unwrap_or(u16::MAX)
}
