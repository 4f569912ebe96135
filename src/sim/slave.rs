//! The server side of Modbus, framing and all: RTU frames with their CRC, TCP frames with their header, and the
//! function codes 1 to 6, 15 and 16.
//!
//! This is deliberately a second implementation: the bus has its own, and a mistake shared by both would hide.
//! Source: Modbus Application Protocol V1.1b3 sections 6 and 7, Modbus over Serial Line V1.02 section 2.5.1,
//! Modbus Messaging on TCP/IP V1.0b section 3.1.

use std::time::Duration;

/// Why a request is refused (Modbus Application Protocol V1.1b3, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exception {
    /// Function code not known.
    IllegalFunction = 1,
    /// No such register.
    IllegalAddress = 2,
    /// A value or a count that is not allowed.
    IllegalValue = 3,
    /// The device failed.
    Failure = 4,
    /// The device is busy.
    Busy = 6,
}

/// The four tables of a Modbus device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Read by function 1, written by 5 and 15.
    Coils,
    /// Read by function 2.
    Discrete,
    /// Read by function 3, written by 6 and 16.
    Holding,
    /// Read by function 4.
    Input,
}

impl Table {
    /// The table that a reading function code looks into.
    #[must_use]
    pub fn of_read(fc: u8) -> Option<Self> {
        match fc {
            1 => Some(Self::Coils),
            2 => Some(Self::Discrete),
            3 => Some(Self::Holding),
            4 => Some(Self::Input),
            _ => None,
        }
    }
}

/// A request without its framing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Functions 1 to 4.
    Read {
        /// Function code.
        fc: u8,
        /// Where.
        table: Table,
        /// First address.
        addr: u16,
        /// How many.
        count: u16,
    },
    /// Functions 6 and 16.
    Words {
        /// Function code.
        fc: u8,
        /// First address.
        addr: u16,
        /// The words.
        values: Vec<u16>,
    },
    /// Functions 5 and 15.
    Bits {
        /// Function code.
        fc: u8,
        /// First address.
        addr: u16,
        /// The bits.
        values: Vec<bool>,
    },
}

/// What a device makes of a request that was read and is for it.
pub trait Registers {
    /// Words of a word table; bits as 0 and 1 of a bit table.
    ///
    /// # Errors
    /// The exception to answer with.
    fn read(&mut self, fc: u8, table: Table, addr: u16, count: u16) -> Result<Vec<u16>, Exception>;

    /// Takes words.
    ///
    /// # Errors
    /// The exception to answer with.
    fn write_words(&mut self, fc: u8, addr: u16, values: &[u16]) -> Result<(), Exception>;

    /// Takes bits.
    ///
    /// # Errors
    /// The exception to answer with.
    fn write_bits(&mut self, fc: u8, addr: u16, values: &[bool]) -> Result<(), Exception>;
}

/// An answer as a line or socket is to send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// PDU: function code and data, without unit, CRC or header.
    pub pdu: Vec<u8>,
    /// How long the device thinks before it begins to answer.
    pub think: Duration,
}

/// A set of units behind one line or one socket.
pub trait Units: Send {
    /// Answers a PDU for a unit; `None`: nobody there, or it keeps silent.
    fn call(&mut self, unit: u8, pdu: &[u8]) -> Option<Answer>;

    /// Whether the line is not Modbus: then bytes go to [`Self::hear`] as they come.
    fn is_foreign(&self) -> bool {
        false
    }

    /// What is said to bytes of the master that are followed by silence.
    fn hear(&mut self, _bytes: &[u8]) -> Option<Answer> {
        None
    }

    /// What is said unasked by now.
    fn speak(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

/// Reads a PDU.
///
/// # Errors
/// The exception the standard asks for: unknown function, bad count, bad length.
pub fn parse(pdu: &[u8]) -> Result<Call, Exception> {
    let fc = *pdu.first().ok_or(Exception::IllegalFunction)?;
    let addr = word(pdu, 1);
    let second = word(pdu, 3);
    let (Some(addr), Some(second)) = (addr, second) else {
        return Err(if matches!(fc, 1..=6 | 15 | 16) {
            Exception::IllegalValue
        } else {
            Exception::IllegalFunction
        });
    };
    let body = pdu.get(6..).unwrap_or_default();
    match fc {
        1..=4 => {
            let table = Table::of_read(fc).ok_or(Exception::IllegalFunction)?;
            let most = if fc <= 2 { 2000 } else { 125 };
            in_range(second, most)?;
            Ok(Call::Read {
                fc,
                table,
                addr,
                count: second,
            })
        }
        5 => match second {
            0xFF00 | 0 => Ok(Call::Bits {
                fc,
                addr,
                values: vec![second != 0],
            }),
            _ => Err(Exception::IllegalValue),
        },
        6 => Ok(Call::Words {
            fc,
            addr,
            values: vec![second],
        }),
        15 => {
            in_range(second, 1968)?;
            let count = usize::from(second);
            exact(pdu, body, count.div_ceil(8))?;
            let values = (0..count).map(|i| body[i / 8] >> (i % 8) & 1 == 1).collect();
            Ok(Call::Bits { fc, addr, values })
        }
        16 => {
            in_range(second, 123)?;
            exact(pdu, body, usize::from(second) * 2)?;
            let values = body
                .chunks_exact(2)
                .map(|w| u16::from_be_bytes([w[0], w[1]]))
                .collect();
            Ok(Call::Words { fc, addr, values })
        }
        _ => Err(Exception::IllegalFunction),
    }
}

fn in_range(count: u16, most: u16) -> Result<(), Exception> {
    if count == 0 || count > most {
        Err(Exception::IllegalValue)
    } else {
        Ok(())
    }
}

fn exact(pdu: &[u8], body: &[u8], bytes: usize) -> Result<(), Exception> {
    if pdu.get(5).copied().map(usize::from) == Some(bytes) && body.len() == bytes {
        Ok(())
    } else {
        Err(Exception::IllegalValue)
    }
}

/// Answers a PDU from a register map: the response or the exception, as PDU.
pub fn respond(pdu: &[u8], registers: &mut dyn Registers) -> Vec<u8> {
    match parse(pdu).and_then(|call| act(&call, registers)) {
        Ok(response) => response,
        Err(exception) => vec![pdu.first().copied().unwrap_or(0) | 0x80, exception as u8],
    }
}

fn act(call: &Call, registers: &mut dyn Registers) -> Result<Vec<u8>, Exception> {
    match call {
        Call::Read {
            fc,
            table,
            addr,
            count,
        } => {
            if u32::from(*addr) + u32::from(*count) > 0x1_0000 {
                return Err(Exception::IllegalAddress);
            }
            let values = registers.read(*fc, *table, *addr, *count)?;
            let mut data = Vec::with_capacity(values.len() * 2);
            if matches!(table, Table::Coils | Table::Discrete) {
                data.resize(values.len().div_ceil(8), 0);
                for (i, value) in values.iter().enumerate() {
                    data[i / 8] |= u8::from(*value != 0) << (i % 8);
                }
            } else {
                data.extend(values.iter().flat_map(|v| v.to_be_bytes()));
            }
            let mut out = vec![*fc, u8::try_from(data.len()).map_err(|_| Exception::Failure)?];
            out.extend(data);
            Ok(out)
        }
        Call::Words { fc, addr, values } => {
            registers.write_words(*fc, *addr, values)?;
            let second = if *fc == 6 { values[0] } else { length(values.len()) };
            Ok(echo(*fc, *addr, second))
        }
        Call::Bits { fc, addr, values } => {
            registers.write_bits(*fc, *addr, values)?;
            let second = match (*fc, values[0]) {
                (5, true) => 0xFF00,
                (5, false) => 0,
                _ => length(values.len()),
            };
            Ok(echo(*fc, *addr, second))
        }
    }
}

fn length(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

fn echo(fc: u8, addr: u16, second: u16) -> Vec<u8> {
    let (a, s) = (addr.to_be_bytes(), second.to_be_bytes());
    vec![fc, a[0], a[1], s[0], s[1]]
}

/// CRC-16 of Modbus over Serial Line V1.02 section 6.2.2, bit by bit.
#[must_use]
pub fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |c, _| {
            if c & 1 == 1 { c >> 1 ^ 0xA001 } else { c >> 1 }
        })
    })
}

/// Unit and PDU of an RTU frame whose CRC is right.
#[must_use]
pub fn open_rtu(frame: &[u8]) -> Option<(u8, &[u8])> {
    let (body, check) = frame.split_at_checked(frame.len().checked_sub(2)?)?;
    let good = body.len() >= 2 && crc(body).to_le_bytes() == [check[0], check[1]];
    good.then(|| (body[0], &body[1..]))
}

/// Unit, PDU and CRC in one frame.
#[must_use]
pub fn close_rtu(unit: u8, pdu: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(pdu.len() + 3);
    frame.push(unit);
    frame.extend_from_slice(pdu);
    let check = crc(&frame).to_le_bytes();
    frame.extend_from_slice(&check);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ramp;

    impl Registers for Ramp {
        fn read(&mut self, _: u8, _: Table, addr: u16, count: u16) -> Result<Vec<u16>, Exception> {
            if addr >= 1000 {
                Err(Exception::IllegalAddress)
            } else {
                Ok((addr..addr + count).collect())
            }
        }
        fn write_words(&mut self, _: u8, addr: u16, _: &[u16]) -> Result<(), Exception> {
            if addr >= 1000 {
                Err(Exception::IllegalAddress)
            } else {
                Ok(())
            }
        }
        fn write_bits(&mut self, _: u8, _: u16, _: &[bool]) -> Result<(), Exception> {
            Err(Exception::Busy)
        }
    }

    #[test]
    fn frames_of_the_standard_are_read_and_answered() {
        // Worked example of section 6.2.2's table: 02 07 has the check value 0x1241.
        assert_eq!(crc(&[0x02, 0x07]), 0x1241);
        let request = close_rtu(0x11, &[3, 0, 0x6B, 0, 3]);
        assert_eq!(request, [0x11, 3, 0, 0x6B, 0, 3, 0x76, 0x87]);
        let (unit, pdu) = open_rtu(&request).expect("a good frame");
        assert_eq!(unit, 0x11);
        assert_eq!(respond(pdu, &mut Ramp), [3, 6, 0, 0x6B, 0, 0x6C, 0, 0x6D]);
        assert_eq!(respond(&[6, 0, 1, 0, 3], &mut Ramp), [6, 0, 1, 0, 3]);
        assert_eq!(
            respond(&[16, 0, 1, 0, 2, 4, 0, 10, 1, 2], &mut Ramp),
            [16, 0, 1, 0, 2]
        );
        assert_eq!(respond(&[1, 0, 0, 0, 10], &mut Ramp), [1, 2, 0b1111_1110, 0b11]);
    }

    #[test]
    fn what_is_wrong_is_refused_with_the_right_exception() {
        let cases: [(&[u8], u8); 8] = [
            (&[3, 0, 0, 0, 0], 3),
            (&[3, 0, 0, 0, 126], 3),
            (&[3, 0xFF, 0xFF, 0, 2], 2),
            (&[3, 0x10, 0, 0, 2], 2),
            (&[5, 0, 1, 0x12, 0], 3),
            (&[5, 0, 1, 0xFF, 0], 6),
            (&[16, 0, 1, 0, 2, 3, 0, 10, 1], 3),
            (&[43, 14, 1, 0], 1),
        ];
        for (pdu, exception) in cases {
            assert_eq!(respond(pdu, &mut Ramp), [pdu[0] | 0x80, exception], "{pdu:?}");
        }
    }

    #[test]
    fn a_damaged_frame_is_nobodys() {
        let mut frame = close_rtu(1, &[4, 0, 0, 0, 1]);
        for at in 0..frame.len() {
            frame[at] ^= 0x10;
            assert_eq!(open_rtu(&frame), None);
            frame[at] ^= 0x10;
        }
        assert_eq!(open_rtu(&frame[..1]), None);
        assert_eq!(open_rtu(&[]), None);
    }
}
