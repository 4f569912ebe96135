//! Requests and replies of a Modbus device, without framing.

/// Function that reads (Modbus Application Protocol V1.1b3, 6.1 to 6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadFc {
    /// 1.
    Coils,
    /// 2.
    DiscreteInputs,
    /// 3.
    HoldingRegisters,
    /// 4.
    InputRegisters,
}

impl ReadFc {
    /// The function code, 1 to 4.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Coils => 1,
            Self::DiscreteInputs => 2,
            Self::HoldingRegisters => 3,
            Self::InputRegisters => 4,
        }
    }

    /// The reading function with this code.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Coils),
            2 => Some(Self::DiscreteInputs),
            3 => Some(Self::HoldingRegisters),
            4 => Some(Self::InputRegisters),
            _ => None,
        }
    }

    /// Whether single bits are read instead of 16-bit registers.
    #[must_use]
    pub const fn is_bits(self) -> bool {
        matches!(self, Self::Coils | Self::DiscreteInputs)
    }
}

/// One request to one unit. Addresses are 0-based, as on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pdu {
    /// Functions 1 to 4.
    Read {
        /// Which function.
        fc: ReadFc,
        /// First address.
        addr: u16,
        /// Registers (1..=125) or bits (1..=2000).
        count: u16,
    },
    /// Function 6.
    WriteSingle {
        /// Address.
        addr: u16,
        /// Value.
        value: u16,
    },
    /// Function 16.
    WriteMulti {
        /// First address.
        addr: u16,
        /// Values, 1..=123.
        values: Vec<u16>,
    },
    /// Function 5.
    WriteCoil {
        /// Address.
        addr: u16,
        /// On or off.
        on: bool,
    },
    /// Function 15.
    WriteCoils {
        /// First address.
        addr: u16,
        /// Values, 1..=1968.
        values: Vec<bool>,
    },
}

impl Pdu {
    /// The function code.
    #[must_use]
    pub const fn function(&self) -> u8 {
        match self {
            Self::Read { fc, .. } => fc.code(),
            Self::WriteCoil { .. } => 5,
            Self::WriteSingle { .. } => 6,
            Self::WriteCoils { .. } => 15,
            Self::WriteMulti { .. } => 16,
        }
    }

    /// Whether it changes the device.
    #[must_use]
    pub const fn is_write(&self) -> bool {
        !matches!(self, Self::Read { .. })
    }
}

/// What a device answered, already matched to its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Functions 3 and 4.
    Registers(Vec<u16>),
    /// Functions 1 and 2.
    Bits(Vec<bool>),
    /// A write was confirmed.
    Written,
}
