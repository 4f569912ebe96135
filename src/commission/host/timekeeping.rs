//! What systemd tells over D-Bus of the clock: the kernel's own view of it (adjtimex(2), which says so whoever keeps the
//! clock), and the server of systemd-timesyncd.
//!
//! `org.freedesktop.timedate1` is started by the bus for the question, as for `timedatectl`; `org.freedesktop.timesync1` is
//! asked only where it runs.

use std::collections::BTreeMap;
use std::time::Duration;
use zbus::{Connection, OwnedVariant, Variant};

/// Each answer comes within it, or counts as none.
const PATIENCE: Duration = Duration::from_secs(2);

/// The clock as systemd sees it; what is not told is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timekeeping {
    /// The kernel counts its clock as synchronised: its error is below 16 s.
    pub synchronised: Option<bool>,
    /// A service of time is switched on.
    pub enabled: Option<bool>,
    /// The server that systemd-timesyncd goes by.
    pub server: Option<String>,
    /// How far the clock may be off at most by what that server said, microseconds.
    pub error_us: Option<u64>,
}

type Properties = BTreeMap<String, OwnedVariant>;

/// Asks. A machine without D-Bus or systemd tells nothing.
pub async fn timekeeping() -> Timekeeping {
    let built = zbus::connection::Builder::system()
        .method_timeout(PATIENCE)
        .build();
    let Ok(Ok(bus)) = tokio::time::timeout(PATIENCE, built).await else {
        return Timekeeping::default();
    };
    let date = properties(&bus, "org.freedesktop.timedate1", "org.freedesktop.timedate1").await;
    let sync = if runs(&bus, "org.freedesktop.timesync1").await {
        properties(
            &bus,
            "org.freedesktop.timesync1",
            "org.freedesktop.timesync1.Manager",
        )
        .await
    } else {
        Properties::new()
    };
    read(&date, &sync)
}

/// Whether a service has its name on the bus already.
async fn runs(bus: &Connection, service: &str) -> bool {
    const BUS: &str = "org.freedesktop.DBus";
    let asked = bus
        .call_method(
            Some(BUS),
            "/org/freedesktop/DBus",
            Some(BUS),
            "NameHasOwner",
            &service,
        )
        .await;
    asked.is_ok_and(|answer| answer.body().deserialize().unwrap_or(false))
}

async fn properties(bus: &Connection, service: &str, interface: &str) -> Properties {
    let path = format!("/{}", service.replace('.', "/"));
    let all = Some("org.freedesktop.DBus.Properties");
    let asked = bus
        .call_method(Some(service), path, all, "GetAll", &interface)
        .await;
    let told = asked.and_then(|answer| answer.body().deserialize());
    told.unwrap_or_default()
}

fn read(date: &Properties, sync: &Properties) -> Timekeeping {
    let flag = |name: &str| match **date.get(name)? {
        Variant::Bool(flag) => Some(flag),
        _ => None,
    };
    let server = sync.get("ServerName").and_then(|value| match &**value {
        Variant::Str(name) => Some(name.as_str()),
        _ => None,
    });
    Timekeeping {
        synchronised: flag("NTPSynchronized"),
        enabled: flag("NTP"),
        server: server.filter(|name| !name.is_empty()).map(str::to_owned),
        error_us: sync.get("NTPMessage").and_then(error_us),
    }
}

/// Of the last answer of a server (`uuuuittayttttbtt`): half the way to the root of time, what it may be off there, and
/// how much answers differ.
fn error_us(message: &OwnedVariant) -> Option<u64> {
    let Variant::Structure(fields) = &**message else {
        return None;
    };
    let number = |at: usize| match fields.fields().get(at) {
        Some(Variant::U64(number)) => Some(*number),
        _ => None,
    };
    let (delay, dispersion, count, jitter) = (number(5)?, number(6)?, number(13)?, number(14)?);
    (count > 0).then(|| (delay / 2).saturating_add(dispersion).saturating_add(jitter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own<'v>(value: impl Into<Variant<'v>>) -> OwnedVariant {
        value.into().try_to_owned().unwrap()
    }

    fn message(count: u64) -> OwnedVariant {
        let mut fields = zbus::Structure::builder();
        for head in [0_u32, 4, 4, 2] {
            fields = fields.add_field(head);
        }
        fields = fields
            .add_field(-24_i32)
            .add_field(10_000_u64)
            .add_field(3_000_u64)
            .add_field(vec![1_u8, 2, 3, 4]);
        for time in [1_u64, 2, 3, 4] {
            fields = fields.add_field(time);
        }
        fields = fields.add_field(false).add_field(count).add_field(500_u64);
        own(fields.build().unwrap())
    }

    #[test]
    fn what_systemd_tells_is_read_and_what_it_does_not_tell_is_none() {
        let date = Properties::from([
            ("NTPSynchronized".to_owned(), own(true)),
            ("NTP".to_owned(), own(false)),
        ]);
        let sync = Properties::from([
            ("ServerName".to_owned(), own("time.example")),
            ("NTPMessage".to_owned(), message(7)),
        ]);
        assert_eq!(
            read(&date, &sync),
            Timekeeping {
                synchronised: Some(true),
                enabled: Some(false),
                server: Some("time.example".to_owned()),
                error_us: Some(8_500),
            }
        );
        let nothing = Properties::new();
        assert_eq!(read(&nothing, &nothing), Timekeeping::default());
        let silent = Properties::from([
            ("ServerName".to_owned(), own("")),
            ("NTPMessage".to_owned(), message(0)),
        ]);
        assert_eq!(read(&nothing, &silent), Timekeeping::default());
        let odd = Properties::from([("NTPMessage".to_owned(), own("no message"))]);
        assert_eq!(read(&odd, &odd), Timekeeping::default());
    }
}
