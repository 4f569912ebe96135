//! Slaves on a paced line: they answer at once, ignore what begins inside the silence, and note whom they answered.

use retrovolt::sim::slave::{Answer, Exception, Registers, Table, Units, respond};
use retrovolt::sim::{Format, Line, LineSetup};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Registers of each read.
pub const REGISTERS: u16 = 10;
/// Characters of a request, and of its answer beside the data.
const REQUEST: u64 = 8;
const FRAME: u64 = 5;

/// One read: function, first address, registers.
pub type Read = (u8, u16, u16);

#[derive(Debug, Default)]
struct Heard {
    calls: Vec<(Instant, u8)>,
    /// How often each read was asked for.
    reads: BTreeMap<Read, usize>,
    dead: Option<u8>,
}

/// Units 1 to `most`.
struct Slaves {
    most: u8,
    think: Duration,
    heard: Arc<Mutex<Heard>>,
}

/// Blocks of ten registers, twenty apart: numbers of four, four and two registers with a small value each.
struct Small;

impl Registers for Small {
    fn read(&mut self, _: u8, _: Table, addr: u16, count: u16) -> Result<Vec<u16>, Exception> {
        let value = |at: u16| u16::from(matches!(at % 20, 3 | 7 | 9)) * 1234;
        Ok((addr..).take(count.into()).map(value).collect())
    }

    fn write_words(&mut self, _: u8, _: u16, _: &[u16]) -> Result<(), Exception> {
        Err(Exception::IllegalFunction)
    }

    fn write_bits(&mut self, _: u8, _: u16, _: &[bool]) -> Result<(), Exception> {
        Err(Exception::IllegalFunction)
    }
}

impl Units for Slaves {
    fn call(&mut self, unit: u8, pdu: &[u8]) -> Option<Answer> {
        let mut heard = lock(&self.heard);
        if unit == 0 || unit > self.most || heard.dead == Some(unit) {
            return None;
        }
        heard.calls.push((Instant::now(), unit));
        if let [function, a1, a0, c1, c0] = *pdu {
            let read = (
                function,
                u16::from_be_bytes([a1, a0]),
                u16::from_be_bytes([c1, c0]),
            );
            *heard.reads.entry(read).or_default() += 1;
        }
        Some(Answer {
            pdu: respond(pdu, &mut Small),
            think: self.think,
        })
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line with its slaves.
pub struct Bench {
    /// The line.
    pub line: Line,
    heard: Arc<Mutex<Heard>>,
}

/// What the slaves answered in a stretch of time.
#[derive(Clone, Debug)]
pub struct Seen {
    calls: Vec<(Instant, u8)>,
    lasted: Duration,
}

impl Bench {
    /// A line in a folder. `strict`: its slaves ignore what begins inside the silence.
    pub fn open(dir: &Path, baud: u32, slaves: u8, strict: bool) -> io::Result<Self> {
        Self::thinking(dir, baud, slaves, strict, Duration::ZERO)
    }

    /// The same with slaves that take this long to answer.
    pub fn thinking(dir: &Path, baud: u32, slaves: u8, strict: bool, think: Duration) -> io::Result<Self> {
        let setup = LineSetup::new(dir.join("line.tty"), Format::even(baud));
        let setup = if strict { setup.strict() } else { setup };
        let heard = Arc::new(Mutex::new(Heard::default()));
        let slaves = Slaves {
            most: slaves,
            think,
            heard: Arc::clone(&heard),
        };
        let line = Line::open(setup, Box::new(slaves))?;
        Ok(Self { line, heard })
    }

    /// Where a master opens it.
    pub fn path(&self) -> PathBuf {
        self.line.path().to_owned()
    }

    /// From now on this unit is silent.
    pub fn kill(&self, unit: u8) {
        lock(&self.heard).dead = Some(unit);
    }

    /// How often each read was asked for so far.
    pub fn reads(&self) -> BTreeMap<Read, usize> {
        lock(&self.heard).reads.clone()
    }

    /// Watches for so long.
    pub fn watch(&self, time: Duration) -> Seen {
        lock(&self.heard).calls.clear();
        let begin = Instant::now();
        std::thread::sleep(time);
        let calls = std::mem::take(&mut lock(&self.heard).calls);
        Seen {
            calls,
            lasted: begin.elapsed(),
        }
    }
}

/// Least time of one read and its answer on the wire, with the silence that ends each.
pub fn poll_time(baud: u32) -> Duration {
    let format = Format::even(baud);
    let chars = REQUEST + FRAME + 2 * u64::from(REGISTERS);
    Duration::from_nanos(chars * format.char_ns() + 2 * format.silence_ns())
}

impl Seen {
    /// Answers given.
    pub fn answers(&self) -> usize {
        self.calls.len()
    }

    /// Wire time needed over time taken, from the first answer to the last: for a master that never stops.
    pub fn steady(&self, poll: Duration) -> f64 {
        match (self.calls.first(), self.calls.last()) {
            (Some((first, _)), Some((last, _))) if first < last => {
                poll.as_secs_f64() * (self.calls.len() - 1) as f64 / (*last - *first).as_secs_f64()
            }
            _ => 0.0,
        }
    }

    /// Answers in a second, from the first answer to the last.
    pub fn rate(&self) -> f64 {
        self.steady(Duration::from_secs(1))
    }

    /// Wire time needed over the whole time.
    pub fn whole(&self, poll: Duration) -> f64 {
        poll.as_secs_f64() * self.calls.len() as f64 / self.lasted.as_secs_f64()
    }

    /// Units of these that were never asked.
    pub fn forgotten(&self, units: u8) -> Vec<u8> {
        let asked = |unit: &u8| self.calls.iter().any(|(_, other)| other == unit);
        (1..=units).filter(|unit| !asked(unit)).collect()
    }
}
