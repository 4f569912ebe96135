//! Credentials of the link: what the keeper answered goes to the CSMS, a change is followed by a new connection, and
//! a client certificate is renewed in time (1.6 security whitepaper ed. 3, A01 to A03 and A05).

use super::api::Effect;
use super::dialect::Triggered;
use super::frame;
use super::machine::Machine;
use crate::domain::{CommandId, MessageResult, Mono, Now, VaultAnswer};
use std::time::Duration;

/// A CALL on the way gets this long to be answered before the connection is given up.
const LEAVE_WAIT: Duration = Duration::from_secs(5);

/// A certificate is renewed this long before it expires (A03.FR.02: one month).
const RENEW_AHEAD_MS: i64 = 30 * 24 * 3_600 * 1_000;

/// First wait before a renewal that came to nothing is tried again; doubles up to the last.
const RETRY_FIRST: Duration = Duration::from_secs(3_600);
const RETRY_LAST: Duration = Duration::from_secs(24 * 3_600);

/// The renewal of the client certificate.
#[derive(Debug, Default)]
pub(super) struct Renewal {
    expires_ms: Option<i64>,
    /// Requests made for this certificate so far, and when the next is due.
    tries: u32,
    not_before: Mono,
    /// The keeper is at work on a request of ours.
    asked: Option<CommandId>,
}

impl Renewal {
    /// A certificate is in use; another one begins anew.
    pub(super) fn learn(&mut self, expires_ms: Option<i64>) {
        if self.expires_ms != expires_ms {
            *self = Self {
                expires_ms,
                ..Self::default()
            };
        }
    }

    pub(super) fn disconnected(&mut self) {
        self.asked = None;
    }

    fn is_due(&self, now: Now) -> bool {
        self.asked.is_none()
            && now.wall.quality.is_trusted()
            && self.not_before <= now.mono
            && self
                .expires_ms
                .is_some_and(|at| at.saturating_sub(RENEW_AHEAD_MS) <= now.wall.unix_ms)
    }

    fn begun(&mut self, now: Mono, id: CommandId) {
        let wait = RETRY_FIRST.saturating_mul(2_u32.saturating_pow(self.tries));
        self.tries = self.tries.saturating_add(1);
        self.not_before = now.plus(wait.min(RETRY_LAST));
        self.asked = Some(id);
    }
}

impl Machine {
    /// Asks for a new client certificate when the old one ends soon.
    pub(super) fn renew(&mut self, now: Now) {
        if !self.online || self.read_only || !self.renewal.is_due(now) {
            return;
        }
        if let Some(request) = self.dialect.certificate_request() {
            let id = self.next_command_id();
            self.renewal.begun(now.mono, id);
            self.out.push_back(Effect::Vault { id, request });
        }
    }

    /// The keeper of the credentials has answered.
    pub(super) fn vault_answered(&mut self, now: Now, id: CommandId, answer: &VaultAnswer) {
        let renewal = self.renewal.asked.take_if(|asked| *asked == id).is_some();
        let asked = self.asked.remove(&id);
        if !self.connected || self.closing {
            return;
        }
        if let Some(asked) = &asked {
            match self.dialect.vault_answer(&asked.action, answer) {
                Ok(result) => {
                    let text = frame::result_text(&asked.message, &result, self.dialect.version());
                    self.tell_answered(&asked.action, MessageResult::Ok);
                    self.out.push_back(Effect::Send(text));
                }
                Err(error) => self.send_error(&asked.message, &asked.action, &error),
            }
        }
        match answer {
            VaultAnswer::Done { reconnect: true } => {
                self.leave_by.get_or_insert(now.mono.plus(LEAVE_WAIT));
            }
            VaultAnswer::Request(csr) if renewal || asked.is_some() => {
                if let Some(call) = self.dialect.sign_certificate(csr) {
                    self.trigger(now, Triggered::Call(call));
                }
            }
            _ => {}
        }
    }

    /// Closes for a connection with new credentials, once nothing of ours waits for an answer. Nothing new is said
    /// meanwhile. Returns whether that is so.
    pub(super) fn leave_when_due(&mut self, now: Now) -> bool {
        let Some(by) = self.leave_by else { return false };
        if self.engine.outstanding().is_none() || by <= now.mono {
            self.close(1000, "the credentials have changed");
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ClockQuality, Wall};

    const DAY_MS: i64 = 24 * 3_600 * 1_000;
    const END: i64 = 1_800_000_000_000;

    fn at(mono_s: u64, unix_ms: i64, quality: ClockQuality) -> Now {
        Now {
            mono: Mono(mono_s * 1_000),
            wall: Wall { unix_ms, quality },
            ..Now::default()
        }
    }

    #[test]
    fn a_certificate_is_renewed_a_month_before_its_end_with_growing_waits() {
        let mut renewal = Renewal::default();
        let due =
            |renewal: &Renewal, mono_s| renewal.is_due(at(mono_s, END - 29 * DAY_MS, ClockQuality::Ntp));
        assert!(!due(&renewal, 0), "there is none");
        renewal.learn(Some(END));
        assert!(!renewal.is_due(at(0, END - 31 * DAY_MS, ClockQuality::Ntp)));
        assert!(
            !renewal.is_due(at(0, END, ClockQuality::Restored)),
            "nobody knows the time"
        );
        let (mut mono_s, mut waits) = (0, Vec::new());
        for number in 1..=7 {
            assert!(due(&renewal, mono_s));
            renewal.begun(Mono(mono_s * 1_000), CommandId(number));
            renewal.asked = None;
            let wait = renewal.not_before.since(Mono(mono_s * 1_000)).as_secs();
            assert!(!due(&renewal, mono_s + wait - 1));
            waits.push(wait / 3_600);
            mono_s += wait;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 24, 24]);
        renewal.learn(Some(END + 365 * DAY_MS));
        assert!(!due(&renewal, mono_s), "the new one lasts");
        assert_eq!(renewal.tries, 0);
    }
}
