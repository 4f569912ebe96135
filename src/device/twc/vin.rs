//! The identification number of a Tesla at the plug: three parts of seven characters, asked for after plugging in.

use crate::domain::Mono;
use std::time::Duration;

/// Parts are asked for again after this, so often.
const RETRY: Duration = Duration::from_secs(60);
const ATTEMPTS: u8 = 5;

/// What is known of the VIN.
#[derive(Clone, Debug, Default)]
pub(super) struct Vin {
    parts: [Option<[u8; 7]>; 3],
    known: Option<String>,
    next: Option<Mono>,
    attempts: u8,
}

impl Vin {
    /// A vehicle was plugged in.
    pub(super) fn plugged(&mut self, now: Mono) {
        *self = Self {
            next: Some(now),
            ..Self::default()
        };
    }

    /// The vehicle is gone.
    pub(super) fn gone(&mut self) {
        *self = Self::default();
    }

    /// The number, once all of it is known.
    pub(super) fn known(&self) -> Option<&str> {
        self.known.as_deref()
    }

    /// When to ask.
    pub(super) fn due(&self) -> Option<Mono> {
        self.next
    }

    /// Which part to ask for.
    pub(super) fn part(&self) -> usize {
        self.parts.iter().position(Option::is_none).unwrap_or(0)
    }

    /// A part came; whether the number is complete by it.
    pub(super) fn heard(&mut self, now: Mono, part: usize, text: [u8; 7]) -> bool {
        if self.next.is_none() {
            return false;
        }
        if let Some(place) = self.parts.get_mut(part) {
            *place = Some(text);
        }
        let [Some(first), Some(second), Some(third)] = self.parts else {
            return false;
        };
        let all: Vec<u8> = first.into_iter().chain(second).chain(third).collect();
        let text: String = all.iter().take(17).copied().map(char::from).collect();
        if text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        {
            self.known = Some(text);
            self.next = None;
            return true;
        }
        self.failed(now);
        false
    }

    /// A part did not come, or the number is not one: all of it again later.
    pub(super) fn failed(&mut self, now: Mono) {
        self.parts = [None; 3];
        self.attempts = self.attempts.saturating_add(1);
        self.next = (self.attempts < ATTEMPTS).then(|| now.plus(RETRY));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_parts_make_a_number() {
        let mut vin = Vin::default();
        assert!(!vin.heard(Mono(0), 0, *b"5YJSA1E"), "nobody asked");
        vin.plugged(Mono(0));
        assert!(!vin.heard(Mono(0), 0, *b"5YJSA1E"));
        assert_eq!(vin.part(), 1);
        assert!(!vin.heard(Mono(0), 1, *b"26HF000"));
        assert!(vin.heard(Mono(0), 2, *b"337\0\0\0\0"));
        assert_eq!((vin.known(), vin.due()), (Some("5YJSA1E26HF000337"), None));
        vin.gone();
        assert_eq!(vin.known(), None);
    }

    #[test]
    fn a_vehicle_that_does_not_tell_is_asked_five_times() {
        let mut vin = Vin::default();
        vin.plugged(Mono(0));
        let mut asked = Vec::new();
        while let Some(at) = vin.due() {
            asked.push(at.0);
            (0..3).for_each(|part| assert!(!vin.heard(at, part, [0; 7])));
        }
        assert_eq!(asked, [0, 60_000, 120_000, 180_000, 240_000]);
        assert_eq!(vin.known(), None);
    }
}
