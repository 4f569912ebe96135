//! The read planner on the wire (goal P2): what the gateway asks a meter of the SDM630's map for, against every value
//! alone and against the cheapest way there is.

use super::floor::Floor;
use super::gateway::Master;
use super::kit::{Goals, Options, Outcome, root, row};
use super::peers::Peer;
use super::slaves::{Bench, Read};
use retrovolt::device::{Block, Cadence, Caution, Image, Library, LinkCost, ReadFc};
use retrovolt::sim::Format;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// How long the meter thinks.
const THINK: Duration = Duration::from_millis(5);
/// Input registers.
const INPUT: u8 = 4;
/// Most registers of a read, by the profile.
const MOST: u16 = 80;

/// The shipped profile, polled as fast as may be, with another silence between reads.
fn profile(gap: Duration) -> Outcome<String> {
    let text = std::fs::read_to_string(root().join("config/devices/eastron/sdm630.toml"))?;
    let changes = [
        ("id = \"eastron-sdm630\"", "id = \"bench-meter\"".to_owned()),
        ("min_gap_ms = 100", format!("min_gap_ms = {}", gap.as_millis())),
        ("poll_ms = 1000", "poll_ms = 100".to_owned()),
        ("slow_poll_ms = 30000", "slow_poll_ms = 2000".to_owned()),
    ];
    let mut out = text;
    for (from, to) in changes {
        if !out.contains(&format!("\n{from}\n")) {
            return Err(format!("the profile has no line `{from}`").into());
        }
        out = out.replace(&format!("\n{from}\n"), &format!("\n{to}\n"));
    }
    Ok(out)
}

/// A line, and the silence the meter wants beside the standard's.
#[derive(Clone, Copy)]
struct Wire {
    baud: u32,
    gap: Duration,
}

impl Wire {
    /// Wire time of a read with its answer: 13 characters and the data, the silence before it, the meter's thinking.
    /// The silence behind the answer is the one before the next.
    fn cost(self, count: u16) -> f64 {
        let format = Format::even(self.baud);
        let characters = (13 + 2 * u64::from(count)) * format.char_ns() + format.silence_ns();
        Duration::from_nanos(characters).as_secs_f64() + self.silence().as_secs_f64() + THINK.as_secs_f64()
    }

    fn silence(self) -> Duration {
        self.gap
            .max(Duration::from_nanos(Format::even(self.baud).silence_ns()))
    }

    fn total(self, reads: &[Read]) -> f64 {
        reads.iter().map(|(_, _, count)| self.cost(*count)).sum()
    }

    /// The least cost of reading these values: every way to join neighbours, the best up to each value.
    fn cheapest(self, values: &[Read]) -> f64 {
        let mut best = vec![0.0];
        for to in 0..values.len() {
            let end = values[to].1 + values[to].2;
            let joined = (0..=to).filter_map(|from| {
                let count = end - values[from].1;
                (count <= MOST).then(|| best[from] + self.cost(count))
            });
            best.push(joined.fold(f64::INFINITY, f64::min));
        }
        best.last().copied().unwrap_or_default()
    }
}

/// Every value of a cadence alone.
fn singles(profile: &str, cadence: Cadence) -> Outcome<Vec<Read>> {
    let mut library = Library::builtin();
    library
        .add("bench.toml", profile)
        .map_err(|errors| format!("{errors:?}"))?;
    let profile = library.get("bench-meter").ok_or("just added")?;
    let any = LinkCost {
        char_us: 1,
        silence_us: 1,
        think_us: 1,
    };
    let blocks = profile.plan(any, 1, &Image::default(), Caution::Single);
    let wanted = |block: &&Block| block.fc == ReadFc::InputRegisters && block.cadence == cadence;
    Ok(blocks
        .iter()
        .filter(wanted)
        .map(|block| (INPUT, block.addr, block.count))
        .collect())
}

/// Milliseconds of one pass over these reads on the paced line.
fn measured(options: Options, dir: &Path, wire: Wire, reads: &[Read]) -> Outcome<f64> {
    let bench = Bench::thinking(dir, wire.baud, 1, true, THINK)?;
    let master = Floor::reading(&bench.path(), reads, wire.silence())?;
    let passes = if options.quick { 2.0 } else { 8.0 };
    let seen = bench.watch(Duration::from_secs_f64(wire.total(reads) * passes).max(Duration::from_secs(1)));
    drop(master);
    let each = 1.0 / seen.rate();
    Ok(each * reads.len() as f64 * 1000.0)
}

/// How often the gateway makes each read, but for those it makes once.
fn asked(dir: &Path, wire: Wire, profile: &str) -> Outcome<BTreeMap<Read, usize>> {
    let bench = Bench::thinking(dir, wire.baud, 1, true, THINK)?;
    let master = Master::with(profile, bench.path(), wire.baud, 1)?;
    // Slow values come every two seconds; what is seen once is a fact, or the way to a plan.
    bench.watch(Duration::from_secs(9));
    drop(master);
    let mut reads = bench.reads();
    reads.retain(|(function, _, _), times| *function == INPUT && *times > 1);
    Ok(reads)
}

/// The reads that bring these values: for each the one that is made most often, since a slow one may pass over it.
fn holding(reads: &BTreeMap<Read, usize>, values: &[Read]) -> Vec<Read> {
    let of = |value: &Read| {
        let holds = |(read, _): &(&Read, &usize)| read.1 <= value.1 && value.1 + value.2 <= read.1 + read.2;
        let most = reads.iter().filter(holds).max_by_key(|(_, times)| **times);
        most.map(|(read, _)| *read)
    };
    values
        .iter()
        .filter_map(of)
        .collect::<BTreeSet<Read>>()
        .into_iter()
        .collect()
}

/// The table.
pub fn run(options: Options, dir: &Path, peers: &[Peer], goals: &mut Goals) -> Outcome<()> {
    println!(
        "\nRead plan for the SDM630's values, {} ms of thinking: ms for each pass over them",
        THINK.as_millis()
    );
    let mut heads = vec!["", "reads", "plan", "one by one", "gain", "/ cheapest"];
    heads.extend(peers.iter().map(|peer| peer.name));
    row(&heads);
    for (baud, gap) in [(9_600, 0), (19_200, 0), (115_200, 0), (19_200, 100)] {
        let wire = Wire {
            baud,
            gap: Duration::from_millis(gap),
        };
        let text = profile(wire.gap)?;
        let fast = singles(&text, Cadence::Fast)?;
        let slow = singles(&text, Cadence::Slow)?;
        let plan = asked(dir, wire, &text)?;
        let all = [fast.clone(), slow.clone()].concat();
        if plan.is_empty() || all.iter().any(|value| holding(&plan, &[*value]).is_empty()) {
            return Err(format!("the gateway does not read all values: {plan:?}").into());
        }
        let (often, every) = (holding(&plan, &fast), holding(&plan, &all));
        for (what, values, reads) in [("fast", &fast, &often), ("all", &all, &every)] {
            let (planned, single) = (
                measured(options, dir, wire, reads)?,
                measured(options, dir, wire, values)?,
            );
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let ratio = wire.total(reads) / wire.cheapest(&sorted);
            let name = format!("{baud} baud, gap {gap}, {what} {}", values.len());
            let mut cells = vec![
                name.clone(),
                reads.len().to_string(),
                format!("{planned:.1}"),
                format!("{single:.1}"),
                format!("{:.2}", single / planned),
                format!("{ratio:.3}"),
            ];
            for peer in peers {
                cells.push(theirs(options, dir, wire, peer, values)?);
            }
            row(&cells);
            if what == "fast" {
                goals.at_most(format!("P2 {name}: plan / cheapest plan"), ratio, 1.05);
            }
            if (baud, gap, what) == (19_200, 0, "all") {
                goals.at_least(format!("P2 {name}: one by one / plan"), single / planned, 3.0);
            }
        }
    }
    Ok(())
}

/// A pass of a peer, whose users read value by value; it keeps no silence of its own, so slaves are tolerant.
fn theirs(options: Options, dir: &Path, wire: Wire, peer: &Peer, values: &[Read]) -> Outcome<String> {
    if !wire.gap.is_zero() {
        return Ok("-".into());
    }
    let bench = Bench::thinking(dir, wire.baud, 1, false, THINK)?;
    let time = Duration::from_secs(if options.quick { 1 } else { 3 });
    let registers = values.first().map_or(2, |value| value.2);
    let polled = peer.reading(
        &bench.path(),
        (wire.baud, 1, registers),
        time,
        Duration::from_millis(500),
    )?;
    let each = polled.took / f64::from(polled.good.max(1));
    Ok(format!("{:.1}", each * values.len() as f64 * 1000.0))
}
