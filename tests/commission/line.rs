//! A line in simulated time: devices made from their profiles, and the faults that electricians make.

use retrovolt::bus::direct::Heard;
use retrovolt::commission::Settings;
use retrovolt::commission::medium::Medium;
use retrovolt::device::Profile;
use retrovolt::domain::{Mono, Rng};
use retrovolt::sim::slave::{close_rtu, open_rtu};
use retrovolt::sim::{DeviceSpec, SimDevice};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// What is wrong with the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    /// A and B swapped: nobody understands us, and switching the driver makes a stray byte.
    Swapped,
    /// Reflections: each byte has its chance to be hit, so that long frames suffer.
    NoTermination,
    /// Two devices with one id that answer at the same moment.
    Collision,
    /// Two devices with one id, one of them slower.
    TwoAnswers,
    /// Another master asks unit 9 all the time.
    SecondMaster,
    /// The adapter hears itself.
    Echo,
}

pub struct SimLine {
    pub devices: Vec<SimDevice>,
    pub settings: Settings,
    pub fault: Fault,
    /// Settings the port was opened with, in order.
    pub opened: Vec<Settings>,
    /// Requests that were heard on the line.
    pub requests: Vec<Vec<u8>>,
    /// Simulated time.
    pub now: Mono,
    rng: Rng,
}

impl SimLine {
    pub fn new(settings: Settings, fault: Fault) -> Self {
        Self {
            devices: Vec::new(),
            settings,
            fault,
            opened: Vec::new(),
            requests: Vec::new(),
            now: Mono(0),
            rng: Rng::new(7),
        }
    }

    pub fn with(mut self, profile: &Arc<Profile>, unit: u8) -> Self {
        let spec = DeviceSpec::new(format!("unit{unit}"), Arc::clone(profile), unit);
        self.devices.push(SimDevice::new(spec, Mono(0)));
        self
    }

    pub fn thinking(mut self, think: Duration) -> Self {
        self.devices = self
            .devices
            .into_iter()
            .map(|device| {
                let mut spec = device.spec().clone();
                spec.think = think;
                SimDevice::new(spec, Mono(0))
            })
            .collect();
        self
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
    }

    fn answers(&mut self, request: &[u8], wait: Duration) -> Vec<Vec<u8>> {
        let Some((unit, pdu)) = open_rtu(request) else {
            return Vec::new();
        };
        let now = self.now;
        self.devices
            .iter_mut()
            .filter(|device| device.spec().unit == unit)
            .filter_map(|device| device.call(now, pdu))
            .filter(|answer| answer.think <= wait)
            .map(|answer| close_rtu(unit, &answer.pdu))
            .collect()
    }

    fn spoil(&mut self, answers: &[Vec<u8>]) -> Vec<u8> {
        match self.fault {
            Fault::Collision => {
                // Whoever pulls the line low wins; the second begins a character later.
                let mut sum = answers.first().cloned().unwrap_or_default();
                for (index, byte) in answers.get(1).into_iter().flatten().enumerate() {
                    match sum.get_mut(index + 1) {
                        Some(own) => *own &= byte,
                        None => sum.push(*byte),
                    }
                }
                sum
            }
            Fault::NoTermination => {
                let mut bytes = answers.concat();
                for byte in &mut bytes {
                    if self.rng.below(1_000) < 12 {
                        *byte ^= 1 << self.rng.below(8);
                    }
                }
                bytes
            }
            _ => answers.concat(),
        }
    }
}

impl Medium for SimLine {
    async fn open(&mut self, settings: Settings) -> io::Result<()> {
        self.opened.push(settings);
        Ok(())
    }

    async fn ask(
        &mut self,
        request: &[u8],
        wait: Duration,
        _more: retrovolt::bus::direct::ListenOn<'_>,
    ) -> io::Result<Heard> {
        self.requests.push(request.to_vec());
        let mut bytes = Vec::new();
        let mut first = Duration::from_millis(0);
        if self.fault == Fault::Echo {
            bytes.extend_from_slice(request);
        }
        if self.fault == Fault::Swapped {
            if self.rng.below(2) == 0 {
                bytes.push(0x00);
            }
        } else if self.opened.last() == Some(&self.settings) {
            first = self.devices.first().map_or(first, |device| device.spec().think);
            let answers = self.answers(request, wait);
            let spoiled = self.spoil(&answers);
            bytes.extend(spoiled);
        }
        self.pass(if bytes.is_empty() { wait } else { first });
        Ok(Heard {
            first: (!bytes.is_empty()).then_some(first),
            bytes,
        })
    }

    async fn listen(&mut self, wait: Duration) -> io::Result<Vec<u8>> {
        self.pass(wait);
        Ok(match self.fault {
            Fault::SecondMaster if self.opened.last() == Some(&self.settings) => {
                let question = close_rtu(9, &[3, 0, 0, 0, 2]);
                let answer = close_rtu(9, &[3, 4, 1, 2, 3, 4]);
                [question, answer].concat().repeat(3)
            }
            Fault::SecondMaster => vec![0x5A; 40],
            _ => Vec::new(),
        })
    }
}
