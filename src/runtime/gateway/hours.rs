//! The time of the gateway: who tells it, and who is told.

use super::{Gateway, LEDGER_WAIT};
use crate::domain::{Clock, SecurityEvent};
use crate::uplink::ToUplink;
use tokio::time::timeout;

impl Gateway {
    /// Takes the time a CSMS told: clock, ledger and every link are set by it.
    pub async fn take_time(&self, unix_ms: i64) {
        if let Some(epoch) = self.clock.set_csms(unix_ms) {
            self.tell_epoch(epoch).await;
            self.note_security(&SecurityEvent::new("SettingSystemTime", Some("set by the CSMS")));
        }
    }

    /// Looks whether NTP has spoken, and notes the time for the next start.
    pub async fn keep_time(&mut self) {
        let before = self.clock.now().wall.quality;
        self.clock.refresh();
        let now = self.clock.now();
        if now.wall.quality != before
            && let Some(epoch) = self.clock.epoch()
        {
            self.tell_epoch(epoch).await;
        }
        if now.wall.quality.is_trusted()
            && let Ok(Err(error)) = timeout(LEDGER_WAIT, self.store.note_wall(now.wall.unix_ms)).await
        {
            tracing::warn!("the time could not be noted: {error}");
        }
        self.keep_accounts().await;
    }

    async fn tell_epoch(&self, unix_ms_at_zero: i64) {
        let boot = self.clock.now().boot;
        let noted = timeout(LEDGER_WAIT, self.store.set_epoch(boot, unix_ms_at_zero)).await;
        if let Ok(Err(error)) = noted {
            tracing::warn!("the clock's correction could not be noted: {error}");
        }
        for link in self.points.values().flat_map(|point| &point.links) {
            let _ = link.uplink.to.try_send(ToUplink::Epoch {
                boot,
                unix_ms_at_zero,
            });
        }
    }
}
