//! Serial ports: opening them, and how fast they are.

use super::Wire;
use crate::domain::{Link, Parity};
use std::io;
use std::time::Duration;
use tokio_serial::{DataBits, SerialPortBuilderExt, StopBits};

/// Above this speed silence is fixed (Modbus over Serial Line V1.02, 2.5.1.1).
const FIXED_ABOVE_BAUD: u32 = 19_200;
/// t3.5 above [`FIXED_ABOVE_BAUD`].
const FIXED_SILENCE: Duration = Duration::from_micros(1750);

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
        let Link::Serial {
            baud,
            parity,
            data_bits,
            stop_bits,
            ..
        } = link
        else {
            return Self {
                char: Duration::ZERO,
                silence: Duration::ZERO,
                gap: min_gap,
            };
        };
        let bits = 1 + u64::from(*data_bits) + u64::from(*stop_bits) + u64::from(*parity != Parity::None);
        let char = Duration::from_nanos(bits * 1_000_000_000 / u64::from((*baud).max(1)));
        // The standard's character has 11 bits whatever the setting; the longer of the two is always silence enough.
        let standard = Duration::from_nanos(11 * 1_000_000_000 * 7 / 2 / u64::from((*baud).max(1)));
        let silence = if *baud > FIXED_ABOVE_BAUD {
            FIXED_SILENCE
        } else {
            standard
        };
        Self {
            char,
            silence,
            gap: silence.max(min_gap),
        }
    }

    /// Time on the wire of so many bytes.
    pub(crate) fn bytes(&self, count: usize) -> Duration {
        self.char * u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// Opens a serial port by its stable path, for this process alone, without flow control.
///
/// A pseudo-terminal drops parity and answers ENOTTY to modem lines; neither is asked for, so it opens like a port.
pub(crate) fn open(link: &Link) -> io::Result<Box<dyn Wire>> {
    let Link::Serial {
        path,
        baud,
        parity,
        data_bits,
        stop_bits,
        ..
    } = link
    else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let parity = match parity {
        Parity::None => tokio_serial::Parity::None,
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
    };
    let port = tokio_serial::new(path.to_string_lossy(), *baud)
        .parity(parity)
        .data_bits(if *data_bits == 7 {
            DataBits::Seven
        } else {
            DataBits::Eight
        })
        .stop_bits(if *stop_bits == 2 {
            StopBits::Two
        } else {
            StopBits::One
        })
        .open_native_async()
        .map_err(io::Error::from)?;
    Ok(Box::new(port))
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
