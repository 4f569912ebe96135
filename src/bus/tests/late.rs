//! S2: late, crossed, echoed, short and damaged answers are never attributed to another device or register.

use super::*;
use crate::device::{Effect, Input, Pdu, ReadFc, Reply, Request};
use crate::domain::{Priority, Rng};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const TIMEOUT: Duration = Duration::from_millis(200);
const UNITS: u8 = 4;
const FAULTS: u64 = 20_000;

/// What every register holds: a value no other register of any unit has.
fn truth(unit: u8, function: u8, addr: u16) -> u16 {
    u16::from(unit - 1) << 14 | u16::from(function == 4) << 13 | addr & 0x1FFF
}

#[derive(Default)]
struct Tally {
    good: AtomicU64,
    wrong: AtomicU64,
    failed: AtomicU64,
    injected: AtomicU64,
}

impl Tally {
    fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

/// Reads anything, all the time, mostly in the same two shapes.
struct Poller {
    unit: u8,
    rng: Rng,
    asked: Option<(u64, Pdu)>,
    id: u64,
    effects: VecDeque<Effect>,
    tally: Arc<Tally>,
}

impl Poller {
    fn ask(&mut self, now: Now) {
        self.id += 1;
        let addr = u16::try_from(self.rng.below(8000)).expect("small");
        let fc = if self.rng.below(2) == 0 {
            ReadFc::HoldingRegisters
        } else {
            ReadFc::InputRegisters
        };
        let count = [2, 2, 2, 1, 6][usize::try_from(self.rng.below(5)).expect("small")];
        let pdu = Pdu::Read { fc, addr, count };
        self.asked = Some((self.id, pdu.clone()));
        self.effects.push_back(Effect::Request(Request {
            id: self.id,
            // Feeds are not slowed down by failures as reads are: the hardest case.
            priority: Priority::Feed,
            due: now.mono,
            timeout: TIMEOUT,
            gap: Duration::ZERO,
            pdu,
        }));
    }

    fn judge(&self, pdu: &Pdu, reply: &Reply) {
        let (Pdu::Read { fc, addr, count }, Reply::Registers(values)) = (pdu, reply) else {
            panic!("a read is answered by registers");
        };
        let expected: Vec<u16> = (0..*count)
            .map(|n| truth(self.unit, fc.code(), addr + n))
            .collect();
        Tally::add(if *values == expected {
            &self.tally.good
        } else {
            &self.tally.wrong
        });
    }
}

impl Machine for Poller {
    fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Replied { id, result } => {
                let (asked, pdu) = self.asked.take().expect("asked");
                assert_eq!(id, asked);
                match result {
                    Ok(reply) => self.judge(&pdu, &reply),
                    Err(_) => Tally::add(&self.tally.failed),
                }
                self.ask(now);
            }
            Input::PortBack => self.ask(now),
            _ => {}
        }
    }

    fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn next_deadline(&self) -> Option<Mono> {
        None
    }
}

/// All units behind one line, answering in order each, with faults.
struct Slaves {
    rng: Rng,
    busy: BTreeMap<u8, Instant>,
    due: BTreeMap<(Instant, u64), Vec<u8>>,
    serial: u64,
    tally: Arc<Tally>,
}

impl Slaves {
    fn answer(unit: u8, request: &[u8]) -> Vec<u8> {
        let addr = u16::from_be_bytes([request[2], request[3]]);
        let count = u16::from_be_bytes([request[4], request[5]]);
        let mut body = vec![unit, request[1], u8::try_from(count * 2).expect("few")];
        body.extend((0..count).flat_map(|n| truth(unit, request[1], addr + n).to_be_bytes()));
        sealed(body)
    }

    fn at(&mut self, when: Instant, bytes: Vec<u8>) {
        self.serial += 1;
        self.due.insert((when, self.serial), bytes);
    }

    fn millis(&mut self, below: u64) -> Duration {
        Duration::from_millis(self.rng.below(below))
    }

    fn hear(&mut self, request: &[u8]) {
        let (unit, now) = (request[0], Instant::now());
        let busy = self.busy.get(&unit).copied().filter(|until| *until > now);
        if busy.is_some() && self.rng.below(2) == 0 {
            // A device at work may not hear at all.
            return;
        }
        let answer = Self::answer(unit, request);
        let when = busy.unwrap_or(now) + Duration::from_millis(3) + self.millis(12);
        self.busy.insert(unit, when);
        let other = Self::answer(unit % UNITS + 1, request);
        // A unit at work answers in order, and another's answer cannot be made up at just the right moment.
        let fault = match self.rng.below(16) {
            2..=4 if busy.is_some() => 15,
            fault => fault,
        };
        if fault < 10 {
            Tally::add(&self.tally.injected);
        }
        match fault {
            // Late in order, up to ten time-outs.
            0 | 1 => {
                let late = when + self.millis(2000);
                self.busy.insert(unit, late);
                self.at(late, answer);
            }
            // Late out of order: a converter held it back.
            2 => {
                let late = self.millis(190);
                self.at(now + late, answer);
            }
            // Crossed: another unit's answer first, or only.
            3 => self.at(when, [other, answer].concat()),
            4 => self.at(when, other),
            // Echoed, with and without an answer.
            5 => self.at(when, [request, &answer].concat()),
            6 => self.at(when, request.to_vec()),
            // Short.
            7 => {
                let upto = 1 + self.rng.below(u64::try_from(answer.len() - 1).expect("few"));
                self.at(when, answer[..usize::try_from(upto).expect("few")].to_vec());
            }
            // Damaged in one to three bits, which the checksum always shows.
            8 => {
                let mut broken = answer;
                for _ in 0..=self.rng.below(3) {
                    let bit = usize::try_from(self.rng.below(u64::try_from(broken.len() * 8).expect("few")));
                    let bit = bit.expect("few");
                    broken[bit / 8] ^= 1 << (bit % 8);
                }
                // An even number of flips of one bit is no damage.
                self.at(when, broken);
            }
            // Twice.
            9 => self.at(when, [answer.clone(), answer].concat()),
            _ => self.at(when, answer),
        }
    }

    async fn run(mut self, mut far: DuplexStream) {
        let (mut inbox, mut chunk) = (Vec::new(), [0; 256]);
        loop {
            let next = self.due.keys().next().copied();
            let wait = next.map_or(Duration::from_secs(60), |(at, _)| {
                at.saturating_duration_since(Instant::now())
            });
            tokio::select! {
                heard = far.read(&mut chunk) => {
                    let count = heard.expect("duplex");
                    if count == 0 {
                        return;
                    }
                    inbox.extend_from_slice(&chunk[..count]);
                    while inbox.len() >= 8 {
                        let request: Vec<u8> = inbox.drain(..8).collect();
                        assert_eq!(sealed(request[..6].to_vec()), request, "the gateway sends sound frames");
                        self.hear(&request);
                    }
                }
                () = tokio::time::sleep(wait) => {
                    if let Some(bytes) = next.and_then(|key| self.due.remove(&key)) {
                        far.write_all(&bytes).await.expect("duplex");
                    }
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s2_no_late_crossed_echoed_or_broken_answer_is_attributed_to_another_register() {
    let tally = Arc::new(Tally::default());
    let poller = |unit| {
        let poller = Poller {
            unit,
            rng: Rng::new(unit.into()),
            asked: None,
            id: 0,
            effects: VecDeque::new(),
            tally: Arc::clone(&tally),
        };
        (unit, Box::new(poller) as Box<dyn Machine>)
    };
    let (events, _kept) = mpsc::channel(8);
    let (handle, mut far) = start(19_200, TIMEOUT, (1..=UNITS).map(poller).collect(), events);
    let slaves = Slaves {
        rng: Rng::new(7),
        busy: BTreeMap::new(),
        due: BTreeMap::new(),
        serial: 0,
        tally: Arc::clone(&tally),
    };
    let slaves = tokio::spawn(slaves.run(far.recv().await.expect("opened")));
    while Tally::get(&tally.injected) < FAULTS {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    let (good, wrong, failed) = (
        Tally::get(&tally.good),
        Tally::get(&tally.wrong),
        Tally::get(&tally.failed),
    );
    assert_eq!(wrong, 0, "{good} good, {failed} failed");
    assert!(
        good > FAULTS / 4,
        "the line must still work: {good} good, {failed} failed"
    );
    drop(handle);
    slaves.abort();
}
