//! What is known of the primary host (5.1, 5.4.3): it says so on `spBv1.0/STATE/HOST_ID`, retained, and its will says
//! the opposite with the timestamp of its connection.
//!
//! * `online` counts if its timestamp is not older than the last one seen;
//! * `offline` counts if its timestamp is not older than that of the last `online`: an older one is the will of a
//!   connection that the host has replaced long since.
//!
//! A host has a connection of its own to each server, so the timestamps of one server say nothing at another.

use serde::Deserialize;

/// Longest STATE that is read.
const LONGEST: usize = 1024;

/// A STATE message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct State {
    /// The host is there.
    pub online: bool,
    /// Unix milliseconds of its connection.
    pub timestamp: i64,
}

impl State {
    /// Reads a message; `None`: it is none.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        (bytes.len() <= LONGEST)
            .then(|| serde_json::from_slice(bytes).ok())
            .flatten()
    }
}

/// What one server has told of the host.
#[derive(Clone, Copy, Debug, Default)]
pub struct Host {
    seen: Option<i64>,
    online_at: Option<i64>,
}

impl Host {
    /// Hears a STATE; returns whether it counts.
    pub fn hear(&mut self, state: State) -> bool {
        let last = if state.online { self.seen } else { self.online_at };
        if last.is_some_and(|last| state.timestamp < last) {
            return false;
        }
        self.seen = self.seen.max(Some(state.timestamp));
        if state.online {
            self.online_at = Some(state.timestamp);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(timestamp: i64) -> State {
        State {
            online: true,
            timestamp,
        }
    }

    fn off(timestamp: i64) -> State {
        State {
            online: false,
            timestamp,
        }
    }

    #[test]
    fn an_old_word_of_the_host_does_not_count() {
        let mut host = Host::default();
        assert!(host.hear(on(100)));
        assert!(!host.hear(off(99)), "the will of a connection before");
        assert!(host.hear(off(100)), "the will of this connection");
        assert!(host.hear(on(100)), "retained, heard again");
        assert!(host.hear(on(200)));
        assert!(!host.hear(on(150)));
        assert!(!host.hear(off(100)));
        assert!(host.hear(off(200)));
    }

    #[test]
    fn what_is_no_state_is_not_heard() {
        assert_eq!(State::read(br#"{"online":true,"timestamp":5}"#), Some(on(5)));
        for bad in [
            "",
            "ONLINE",
            "{}",
            r#"{"online":1,"timestamp":5}"#,
            r#"{"online":true,"timestamp":"5"}"#,
        ] {
            assert_eq!(State::read(bad.as_bytes()), None, "{bad}");
        }
        let long = format!(r#"{{"online":true,"timestamp":5{}}}"#, " ".repeat(LONGEST));
        assert_eq!(State::read(long.as_bytes()), None);
    }
}
