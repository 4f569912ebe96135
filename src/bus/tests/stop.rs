//! S7 and S4: a stop beats everything, and a dead device costs the others little.

use super::*;
use crate::bus::ToBus;
use crate::device::{Effect, Input, Pdu, ReadFc, Request};
use crate::domain::{DeviceCommand, MilliAmps, Observation, Priority, Rng};
use std::collections::VecDeque;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const TIMEOUT: Duration = Duration::from_millis(500);
const STOP_REGISTER: u16 = 100;
/// A unit nobody answers for.
const DEAD: u8 = 9;

/// Reads 40 registers back to back and tells of each; a command becomes one write of its ticket.
#[derive(Default)]
struct Busy {
    id: u64,
    stop: Option<(u64, u64)>,
    effects: VecDeque<Effect>,
}

impl Busy {
    fn request(&mut self, now: Now, priority: Priority, pdu: Pdu) -> u64 {
        self.id += 1;
        self.effects.push_back(Effect::Request(Request {
            id: self.id,
            priority,
            due: now.mono,
            timeout: Duration::ZERO,
            gap: Duration::ZERO,
            pdu,
        }));
        self.id
    }

    fn read(&mut self, now: Now) {
        let pdu = Pdu::Read {
            fc: ReadFc::InputRegisters,
            addr: 0,
            count: 40,
        };
        self.request(now, Priority::Read, pdu);
    }
}

impl Machine for Busy {
    fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::PortBack => self.read(now),
            Input::Drive { ticket, .. } => {
                let value = u16::try_from(ticket).expect("small");
                let pdu = Pdu::WriteSingle {
                    addr: STOP_REGISTER,
                    value,
                };
                self.stop = Some((self.request(now, Priority::Stop, pdu), ticket));
            }
            Input::Replied { id, .. } => match self.stop.take_if(|(stop, _)| *stop == id) {
                Some((_, ticket)) => self.effects.push_back(Effect::Done {
                    ticket,
                    result: Ok(()),
                }),
                None => {
                    let seen = Observation::LimitReadBack(MilliAmps(id.cast_signed()));
                    self.effects.push_back(Effect::Observed(vec![seen]));
                    self.read(now);
                }
            },
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

/// What the slaves heard: unit and written value, `None` for a read.
type Heard = (u8, Option<u16>);

/// Slaves that take the time a line of 9,600 baud takes.
async fn slaves(mut far: DuplexStream, heard: mpsc::UnboundedSender<Heard>) {
    let mut request = [0; 8];
    while far.read_exact(&mut request).await.is_ok() {
        let value = (request[1] == 6).then(|| u16::from_be_bytes([request[4], request[5]]));
        if heard.send((request[0], value)).is_err() {
            return;
        }
        if request[0] == DEAD {
            continue;
        }
        let answer = match value {
            Some(_) => request.to_vec(),
            None => {
                let mut body = vec![request[0], 4, 80];
                body.resize(83, 0);
                sealed(body)
            }
        };
        let chars = u64::try_from(request.len() + answer.len()).expect("few");
        tokio::time::sleep(Duration::from_micros(chars * 1042 + 5000)).await;
        if far.write_all(&answer).await.is_err() {
            return;
        }
    }
}

fn bus(units: &[u8], events: mpsc::Sender<FromBus>) -> (BusHandle, mpsc::UnboundedReceiver<DuplexStream>) {
    let machine = |unit: &u8| (*unit, Box::<Busy>::default() as Box<dyn Machine>);
    start(9600, TIMEOUT, units.iter().map(machine).collect(), events)
}

async fn serve(far: &mut mpsc::UnboundedReceiver<DuplexStream>) -> mpsc::UnboundedReceiver<Heard> {
    let (tell, heard) = mpsc::unbounded_channel();
    tokio::spawn(slaves(far.recv().await.expect("opened"), tell));
    heard
}

/// A thousand stops to units that answer, at any moment of a saturated bus.
async fn a_thousand_stops(alive: &[u8]) {
    let (events, hung) = mpsc::channel(1);
    let (handle, mut far) = bus(&[alive, &[DEAD]].concat(), events);
    let mut heard = serve(&mut far).await;
    let (mut rng, mut took) = (Rng::new(1), Vec::new());
    for ticket in 0..1000u16 {
        // Anywhere in the exchanges of a saturated bus.
        tokio::time::sleep(Duration::from_millis(rng.below(400))).await;
        while heard.try_recv().is_ok() {}
        let unit = alive[usize::try_from(rng.below(alive.len() as u64)).expect("small")];
        let drive = ToBus::Drive {
            device: device(unit).id,
            ticket: ticket.into(),
            command: DeviceCommand::Limit(MilliAmps(0)),
            lowering: true,
        };
        let begin = Instant::now();
        handle.to.send(drive).await.expect("running");
        let mut next = heard.recv().await;
        if matches!(next, Some((_, None))) {
            // It was on the wire already; nothing is pre-empted there.
            next = heard.recv().await;
        }
        assert_eq!(
            next,
            Some((unit, Some(ticket))),
            "a stop is the next frame to be begun"
        );
        took.push(begin.elapsed());
    }
    took.sort_unstable();
    assert_eq!(took.len(), 1000);
    assert!(took[990] <= Duration::from_millis(500), "p99 {:?}", took[990]);
    assert_eq!(hung.len(), 1, "nobody took an event");
}

#[tokio::test(start_paused = true)]
async fn s7_a_thousand_stops_reach_the_bus_while_nobody_takes_its_events() {
    a_thousand_stops(&[1, 2, 3]).await;
}

#[tokio::test(start_paused = true)]
async fn s4_with_sixteen_devices_one_of_them_dead_a_stop_is_as_fast() {
    let alive: Vec<u8> = (1..=16).filter(|unit| *unit != DEAD).collect();
    assert_eq!(alive.len(), 15);
    a_thousand_stops(&alive).await;
}

#[tokio::test(start_paused = true)]
async fn the_heart_beats_while_the_consumer_hangs_and_a_slave_is_silent() {
    let (events, _hung) = mpsc::channel(1);
    let (handle, mut far) = bus(&[DEAD], events);
    let _heard = serve(&mut far).await;
    for _ in 0..20 {
        let before = *handle.heartbeat.borrow();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(*handle.heartbeat.borrow() > before);
    }
}

/// Reads heard of units that answer, in two minutes.
async fn reads_in_two_minutes(units: &[u8]) -> usize {
    let (events, _kept) = mpsc::channel(1);
    let (_handle, mut far) = bus(units, events);
    let mut heard = serve(&mut far).await;
    // The bus learns how long the units think.
    tokio::time::sleep(Duration::from_secs(30)).await;
    while heard.try_recv().is_ok() {}
    tokio::time::sleep(Duration::from_secs(120)).await;
    std::iter::from_fn(|| heard.try_recv().ok())
        .filter(|(unit, _)| *unit != DEAD)
        .count()
}

#[tokio::test(start_paused = true)]
async fn s4_a_dead_device_that_is_asked_without_pause_costs_the_others_a_tenth_at_most() {
    let alone = reads_in_two_minutes(&[1, 2, 3]).await;
    let with_dead = reads_in_two_minutes(&[1, 2, 3, DEAD]).await;
    assert!(alone > 1000, "{alone} reads");
    assert!(
        with_dead * 10 >= alone * 9,
        "{with_dead} reads instead of {alone}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_port_is_opened_again_and_the_devices_go_on() {
    let (events, mut told) = mpsc::channel(64);
    let (handle, mut far) = bus(&[1], events);
    let mut heard = serve(&mut far).await;
    assert_eq!(heard.recv().await, Some((1, None)));
    drop(heard);
    let begin = Instant::now();
    let mut heard = serve(&mut far).await;
    assert_eq!(heard.recv().await, Some((1, None)));
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    let mut ports = Vec::new();
    while let Ok(event) = told.try_recv() {
        if let FromBus::Port { up, .. } = event {
            ports.push(up);
        }
    }
    assert_eq!(ports, [true, false, true]);
    handle.to.send(ToBus::Stop).await.expect("running");
    handle.join.await.expect("an orderly end");
}
