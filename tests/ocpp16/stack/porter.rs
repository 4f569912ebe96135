//! Who carries files in a story: it does what the story says, and takes its time.

use retrovolt::domain::*;
use std::collections::VecDeque;

pub struct Porter {
    /// Entries of a record that is asked for.
    pub entries: u64,
    /// Milliseconds an upload or download takes.
    pub takes: u64,
    /// How the next attempts and checks go wrong, in order; `None`: well. Beyond them all is well.
    pub goes: VecDeque<Option<TransferError>>,
    /// The certificate leads nowhere.
    pub refuses_certificate: bool,
    /// The signature does not fit.
    pub refuses_signature: bool,
    /// What the installer says, so many milliseconds after it was handed the file or looked at again.
    pub installer: Vec<(u64, InstallerSaid)>,
    under_way: Vec<Carried>,
}

struct Carried {
    at: u64,
    order: u64,
    result: Result<TransferDone, TransferError>,
}

impl Default for Porter {
    fn default() -> Self {
        Self {
            entries: 12,
            takes: 3_000,
            goes: VecDeque::new(),
            refuses_certificate: false,
            refuses_signature: false,
            installer: vec![
                (1_000, InstallerSaid::Installing),
                (20_000, InstallerSaid::Installed),
            ],
            under_way: Vec::new(),
        }
    }
}

impl Porter {
    /// Takes an order; gives what a person would say of it.
    pub fn take(&mut self, now: u64, order: u64, what: TransferOrder) -> String {
        let line = words(&what);
        let result = match &what {
            // Nobody waits for these.
            TransferOrder::Drop { .. } | TransferOrder::Discard { .. } => return line,
            TransferOrder::Collect { .. } => Ok(TransferDone::Collected {
                entries: self.entries,
            }),
            TransferOrder::CheckCertificate { .. } if self.refuses_certificate => {
                Err(TransferError::Certificate("UnknownIssuer".to_owned()))
            }
            TransferOrder::Verify { .. } if self.refuses_signature => {
                Err(TransferError::Signature("it does not fit the file".to_owned()))
            }
            TransferOrder::Upload { .. } | TransferOrder::Download { .. } => {
                let error = self.goes.pop_front().flatten();
                error.map_or(Ok(TransferDone::Done), Err)
            }
            _ => Ok(TransferDone::Done),
        };
        let wait = match &what {
            TransferOrder::Upload { .. } | TransferOrder::Download { .. } => self.takes,
            _ => 0,
        };
        let at = now + wait;
        self.under_way.push(Carried { at, order, result });
        if matches!(what, TransferOrder::HandOver { .. } | TransferOrder::Watch { .. }) {
            for (wait, said) in self.installer.clone() {
                let result = Ok(TransferDone::Installer(said));
                let at = now + wait;
                self.under_way.push(Carried { at, order, result });
            }
        }
        line
    }

    pub fn call_off(&mut self, order: u64) {
        self.under_way.retain(|carried| carried.order != order);
    }

    /// When something will be done.
    pub fn deadline(&self) -> Option<u64> {
        self.under_way.iter().map(|carried| carried.at).min()
    }

    /// What is done by now.
    pub fn done(&mut self, now: u64) -> Option<(u64, Result<TransferDone, TransferError>)> {
        let place = self.under_way.iter().position(|carried| carried.at <= now)?;
        let Carried { order, result, .. } = self.under_way.remove(place);
        Some((order, result))
    }

    /// The process was killed.
    pub fn forget(&mut self) {
        self.under_way.clear();
    }
}

/// Seconds since the begin of the story.
fn since(unix_ms: Option<i64>) -> String {
    unix_ms.map_or("-".to_owned(), |ms| ((ms - super::NOON) / 1_000).to_string())
}

fn words(what: &TransferOrder) -> String {
    match what {
        TransferOrder::Collect {
            name,
            oldest_ms: None,
            latest_ms: None,
            ..
        } => format!("> collect {name}"),
        TransferOrder::Collect {
            name,
            oldest_ms,
            latest_ms,
            ..
        } => {
            let (from, to) = (since(*oldest_ms), since(*latest_ms));
            format!("> collect {name} from {from} to {to}")
        }
        TransferOrder::Upload { name, location } => format!("> upload {name} to {location}"),
        TransferOrder::Drop { name } => format!("> drop {name}"),
        TransferOrder::CheckCertificate { .. } => "> check certificate".to_owned(),
        TransferOrder::Download { job, location } => format!("> download {job} from {location}"),
        TransferOrder::Verify { job, .. } => format!("> verify {job}"),
        TransferOrder::HandOver { job, .. } => format!("> hand over {job}"),
        TransferOrder::Watch { job } => format!("> watch {job}"),
        TransferOrder::Discard { job } => format!("> discard {job}"),
    }
}
