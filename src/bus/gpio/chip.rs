//! Lines of a GPIO chip, through the kernel's character device (uAPI v2, Linux 5.10 and later).

use crate::device::Edge;
use crate::domain::{Bias, GpioDevice, GpioLine, GpioLink, GpioSignal, LineName};
use gpiocdev::chip::Chip;
use gpiocdev::line::{self, EdgeDetection, EdgeKind, Value, Values};
use gpiocdev::request::{Config, Request};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;

/// Who holds the lines, as `gpioinfo` shows it.
const CONSUMER: &str = "retrovolt";
/// Edges the kernel keeps for one device: half a minute of the fastest S0 output, with bounce.
const KERNEL_EDGES: u32 = 1024;
/// Edges read at once.
const BATCH: usize = 64;

/// Why lines cannot be had, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChipError {
    /// No such chip.
    #[error("there is no GPIO chip {wanted:?}; there is {there}")]
    NoChip {
        /// What was looked for.
        wanted: String,
        /// What was found.
        there: String,
    },
    /// Several with this label.
    #[error("{wanted:?} is the label of several GPIO chips: {there}; write the path of one")]
    ManyChips {
        /// What was looked for.
        wanted: String,
        /// Their paths.
        there: String,
    },
    /// No such line.
    #[error("the chip has no line {0}")]
    NoLine(LineName),
    /// Somebody else has it.
    #[error("line {line} is in use by {by:?}")]
    Busy {
        /// Which.
        line: LineName,
        /// By whom.
        by: String,
    },
    /// The kernel refused.
    #[error("{0}")]
    Kernel(#[from] gpiocdev::Error),
    /// The runtime refused.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Finds a chip by its label, name or path. Its number may change from start to start, its label does not.
pub(super) fn find(wanted: &str) -> Result<PathBuf, ChipError> {
    if wanted.starts_with('/') {
        return Ok(Chip::from_path(wanted)?.path().to_owned());
    }
    let (mut there, mut labelled) = (Vec::new(), Vec::new());
    for path in gpiocdev::chip::chips().unwrap_or_default() {
        let Ok(info) = Chip::from_path(&path).and_then(|chip| chip.info()) else {
            continue;
        };
        if info.name == wanted {
            return Ok(path);
        }
        there.push(format!("{} ({})", info.label, info.name));
        if info.label == wanted {
            labelled.push(path);
        }
    }
    if labelled.len() > 1 {
        let paths: Vec<String> = labelled.iter().map(|path| path.display().to_string()).collect();
        return Err(ChipError::ManyChips {
            wanted: wanted.to_owned(),
            there: paths.join(", "),
        });
    }
    if let Some(path) = labelled.pop() {
        return Ok(path);
    }
    Err(ChipError::NoChip {
        wanted: wanted.to_owned(),
        there: if there.is_empty() {
            "none, or none that may be opened".to_owned()
        } else {
            there.join(", ")
        },
    })
}

/// Edges by what their lines mean.
pub(super) type Edges = Vec<(GpioSignal, Edge)>;

/// The lines of one device, requested.
pub(super) struct Lines {
    fd: AsyncFd<Request>,
    offsets: BTreeMap<GpioSignal, u32>,
}

impl Lines {
    /// Takes all lines of a device: the relay as a released output, all else as inputs with both edges.
    pub(super) fn take(chip: &Path, device: &GpioDevice) -> Result<Self, ChipError> {
        let found = Chip::from_path(chip)?;
        let mut config = Config::default();
        let mut offsets = BTreeMap::new();
        for (signal, line) in &device.lines {
            let offset = locate(&found, &line.at)?;
            offsets.insert(*signal, offset);
            configure(&mut config, *signal, offset, line);
        }
        let request = Request::from_config(config)
            .on_chip(chip)
            .with_consumer(CONSUMER)
            .with_kernel_event_buffer_size(KERNEL_EDGES)
            .request()?;
        #[expect(
            deprecated,
            reason = "tokio's replacement is unsafe; one descriptor that stays open is what a `Request` gives"
        )]
        let fd = AsyncFd::new(request)?;
        Ok(Self { fd, offsets })
    }

    /// Levels of the inputs, `true` is active.
    pub(super) fn levels(&self) -> Result<BTreeMap<GpioSignal, bool>, ChipError> {
        let inputs = || {
            self.offsets
                .iter()
                .filter(|(signal, _)| **signal != GpioSignal::Relay)
        };
        let mut values = Values::default();
        for (_, offset) in inputs() {
            values.set(*offset, Value::Inactive);
        }
        if !values.is_empty() {
            self.fd.get_ref().values(&mut values)?;
        }
        Ok(inputs()
            .map(|(signal, offset)| (*signal, values.get(*offset) == Some(Value::Active)))
            .collect())
    }

    /// Whether the chip is still there; asks the kernel even where there is no input.
    pub(super) fn check(&self) -> Result<(), ChipError> {
        let mut values: Values = Values::default();
        for offset in self.offsets.values() {
            values.set(*offset, Value::Inactive);
        }
        Ok(self.fd.get_ref().values(&mut values)?)
    }

    /// Energises or releases the relay.
    pub(super) fn relay(&self, closed: bool) -> Result<(), ChipError> {
        match self.offsets.get(&GpioSignal::Relay) {
            Some(offset) => Ok(self.fd.get_ref().set_value(*offset, Value::from(closed))?),
            None => Ok(()),
        }
    }

    /// Waits for edges and takes them, in order; an error means that the chip is gone.
    pub(super) fn poll_edges(&self, context: &mut Context<'_>) -> Poll<Result<Edges, ChipError>> {
        loop {
            let mut ready = ready!(self.fd.poll_read_ready(context))?;
            let edges = self.edges()?;
            if !edges.is_empty() {
                return Poll::Ready(Ok(edges));
            }
            ready.clear_ready();
        }
    }

    /// Takes edges that are there already, some dozens at most.
    pub(super) fn edges(&self) -> Result<Edges, ChipError> {
        let request = self.fd.get_ref();
        if !request.has_edge_event()? {
            return Ok(Vec::new());
        }
        let size = request.edge_event_u64_size();
        let mut buffer = vec![0_u64; size * BATCH];
        let read = request.read_edge_events_into_slice(&mut buffer)?;
        let mut edges = Vec::with_capacity(read / size);
        for raw in buffer[..read].chunks_exact(size) {
            let event = request.edge_event_from_slice(raw)?;
            let signal = self.offsets.iter().find(|(_, offset)| **offset == event.offset);
            edges.extend(signal.map(|(signal, _)| (*signal, edge(&event))));
        }
        Ok(edges)
    }
}

fn edge(event: &line::EdgeEvent) -> Edge {
    Edge {
        // The kernel tells edges of the logical level: an active-low line rises when it goes low.
        active: event.kind == EdgeKind::Rising,
        at_ns: event.timestamp_ns,
        seqno: event.line_seqno,
    }
}

fn locate(chip: &Chip, name: &LineName) -> Result<u32, ChipError> {
    let missing = || ChipError::NoLine(name.clone());
    let info = match name {
        LineName::Name(text) => chip.find_line_info(text).ok_or_else(missing)?,
        LineName::Offset(offset) => {
            if *offset >= chip.info()?.num_lines {
                return Err(missing());
            }
            chip.line_info(*offset)?
        }
    };
    if info.used {
        return Err(ChipError::Busy {
            line: name.clone(),
            by: info.consumer,
        });
    }
    Ok(info.offset)
}

fn configure(config: &mut Config, signal: GpioSignal, offset: u32, line: &GpioLine) {
    config.with_line(offset);
    if signal == GpioSignal::Relay {
        config.as_output(Value::Inactive);
    } else {
        config.as_input().with_edge_detection(EdgeDetection::BothEdges);
        if !line.debounce.is_zero() {
            config.with_debounce_period(line.debounce);
        }
    }
    if line.active_low {
        config.as_active_low();
    } else {
        config.as_active_high();
    }
    match line.bias {
        Bias::AsIs => {}
        Bias::Disabled => {
            config.with_bias(line::Bias::Disabled);
        }
        Bias::PullUp => {
            config.with_bias(line::Bias::PullUp);
        }
        Bias::PullDown => {
            config.with_bias(line::Bias::PullDown);
        }
    }
}

/// How the bus is called in messages.
pub(super) fn name(link: &GpioLink) -> String {
    format!("GPIO chip {}", link.chip)
}
