//! The billing register of an OpenEVSE. The device counts a session in watt-seconds and adds it to its total of
//! watt-hours when the vehicle leaves, but goes on showing the session until the next one begins (OpenEVSE/open_evse
//! `EnergyMeter`): only one of both may be counted.

/// The register.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Register {
    last: Option<(u32, u32)>,
    /// The session is part of the total already.
    closed: bool,
}

impl Register {
    /// Forgets what was read: the device may have been exchanged or restarted.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    /// Takes session (Ws) and total (Wh); gives the register in milliwatt-hours. `connected`: a vehicle is.
    pub(super) fn read(&mut self, session: u32, total: u32, connected: bool) -> i64 {
        self.closed = match self.last {
            None => !connected,
            Some((before, sum)) if total > sum && total - sum == session / 3_600 && session >= before => true,
            Some((before, _)) if session != before => false,
            Some(_) => self.closed,
        };
        self.last = Some((session, total));
        let open = if self.closed { 0 } else { i64::from(session) };
        i64::from(total) * 1_000 + open * 1_000 / 3_600
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_counts_once() {
        let mut register = Register::default();
        assert_eq!(register.read(0, 5_000, false), 5_000_000);
        assert_eq!(register.read(0, 5_000, true), 5_000_000);
        assert_eq!(register.read(7_200, 5_000, true), 5_002_000);
        assert_eq!(register.read(9_000, 5_000, true), 5_002_500);
        assert_eq!(
            register.read(9_000, 5_002, true),
            5_002_000,
            "the vehicle has left, the state is older"
        );
        assert_eq!(register.read(9_000, 5_002, false), 5_002_000);
        assert_eq!(register.read(0, 5_002, true), 5_002_000, "the next session");
        assert_eq!(register.read(3_600, 5_002, true), 5_003_000);
    }

    #[test]
    fn the_first_reading_asks_whether_a_vehicle_is_there() {
        let mut register = Register::default();
        assert_eq!(register.read(36_000, 100, true), 110_000);
        register.forget();
        assert_eq!(register.read(36_000, 110, false), 110_000);
        assert_eq!(
            register.read(36_036, 110, true),
            120_010,
            "it goes on: a new one that has overtaken the old"
        );
    }
}
