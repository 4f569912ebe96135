//! What a station does, as lines a person can read.

use crate::domain::*;

pub(super) fn drive_text(command: DeviceCommand) -> String {
    match command {
        DeviceCommand::Limit(amps) => format!("limit {amps}"),
        DeviceCommand::Enable(true) => "enable".to_owned(),
        DeviceCommand::Enable(false) => "disable".to_owned(),
        DeviceCommand::Phases(phases) => format!("{phases} phases"),
        DeviceCommand::Unlock => "unlock".to_owned(),
        DeviceCommand::ArmWatchdog => "arm".to_owned(),
        DeviceCommand::SafeState => "safe".to_owned(),
    }
}

pub(super) fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Simple(Accepted::Yes) => "yes".to_owned(),
        Outcome::Simple(Accepted::No(why)) => format!("no: {why}"),
        Outcome::Availability(a) => format!("{a:?}"),
        Outcome::Reset(r) => format!("{r:?}"),
        Outcome::Unlock(u) => format!("{u:?}"),
        Outcome::List(_)
        | Outcome::ListVersion(_)
        | Outcome::Reserve(_)
        | Outcome::Log(_)
        | Outcome::Firmware(_) => {
            format!("{outcome:?}")
        }
        Outcome::Sampled(told) if told.is_empty() => "no: nothing was measured yet".to_owned(),
        Outcome::Sampled(_) => "yes".to_owned(),
        Outcome::Composite(_) => "composite".to_owned(),
    }
}

pub(super) fn row_text(event: &Event) -> String {
    match event {
        Event::Began(b) => {
            let token = b.token.as_ref().map_or("-", |t| &t.text);
            let offline = if b.offline { " offline" } else { "" };
            format!(
                "began {} {token} at {} by {:?}{offline}",
                b.evse, b.meter, b.trigger
            )
        }
        Event::Sampled {
            tx,
            tx_seq,
            evse,
            context,
            points,
            ..
        } => {
            let evse = evse.map_or(0, |e| e.0);
            let tx = if tx.is_some() {
                format!(" #{tx_seq}")
            } else {
                String::new()
            };
            format!("sample {evse}{tx} {context:?} of {}", points.len())
        }
        Event::Changed {
            evse,
            tx_seq,
            trigger,
            charging_state,
            ..
        } => {
            format!("changed {evse} #{tx_seq} {trigger:?} {charging_state:?}")
        }
        Event::Ended(e) => {
            format!("ended {} #{} {:?} with {}", e.evse, e.tx_seq, e.reason, e.energy)
        }
        Event::Security(s) => format!("security {}", s.name),
        Event::Log(notice) => format!("log {:?}", notice.status),
        Event::Firmware(notice) => format!("firmware {:?}", notice.status),
    }
}
