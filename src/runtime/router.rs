//! From buses to stations: a device may serve several EVSEs, in several roles.

use super::conductor::ToStation;
use super::counts::Counts;
use super::devices::Devices;
use super::vitals::{Marker, TURN};
use crate::bus::FromBus;
use crate::domain::{CpSetup, DeviceId, EvseId, Observation};
use crate::station::{Input, Role};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::watch;
use tokio::time::timeout;

/// Where what a device says is to go.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// To whom it is a charger, meter or reader.
    devices: BTreeMap<DeviceId, Vec<Route>>,
    /// Who heeds its contacts.
    contacts: BTreeMap<DeviceId, Vec<mpsc::Sender<ToStation>>>,
}

impl Routes {
    fn of(&self, device: &DeviceId) -> &[Route] {
        self.devices.get(device).map_or(&[], Vec::as_slice)
    }

    fn heeding(&self, device: &DeviceId) -> &[mpsc::Sender<ToStation>] {
        self.contacts.get(device).map_or(&[], Vec::as_slice)
    }
}

/// One place a device's words go to.
#[derive(Clone, Debug)]
pub struct Route {
    /// The station.
    pub to: mpsc::Sender<ToStation>,
    /// Its EVSE.
    pub evse: EvseId,
    /// What the device is to it.
    pub role: Role,
    /// The operator signed for a charger without a safe fallback.
    pub signed: bool,
}

/// Adds the routes of one charge point.
pub fn add_routes(
    routes: &mut Routes,
    setup: &CpSetup,
    signed: &BTreeSet<DeviceId>,
    to: &mpsc::Sender<ToStation>,
) {
    for evse in &setup.evses {
        let mut add = |device: &DeviceId, role| {
            let route = Route {
                to: to.clone(),
                evse: evse.id,
                role,
                signed: signed.contains(device),
            };
            routes.devices.entry(device.clone()).or_default().push(route);
        };
        add(&evse.charger, Role::Charger);
        if let Some(meter) = evse.meter.as_ref().filter(|m| **m != evse.charger) {
            add(meter, Role::Meter);
        }
        if let Some(reader) = evse.reader.as_ref().filter(|r| **r != evse.charger) {
            add(reader, Role::Reader);
        }
        for contacts in &evse.contacts {
            let heeding = routes.contacts.entry(contacts.device.clone()).or_default();
            if heeding.iter().all(|other| !other.same_channel(to)) {
                heeding.push(to.clone());
            }
        }
    }
}

/// What is known of a port or device, for `retrovolt status`.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct South {
    /// Ports by bus id: whether they are open, and in words.
    pub ports: BTreeMap<String, (bool, String)>,
    /// Devices: whether they answer, and if not, why.
    pub devices: BTreeMap<String, (bool, String)>,
    /// Fail-safe of each charger as last verified.
    pub failsafe: BTreeMap<String, String>,
    /// Contacts of the site that are seen, `device/contact`: whether they are active.
    pub contacts: BTreeMap<String, bool>,
}

impl South {
    /// What of it is about these buses and devices: a reload may have taken others away.
    #[must_use]
    pub fn of(&self, buses: &BTreeSet<&str>, devices: &BTreeSet<&str>) -> Self {
        let mut south = self.clone();
        south.ports.retain(|bus, _| buses.contains(bus.as_str()));
        south.devices.retain(|id, _| devices.contains(id.as_str()));
        south.failsafe.retain(|id, _| devices.contains(id.as_str()));
        let of_one = |contact: &str| {
            contact
                .split_once('/')
                .is_some_and(|(id, _)| devices.contains(id))
        };
        south.contacts.retain(|contact, _| of_one(contact));
        south
    }
}

/// What is noted of all that passes.
pub struct Boards {
    /// For the status page.
    pub south: watch::Sender<South>,
    /// Of pulse meters.
    pub counts: watch::Sender<Counts>,
    /// For telemetry.
    pub devices: watch::Sender<Devices>,
}

/// Passes on what the buses say until every bus is gone.
pub async fn run(
    mut from: mpsc::Receiver<FromBus>,
    routes: watch::Receiver<Routes>,
    boards: Boards,
    marker: Marker,
) {
    let Boards {
        south,
        counts,
        devices,
    } = boards;
    loop {
        marker.turn();
        let Ok(event) = timeout(TURN, from.recv()).await else {
            continue;
        };
        let Some(event) = event else { return };
        let routes = routes.borrow().clone();
        let edge = note(&south, &event);
        count(&counts, &event);
        devices.send_if_modified(|all| all.hear(&event));
        pass_contacts(&routes, &event, edge).await;
        pass(&routes, event).await;
    }
}

/// Contacts go ahead of what else their device says: an emergency stop is heard before the fault it causes. A station
/// that is behind may miss that a contact stays as it is, but not that it changed; nobody else waits for it.
async fn pass_contacts(routes: &Routes, event: &FromBus, edge: bool) {
    let Some((device, input)) = contacts_told(event) else {
        return;
    };
    let mut behind = Vec::new();
    for to in routes.heeding(device) {
        if let Err(TrySendError::Full(input)) = to.try_send(ToStation::input(input.clone())) {
            behind.push((to, input));
        }
    }
    let lost = matches!(input, Input::ContactsLost { .. });
    for (to, input) in behind.into_iter().filter(|_| edge || lost) {
        let _ = to.send(input).await;
    }
}

/// What an event says about contacts.
fn contacts_told(event: &FromBus) -> Option<(&DeviceId, Input)> {
    match event {
        FromBus::Observed {
            device, observations, ..
        } => {
            let level = |observation: &Observation| match observation {
                Observation::Contact { contact, active } => Some((*contact, *active)),
                _ => None,
            };
            let levels: Vec<_> = observations.iter().filter_map(level).collect();
            (!levels.is_empty()).then(|| {
                let device_id = device.clone();
                (
                    device,
                    Input::Contacts {
                        device: device_id,
                        levels,
                    },
                )
            })
        }
        FromBus::Link {
            device, up: false, ..
        } => {
            let input = Input::ContactsLost {
                device: device.clone(),
            };
            Some((device, input))
        }
        _ => None,
    }
}

async fn pass(routes: &Routes, event: FromBus) {
    match event {
        FromBus::Observed {
            device, observations, ..
        } => {
            for route in routes.of(&device) {
                let input = Input::Observed {
                    evse: route.evse,
                    role: route.role,
                    observations: observations.clone(),
                };
                // A station that is that far behind gets the next reading instead.
                let _ = route.to.try_send(ToStation::input(input));
            }
        }
        FromBus::Link {
            device, up, cause, ..
        } => {
            for route in routes.of(&device) {
                let input = Input::Link {
                    evse: route.evse,
                    role: route.role,
                    up,
                    cause: cause.clone(),
                };
                let _ = route.to.send(ToStation::input(input)).await;
            }
        }
        FromBus::Done {
            device,
            ticket,
            result,
        } => {
            // A charger stands at several EVSEs only as several connectors; the ticket tells whose it is.
            let mut told: Vec<&mpsc::Sender<ToStation>> = Vec::new();
            for route in routes.of(&device) {
                if told.iter().all(|t| !t.same_channel(&route.to)) {
                    told.push(&route.to);
                    let result = result.clone();
                    let _ = route.to.send(ToStation::Driven { ticket, result }).await;
                }
            }
        }
        FromBus::Failsafe { device, report } => {
            for route in routes.of(&device) {
                let unguarded = (!report.safe && !route.signed).then(|| report.detail.clone());
                let input = Input::Failsafe {
                    evse: route.evse,
                    unguarded,
                    fallback: report.fallback,
                };
                let _ = route.to.send(ToStation::Input(Box::new(input))).await;
            }
        }
        FromBus::Port { .. } => {}
    }
}

/// Notes how far pulse meters have counted.
fn count(counts: &watch::Sender<Counts>, event: &FromBus) {
    let FromBus::Observed {
        device, observations, ..
    } = event
    else {
        return;
    };
    for observation in observations {
        if let Observation::Pulses(pulses) = observation {
            counts.send_if_modified(|all| all.insert(device.clone(), *pulses) != Some(*pulses));
        }
    }
}

/// Logs changes and keeps the picture for the status page; gives whether a contact changed.
fn note(south: &watch::Sender<South>, event: &FromBus) -> bool {
    let mut edge = false;
    match event {
        FromBus::Port { bus, up, detail } => {
            if *up {
                tracing::info!(%bus, "port open: {detail}");
            } else {
                tracing::warn!(%bus, "port lost: {detail}");
            }
            south.send_modify(|s| {
                s.ports.insert(bus.to_string(), (*up, detail.clone()));
            });
        }
        FromBus::Link {
            bus,
            device,
            up,
            cause,
        } => {
            let why = cause.as_ref().map_or_else(String::new, ToString::to_string);
            if *up {
                tracing::info!(%bus, %device, "device answers");
            } else {
                tracing::warn!(%bus, %device, "device does not answer: {why}");
            }
            south.send_modify(|s| {
                s.devices.insert(device.to_string(), (*up, why));
                if !*up {
                    let own = format!("{device}/");
                    s.contacts.retain(|contact, _| !contact.starts_with(&own));
                }
            });
        }
        FromBus::Failsafe { device, report } => {
            if report.safe {
                tracing::info!(%device, ?report, "fail-safe checked");
            } else {
                tracing::warn!(%device, ?report, "the charger would not fall back by itself: {}", report.detail);
            }
            south.send_modify(|s| {
                s.failsafe.insert(device.to_string(), format!("{report:?}"));
            });
        }
        FromBus::Observed {
            device, observations, ..
        } => {
            for observation in observations {
                if let Observation::Contact { contact, active } = observation {
                    edge |= contacts(south, device, contact.word(), *active);
                }
            }
        }
        FromBus::Done { .. } => {}
    }
    edge
}

/// A contact is worth a line only when it changed.
fn contacts(south: &watch::Sender<South>, device: &DeviceId, contact: &'static str, active: bool) -> bool {
    let key = format!("{device}/{contact}");
    let changed = south.send_if_modified(|s| s.contacts.insert(key, active) != Some(active));
    if changed && active {
        tracing::warn!(%device, contact, "a contact is active");
    } else if changed {
        tracing::info!(%device, contact, "a contact is idle");
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{BusId, GpioSignal};
    use futures_util::FutureExt;

    fn said(active: bool) -> FromBus {
        FromBus::Observed {
            bus: BusId::new("pins"),
            device: DeviceId::new("inputs"),
            observations: vec![Observation::Contact {
                contact: GpioSignal::EmergencyStop,
                active,
            }],
        }
    }

    fn heard(inbox: &mut mpsc::Receiver<ToStation>) -> Option<Vec<(GpioSignal, bool)>> {
        match inbox.try_recv().ok()? {
            ToStation::Input(input) => match *input {
                Input::Contacts { levels, .. } => Some(levels),
                _ => None,
            },
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_change_reaches_a_station_that_is_behind_and_the_others_first() {
        let (slow, mut slow_inbox) = mpsc::channel(1);
        let (quick, mut quick_inbox) = mpsc::channel(4);
        let routes = Routes {
            contacts: [(DeviceId::new("inputs"), vec![slow, quick])].into(),
            ..Routes::default()
        };
        pass_contacts(&routes, &said(false), true).await;
        // The slow one has no room any more: that nothing changed it may miss.
        pass_contacts(&routes, &said(false), false).await;
        let pressed = said(true);
        let passing = pass_contacts(&routes, &pressed, true);
        tokio::pin!(passing);
        assert_eq!(passing.as_mut().now_or_never(), None);
        assert_eq!(
            heard(&mut slow_inbox),
            Some(vec![(GpioSignal::EmergencyStop, false)])
        );
        passing.await;
        assert_eq!(
            heard(&mut slow_inbox),
            Some(vec![(GpioSignal::EmergencyStop, true)])
        );
        let all: Vec<_> = std::iter::from_fn(|| heard(&mut quick_inbox)).flatten().collect();
        assert_eq!(
            all.iter().map(|(_, active)| *active).collect::<Vec<_>>(),
            [false, false, true]
        );
    }

    #[test]
    fn what_a_reload_has_taken_away_is_no_longer_shown() {
        let (south, shown) = watch::channel(South::default());
        for bus in ["pins", "net"] {
            let open = FromBus::Port {
                bus: BusId::new(bus),
                up: true,
                detail: String::new(),
            };
            note(&south, &open);
        }
        note(&south, &said(true));
        south.send_modify(|south| {
            south.failsafe.insert("inputs".to_owned(), String::new());
            south.devices.insert("inputs".to_owned(), (true, String::new()));
        });
        let all = shown.borrow().of(&["net", "pins"].into(), &["inputs"].into());
        assert_eq!((all.ports.len(), all.devices.len()), (2, 1));
        assert_eq!((all.failsafe.len(), all.contacts.len()), (1, 1));
        let left = shown.borrow().of(&["net"].into(), &["input"].into());
        assert_eq!(left.ports.keys().collect::<Vec<_>>(), ["net"]);
        assert!(left.devices.is_empty() && left.failsafe.is_empty() && left.contacts.is_empty());
    }

    #[test]
    fn a_contact_is_an_edge_when_it_changes_and_after_its_lines_were_lost() {
        let (south, shown) = watch::channel(South::default());
        assert_eq!(
            [false, false, true, true].map(|level| note(&south, &said(level))),
            [true, false, true, false]
        );
        let lost = FromBus::Link {
            bus: BusId::new("pins"),
            device: DeviceId::new("inputs"),
            up: false,
            cause: None,
        };
        note(&south, &lost);
        assert!(shown.borrow().contacts.is_empty());
        assert!(note(&south, &said(true)));
    }
}
