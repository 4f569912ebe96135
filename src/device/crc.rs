//! CRC-16 with reflected polynomial, in the parameters of the serial protocols.

/// Parameters of a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crc16 {
    poly: u16,
    init: u16,
    xor: u16,
}

/// CRC-16/X-25: check value 0x906E.
pub(super) const X25: Crc16 = Crc16 {
    poly: 0x8408,
    init: 0xFFFF,
    xor: 0xFFFF,
};
/// CRC-16/KERMIT: check value 0x2189.
pub(super) const KERMIT: Crc16 = Crc16 {
    poly: 0x8408,
    init: 0,
    xor: 0,
};
/// CRC-16/ARC: check value 0xBB3D.
pub(super) const ARC: Crc16 = Crc16 {
    poly: 0xA001,
    init: 0,
    xor: 0,
};

impl Crc16 {
    /// The checksum of bytes.
    pub fn of(self, bytes: &[u8]) -> u16 {
        let step = |crc: u16, _| {
            if crc & 1 == 1 {
                (crc >> 1) ^ self.poly
            } else {
                crc >> 1
            }
        };
        let byte = |crc: u16, byte: &u8| (0..8).fold(crc ^ u16::from(*byte), step);
        bytes.iter().fold(self.init, byte) ^ self.xor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_values_are_those_of_the_catalogue() {
        let check = |crc: Crc16| crc.of(b"123456789");
        assert_eq!([check(X25), check(KERMIT), check(ARC)], [0x906E, 0x2189, 0xBB3D]);
    }
}
