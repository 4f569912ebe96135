//! A port that one machine owns, in simulated time.

use super::*;
use crate::bus::ToBus;
use crate::bus::stream::Stream;
use crate::device::{Serial, StreamEffect, StreamInput, StreamMachine};
use crate::domain::{DeviceCommand, DriveError, MilliAmps, Observation};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

/// Writes what it is told to and tells the test what it hears.
struct Scripted {
    heard: UnboundedSender<(u64, StreamInput)>,
    effects: VecDeque<StreamEffect>,
    answers: bool,
    deadline: Option<Mono>,
}

impl StreamMachine for Scripted {
    fn handle(&mut self, now: Now, input: StreamInput) {
        match &input {
            // A byte is repeated and told as a limit.
            StreamInput::Bytes(bytes) => {
                self.effects.push_back(StreamEffect::Write(bytes.clone()));
                let seen = Observation::LimitReadBack(MilliAmps(bytes[0].into()));
                self.effects.push_back(StreamEffect::Observed {
                    slot: 1,
                    observations: vec![seen],
                });
            }
            StreamInput::Drive { slot, ticket, .. } if self.answers => {
                self.effects.push_back(StreamEffect::Write(b"stop".to_vec()));
                self.effects.push_back(StreamEffect::Done {
                    slot: *slot,
                    ticket: *ticket,
                    result: Ok(()),
                });
            }
            StreamInput::PortBack => self.deadline = Some(now.mono.plus(Duration::from_secs(5))),
            StreamInput::Tick => {
                self.deadline = None;
                self.effects.push_back(StreamEffect::Write(vec![0; 96]));
                self.effects.push_back(StreamEffect::Settings(Serial {
                    baud: 2400,
                    parity: Parity::Even,
                    data_bits: 7,
                    stop_bits: 1,
                }));
                self.effects.push_back(StreamEffect::Write(b"fast".to_vec()));
            }
            _ => {}
        }
        // The test may have ended.
        let _ = self.heard.send((now.mono.0, input));
    }

    fn poll(&mut self) -> Option<StreamEffect> {
        self.effects.pop_front()
    }

    fn next_deadline(&self) -> Option<(Mono, &'static str)> {
        self.deadline.map(|at| (at, "test"))
    }
}

/// A port that notes its settings.
struct Noting {
    wire: DuplexStream,
    set: Arc<Mutex<Vec<Serial>>>,
    unsent: Arc<Mutex<u32>>,
}

impl AsyncRead for Noting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_read(cx, buf)
    }
}

impl AsyncWrite for Noting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

impl Wire for Noting {
    /// Ten bytes fewer each time somebody asks.
    fn unsent(&self) -> io::Result<u32> {
        let mut unsent = self.unsent.lock().unwrap();
        *unsent = unsent.saturating_sub(10);
        Ok(*unsent)
    }

    fn set(&mut self, settings: &Serial) -> io::Result<()> {
        self.set.lock().unwrap().push(*settings);
        Ok(())
    }
}

struct Bench {
    bus: BusHandle,
    heard: UnboundedReceiver<(u64, StreamInput)>,
    far: UnboundedReceiver<DuplexStream>,
    events: mpsc::Receiver<FromBus>,
    set: Arc<Mutex<Vec<Serial>>>,
}

fn bench(answers: bool, unsent: u32) -> Bench {
    let setup = BusSetup {
        id: BusId::new("bus"),
        link: serial(9600),
        protocol: Protocol::Sml,
        framing: Framing::Rtu,
        min_gap: Duration::ZERO,
        timeout: Duration::from_secs(1),
        reopen_wait: Duration::from_secs(1),
        devices: vec![device(1), device(2)],
    };
    let (tell, heard) = mpsc::unbounded_channel();
    let (far_ends, far) = mpsc::unbounded_channel();
    let set: Arc<Mutex<Vec<Serial>>> = Arc::default();
    let (noted, left) = (set.clone(), Arc::new(Mutex::new(unsent)));
    let opener: Opener = Box::new(move || {
        let (wire, far) = tokio::io::duplex(4096);
        let sent = far_ends.send(far);
        let wire = Noting {
            wire,
            set: noted.clone(),
            unsent: left.clone(),
        };
        Box::pin(async move {
            sent.map_err(|_| io::ErrorKind::NotFound)?;
            Ok(Box::new(wire) as Box<dyn Wire>)
        })
    });
    let machine = Scripted {
        heard: tell,
        effects: VecDeque::new(),
        answers,
        deadline: None,
    };
    let ids = setup.devices.iter().map(|device| device.id.clone()).collect();
    let (to, events) = mpsc::channel(16);
    let clock = Arc::new(TokioClock(Instant::now()));
    let stream = Stream::new(ids, Box::new(machine));
    let bus = task::start(setup, stream, clock, to, opener, || Ok(Timer::tokio()));
    Bench {
        bus,
        heard,
        far,
        events,
        set,
    }
}

impl Bench {
    async fn next(&mut self) -> (u64, StreamInput) {
        self.heard.recv().await.expect("the machine hears something")
    }

    async fn open(&mut self) -> DuplexStream {
        let far = self.far.recv().await.expect("opened");
        assert_eq!(self.next().await.1, StreamInput::PortBack);
        far
    }

    async fn event(&mut self) -> FromBus {
        self.events.recv().await.expect("an event")
    }

    async fn drive(&self, device: &str, ticket: u64) {
        let drive = ToBus::Drive {
            device: DeviceId::new(device),
            ticket,
            command: DeviceCommand::SafeState,
            lowering: true,
        };
        self.bus.to.send(drive).await.expect("the bus runs");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_go_in_and_out_in_order_and_events_name_their_device() {
    let mut bench = bench(true, 0);
    let mut far = bench.open().await;
    far.write_all(&[7]).await.unwrap();
    assert_eq!(bench.next().await.1, StreamInput::Bytes(vec![7]));
    far.write_all(&[8, 9]).await.unwrap();
    let mut echo = [0; 3];
    far.read_exact(&mut echo).await.unwrap();
    assert_eq!(echo, [7, 8, 9]);
    assert!(matches!(bench.event().await, FromBus::Port { up: true, .. }));
    let FromBus::Observed {
        device, observations, ..
    } = bench.event().await
    else {
        panic!("what the device said")
    };
    assert_eq!(device, DeviceId::new("unit-2"));
    assert_eq!(observations[0], Observation::LimitReadBack(MilliAmps(7)));
}

#[tokio::test(start_paused = true)]
async fn a_command_to_a_device_that_is_not_here_is_answered() {
    let mut bench = bench(true, 0);
    let _far = bench.open().await;
    bench.drive("nobody", 4).await;
    assert!(matches!(bench.event().await, FromBus::Port { up: true, .. }));
    let FromBus::Done { ticket, result, .. } = bench.event().await else {
        panic!("the end of the command")
    };
    assert_eq!((ticket, result), (4, Err(DriveError::Unsupported)));
}

#[tokio::test(start_paused = true)]
async fn a_lost_port_is_told_and_opened_again() {
    let mut bench = bench(true, 0);
    drop(bench.open().await);
    assert_eq!(bench.next().await.1, StreamInput::PortLost);
    let mut far = bench.open().await;
    far.write_all(&[1]).await.unwrap();
    assert_eq!(bench.next().await.1, StreamInput::Bytes(vec![1]));
}

#[tokio::test(start_paused = true)]
async fn new_settings_wait_until_every_byte_has_left() {
    let mut bench = bench(true, 45);
    let mut far = bench.open().await;
    let (tick, _) = bench.next().await;
    assert_eq!(tick, 5_000, "the deadline was kept");
    let mut sent = vec![0; 96];
    far.read_exact(&mut sent).await.unwrap();
    assert!(
        bench.set.lock().unwrap().is_empty(),
        "100 ms of bytes are on their way"
    );
    let mut fast = [0; 4];
    far.read_exact(&mut fast).await.unwrap();
    assert_eq!(&fast, b"fast");
    assert_eq!(bench.set.lock().unwrap().as_slice()[0].baud, 2400);
    // 96 characters of 10 bits at 9600 baud, then four looks at bytes still in the adapter.
    far.write_all(&[1]).await.unwrap();
    let (heard, _) = bench.next().await;
    assert!((5_120..5_135).contains(&heard), "{heard}");
}

#[tokio::test(start_paused = true)]
async fn the_last_command_is_written_before_the_bus_ends() {
    let mut bench = bench(true, 0);
    let mut far = bench.open().await;
    bench.drive("unit-1", 1).await;
    bench.bus.to.send(ToBus::Stop).await.unwrap();
    let mut written = [0; 4];
    far.read_exact(&mut written).await.unwrap();
    assert_eq!(&written, b"stop");
    bench.bus.join.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_never_answers_holds_the_end_up_for_two_seconds_at_most() {
    let mut bench = bench(false, 0);
    let _far = bench.open().await;
    bench.drive("unit-1", 1).await;
    bench.bus.to.send(ToBus::Stop).await.unwrap();
    let begun = Instant::now();
    bench.bus.join.await.unwrap();
    let took = begun.elapsed();
    assert!((1_900..3_000).contains(&took.as_millis()), "{took:?}");
}
