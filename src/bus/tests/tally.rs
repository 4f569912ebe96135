//! What a bus counts: every request once, by how it ended.

use super::*;
use crate::device::{Effect, Input, Pdu, ReadFc, Request};
use crate::domain::{BusResult, Priority};
use std::collections::VecDeque;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const TIMEOUT: Duration = Duration::from_millis(200);
const THINK: Duration = Duration::from_millis(20);

/// Asks for the same register twice.
struct Twice {
    left: u64,
    done: mpsc::UnboundedSender<()>,
    effects: VecDeque<Effect>,
}

impl Twice {
    fn ask(&mut self, now: Now) {
        if self.left == 0 {
            // The bench may be gone already.
            let _ = self.done.send(());
            return;
        }
        self.left -= 1;
        self.effects.push_back(Effect::Request(Request {
            id: self.left,
            priority: Priority::Read,
            due: now.mono,
            timeout: Duration::ZERO,
            gap: Duration::ZERO,
            pdu: Pdu::Read {
                fc: ReadFc::InputRegisters,
                addr: 7,
                count: 1,
            },
        }));
    }
}

impl Machine for Twice {
    fn handle(&mut self, now: Now, input: Input) {
        if matches!(input, Input::PortBack | Input::Replied { .. }) {
            self.ask(now);
        }
    }

    fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn next_deadline(&self) -> Option<Mono> {
        None
    }
}

/// Unit 1 answers, 2 is silent, the answers of 3 are damaged, 4 refuses.
async fn slaves(mut far: DuplexStream) {
    let mut request = [0; 8];
    while far.read_exact(&mut request).await.is_ok() {
        tokio::time::sleep(THINK).await;
        let answer = match request[0] {
            1 => sealed(vec![1, 4, 2, 0, 42]),
            3 => {
                let mut damaged = sealed(vec![3, 4, 2, 0, 42]);
                damaged[4] ^= 1;
                damaged
            }
            4 => sealed(vec![4, 0x84, 2]),
            _ => continue,
        };
        if far.write_all(&answer).await.is_err() {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_request_counts_once_by_how_it_ended() {
    let (events, _hung) = mpsc::channel(64);
    let (done, mut finished) = mpsc::unbounded_channel();
    let machine = |unit: u8| {
        let twice = Twice {
            left: 2,
            done: done.clone(),
            effects: VecDeque::new(),
        };
        (unit, Box::new(twice) as Box<dyn Machine>)
    };
    let (handle, mut far) = start(9600, TIMEOUT, (1..=4).map(machine).collect(), events);
    let begun = Instant::now();
    tokio::spawn(slaves(far.recv().await.expect("opened")));
    for _ in 1..=4 {
        finished.recv().await.expect("each asks twice");
    }
    let (tally, passed) = (handle.tally.borrow().clone(), begun.elapsed());
    let counts = BusResult::ALL.map(|result| tally.of(result));
    // Ok, time-out, damaged, exception, echo.
    assert_eq!(counts, [2, 2, 2, 2, 0], "{tally:?}");
    assert_eq!(
        (tally.requests(), tally.retries),
        (8, 2),
        "what was answered is no repeat"
    );
    assert_eq!(tally.latency.count(), 4, "only answers have a time");
    let median = Duration::from_micros(tally.percentile_us(50).expect("answers"));
    // The slave begins to think while the request is still being sent.
    assert!(median > THINK / 2 && median <= THINK, "{median:?}");
    let busy = Duration::from_micros(tally.busy_us);
    assert!(busy > TIMEOUT * 2 && busy <= passed, "{busy:?} of {passed:?}");
    assert!(tally.last_error.is_some_and(|words| words.starts_with("unit-")));
}
