//! What the firmware of a Raspberry Pi tells of its supply and its heat.

/// Below `/sys`: where the firmware tells it.
pub const THROTTLED_FILE: &str = "devices/platform/soc/soc:firmware/get_throttled";

/// The firmware's flags: bits 0 to 3 tell of now, 16 to 19 of any time since power-on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled(pub u32);

impl Throttled {
    /// Reads them as the kernel writes them: hexadecimal, with or without `0x`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        u32::from_str_radix(text.trim().trim_start_matches("0x"), 16)
            .ok()
            .map(Self)
    }

    /// Whether the board is slowed down at this moment, for low voltage, heat or a limit of its own.
    #[must_use]
    pub fn is_now(self) -> bool {
        self.0 & 0xF != 0
    }

    /// Whether the supply is too low at this moment.
    #[must_use]
    pub fn is_under_voltage(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether the supply has been too low since power-on.
    #[must_use]
    pub fn was_under_voltage(self) -> bool {
        self.0 & (1 << 16) != 0
    }

    /// Whether the board is or has been slowed down for another reason.
    #[must_use]
    pub fn is_or_was_slow(self) -> bool {
        self.0 & 0x000E_000E != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_has_its_meaning() {
        let of = |text: &str| {
            let flags = Throttled::parse(text).unwrap();
            (
                flags.is_now(),
                flags.is_under_voltage(),
                flags.was_under_voltage(),
                flags.is_or_was_slow(),
            )
        };
        assert_eq!(of("0\n"), (false, false, false, false));
        assert_eq!(of("50000\n"), (false, false, true, true));
        assert_eq!(of("0x50005"), (true, true, true, true));
        assert_eq!(of("80000"), (false, false, false, true));
        assert_eq!(of("1"), (true, true, false, false));
        assert_eq!(Throttled::parse("no"), None);
    }
}
