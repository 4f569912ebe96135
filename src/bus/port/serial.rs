//! Serial ports: opening them, and how fast they are.

use super::Wire;
use crate::device::{Serial, SerialFraming};
use crate::domain::{Link, Parity};
use std::io;
use std::time::Duration;
use tokio_serial::{ClearBuffer, DataBits, SerialPort, SerialPortBuilderExt, SerialStream, StopBits};

/// Above this speed silence is fixed (Modbus over Serial Line V1.02, 2.5.1.1).
const FIXED_ABOVE_BAUD: u32 = 19_200;
/// t3.5 above [`FIXED_ABOVE_BAUD`].
const FIXED_SILENCE: Duration = Duration::from_micros(1750);

/// Longest pause inside a frame that came through a network.
const NETWORK_PAUSE: Duration = Duration::from_millis(100);

/// How long things take on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// One character with start, parity and stop bits.
    pub char: Duration,
    /// t3.5: silence that ends a frame.
    pub silence: Duration,
    /// Silence kept before each request; at least t3.5.
    pub gap: Duration,
}

impl Pace {
    /// The pace of a link; zero for one that is not serial.
    pub(crate) fn of(link: &Link, min_gap: Duration) -> Self {
        let Some(settings) = settings(link) else {
            return Self {
                char: Duration::ZERO,
                silence: Duration::ZERO,
                gap: min_gap,
            };
        };
        let pace = Self::of_serial(&settings);
        Self {
            gap: pace.silence.max(min_gap),
            ..pace
        }
    }

    /// The pace behind a TCP connection: the far line's is not known, and the network cuts frames as it likes.
    pub(crate) fn behind_tcp(min_gap: Duration) -> Self {
        Self {
            char: Duration::ZERO,
            silence: NETWORK_PAUSE,
            gap: min_gap,
        }
    }

    /// The pace of a serial port.
    pub(crate) fn of_serial(settings: &Serial) -> Self {
        let parity = u64::from(settings.parity != Parity::None);
        let bits = 1 + u64::from(settings.data_bits) + u64::from(settings.stop_bits) + parity;
        let baud = u64::from(settings.baud.max(1));
        let char = Duration::from_nanos(bits * 1_000_000_000 / baud);
        // The standard's character has 11 bits whatever the setting; the longer of the two is always silence enough.
        let standard = Duration::from_nanos(11 * 1_000_000_000 * 7 / 2 / baud);
        let silence = if settings.baud > FIXED_ABOVE_BAUD {
            FIXED_SILENCE
        } else {
            standard
        };
        Self {
            char,
            silence,
            gap: silence,
        }
    }

    /// Time on the wire of so many bytes.
    pub(crate) fn bytes(&self, count: usize) -> Duration {
        self.char * u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// The settings of a serial link; `None`: it is another.
pub(crate) fn settings(link: &Link) -> Option<Serial> {
    match link {
        Link::Serial {
            baud,
            parity,
            data_bits,
            stop_bits,
            ..
        } => Some(Serial {
            baud: *baud,
            parity: *parity,
            data_bits: *data_bits,
            stop_bits: *stop_bits,
            framing: SerialFraming::default(),
        }),
        Link::Tcp { .. } | Link::Gpio(_) | Link::Input { .. } => None,
    }
}

/// Opens a serial port by its stable path, for this process alone, without flow control. What came in before, perhaps
/// at another speed, is dropped.
///
/// A pseudo-terminal drops parity and answers ENOTTY to modem lines; neither is asked for, so it opens like a port.
pub(crate) fn open(link: &Link) -> io::Result<Box<dyn Wire>> {
    let (Link::Serial { path, .. }, Some(settings)) = (link, settings(link)) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let port = tokio_serial::new(path.to_string_lossy(), settings.baud)
        .parity(parity(settings.parity))
        .data_bits(data_bits(settings.data_bits))
        .stop_bits(stop_bits(settings.stop_bits))
        .open_native_async()
        .map_err(io::Error::from)?;
    port.clear(ClearBuffer::Input)?;
    Ok(Box::new(port))
}

impl Wire for SerialStream {
    fn unsent(&self) -> io::Result<u32> {
        Ok(self.bytes_to_write()?)
    }

    fn set(&mut self, settings: &Serial) -> io::Result<()> {
        self.set_baud_rate(settings.baud)?;
        self.set_parity(parity(settings.parity))?;
        self.set_data_bits(data_bits(settings.data_bits))?;
        self.set_stop_bits(stop_bits(settings.stop_bits))?;
        Ok(())
    }
}

fn parity(parity: Parity) -> tokio_serial::Parity {
    match parity {
        Parity::None => tokio_serial::Parity::None,
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
    }
}

fn data_bits(count: u8) -> DataBits {
    if count == 7 {
        DataBits::Seven
    } else {
        DataBits::Eight
    }
}

fn stop_bits(count: u8) -> StopBits {
    if count == 2 { StopBits::Two } else { StopBits::One }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(baud: u32, parity: Parity, stop_bits: u8) -> Pace {
        let link = Link::Serial {
            path: "/dev/null".into(),
            baud,
            parity,
            data_bits: 8,
            stop_bits,
            echo: false,
        };
        Pace::of(&link, Duration::ZERO)
    }

    #[test]
    fn silence_is_three_and_a_half_characters_up_to_19200_and_fixed_above() {
        assert_eq!(pace(9600, Parity::Even, 1).silence.as_micros(), 4010);
        assert_eq!(pace(19_200, Parity::None, 1).silence.as_micros(), 2005);
        assert_eq!(pace(38_400, Parity::None, 1).silence.as_micros(), 1750);
        assert_eq!(pace(115_200, Parity::None, 1).gap.as_micros(), 1750);
    }

    #[test]
    fn a_character_counts_its_parity_and_stop_bits() {
        assert_eq!(
            pace(9600, Parity::None, 1).bytes(96),
            Duration::from_nanos(1_041_666 * 96)
        );
        assert_eq!(pace(9600, Parity::Odd, 2).char.as_micros(), 1250);
    }
}
