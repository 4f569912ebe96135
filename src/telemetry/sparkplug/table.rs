//! Every metric there is, declared once: what it is called, what it is and where it comes from. `docs/sparkplug.md` is
//! held equal to these tables by a test.

use super::super::payload::{BusState, Health, Info, SiteState};
use super::super::picture::{Meter, Point};
use super::super::units::Milli;
use super::datum::{Datatype, Datum};
use super::row::{
    CURRENT, DEGREE, MHZ, POWER, Row, VOLTAGE, control, count, gauge, number, phase, register, small, state,
    text,
};

/// Writable: charging is allowed by the operator.
pub const ENABLED: &str = "Control/Enabled";
/// Writable: most current per phase.
pub const LIMIT: &str = "Control/Limit Current";
/// Writable: charging mode.
pub const MODE: &str = "Control/Mode";

/// A charge point (one EVSE).
pub const POINT: &[Row<Point>] = &[
    state(
        "Status",
        Datatype::String,
        "Status in the vocabulary of OCPP 1.6, in small letters, e.g. `suspended_ev`; null: nothing was heard yet.",
        |p| p.state.status.map(|status| Datum::Text(status.word().to_owned())),
    ),
    state("Connected", Datatype::Boolean, "A vehicle is plugged in.", |p| {
        p.state.connected.map(Datum::Flag)
    }),
    state("Charging", Datatype::Boolean, "Current may flow.", |p| {
        Some(Datum::Flag(p.state.charging))
    }),
    state(
        "Fault",
        Datatype::String,
        "What is wrong, in words; null: nothing.",
        |p| text(&p.state.fault),
    ),
    gauge(
        "Power",
        "W",
        POWER,
        "Active power, positive toward the vehicle.",
        |p| number(p.state.power_w),
    ),
    register(
        "Energy/Import",
        "Billing register; never decreases within a meter epoch.",
        |p| count(p.state.energy_import_wh),
    ),
    register("Energy/Export", "Register of energy from the vehicle.", |p| {
        count(p.state.energy_export_wh)
    }),
    state(
        "Energy/Meter Epoch",
        Datatype::Int32,
        "Counts meter swaps and overflows.",
        |p| small(p.state.meter_epoch),
    ),
    gauge("Current/L1", "A", CURRENT, "Current of L1.", |p| {
        phase::<0>(&p.state.current_a)
    }),
    gauge(
        "Current/L2",
        "A",
        CURRENT,
        "Current of L2; null: there is no such phase.",
        |p| phase::<1>(&p.state.current_a),
    ),
    gauge(
        "Current/L3",
        "A",
        CURRENT,
        "Current of L3; null: there is no such phase.",
        |p| phase::<2>(&p.state.current_a),
    ),
    gauge("Voltage/L1", "V", VOLTAGE, "Voltage of L1 to neutral.", |p| {
        phase::<0>(&p.state.voltage_v)
    }),
    gauge(
        "Voltage/L2",
        "V",
        VOLTAGE,
        "Voltage of L2 to neutral; null: there is no such phase.",
        |p| phase::<1>(&p.state.voltage_v),
    ),
    gauge(
        "Voltage/L3",
        "V",
        VOLTAGE,
        "Voltage of L3 to neutral; null: there is no such phase.",
        |p| phase::<2>(&p.state.voltage_v),
    ),
    gauge("Temperature", "°C", DEGREE, "Temperature of the charger.", |p| {
        number(p.state.temperature_c)
    }),
    gauge(
        "Vehicle/SoC",
        "%",
        DEGREE,
        "State of charge of the vehicle.",
        |p| number(p.state.soc_pct),
    ),
    Row {
        unit: Some("A"),
        ..state(
            "Limit/Current",
            Datatype::Double,
            "What is offered at most, per phase; 0: paused.",
            |p| number(p.state.limit_a),
        )
    },
    state(
        "Limit/Source",
        Datatype::String,
        "Why that much and no more, e.g. `tx profile`.",
        |p| text(&p.state.limit_source),
    ),
    state(
        "Session/Id",
        Datatype::String,
        "Id of the running session, or of the last.",
        |p| text(&p.session.id),
    ),
    state("Session/Start", Datatype::DateTime, "Its begin.", |p| {
        p.state.session_start.map(Datum::Time)
    }),
    Row {
        unit: Some("Wh"),
        ..state("Session/Energy", Datatype::Int64, "Its energy so far.", |p| {
            count(p.state.session_energy_wh)
        })
    },
    control(
        ENABLED,
        Datatype::Boolean,
        "In service, and not held back by the operator; a limit of 0 is no hold.",
        |p| Some(Datum::Flag(p.state.enabled)),
    ),
    Row {
        unit: Some("A"),
        ..control(
            LIMIT,
            Datatype::Double,
            "Write: the operator's limit per phase. Read: what is offered, which may be less.",
            |p| number(p.state.limit_a),
        )
    },
    control(
        MODE,
        Datatype::String,
        "Charging mode of the operator; null: there is no choice.",
        |p| text(&p.state.mode),
    ),
    state("Properties/Hardware Make", Datatype::String, "Maker.", |p| {
        text(&p.device.vendor)
    }),
    state("Properties/Hardware Model", Datatype::String, "Model.", |p| {
        text(&p.device.model)
    }),
    state(
        "Properties/Serial Number",
        Datatype::String,
        "Serial number.",
        |p| text(&p.device.serial),
    ),
    state("Properties/FW", Datatype::String, "Firmware.", |p| {
        text(&p.device.firmware)
    }),
];

/// A device that measures.
pub const METER: &[Row<Meter>] = &[
    gauge(
        "Power",
        "W",
        POWER,
        "Active power, positive into the load.",
        |m| number(m.state.power_w),
    ),
    register("Energy/Import", "Register.", |m| count(m.state.energy_import_wh)),
    register("Energy/Export", "Register of the other direction.", |m| {
        count(m.state.energy_export_wh)
    }),
    state(
        "Energy/Meter Epoch",
        Datatype::Int32,
        "Counts swaps and overflows.",
        |m| small(m.state.meter_epoch),
    ),
    gauge("Current/L1", "A", CURRENT, "Current of L1.", |m| {
        phase::<0>(&m.state.current_a)
    }),
    gauge(
        "Current/L2",
        "A",
        CURRENT,
        "Current of L2; null: there is no such phase.",
        |m| phase::<1>(&m.state.current_a),
    ),
    gauge(
        "Current/L3",
        "A",
        CURRENT,
        "Current of L3; null: there is no such phase.",
        |m| phase::<2>(&m.state.current_a),
    ),
    gauge("Voltage/L1", "V", VOLTAGE, "Voltage of L1 to neutral.", |m| {
        phase::<0>(&m.state.voltage_v)
    }),
    gauge(
        "Voltage/L2",
        "V",
        VOLTAGE,
        "Voltage of L2 to neutral; null: there is no such phase.",
        |m| phase::<1>(&m.state.voltage_v),
    ),
    gauge(
        "Voltage/L3",
        "V",
        VOLTAGE,
        "Voltage of L3 to neutral; null: there is no such phase.",
        |m| phase::<2>(&m.state.voltage_v),
    ),
    gauge("Frequency", "Hz", MHZ, "Frequency.", |m| {
        number(m.state.frequency_hz)
    }),
    state("Properties/Hardware Make", Datatype::String, "Maker.", |m| {
        text(&m.device.vendor)
    }),
    state("Properties/Hardware Model", Datatype::String, "Model.", |m| {
        text(&m.device.model)
    }),
    state(
        "Properties/Serial Number",
        Datatype::String,
        "Serial number.",
        |m| text(&m.device.serial),
    ),
    state("Properties/FW", Datatype::String, "Firmware.", |m| {
        text(&m.device.firmware)
    }),
];

/// The gateway: what it is.
pub const INFO: &[Row<Info>] = &[
    state(
        "Properties/Hardware Model",
        Datatype::String,
        "Board; null: it does not tell, as in many a container.",
        |i| text(&i.hardware),
    ),
    state("Properties/OS", Datatype::String, "Operating system.", |i| {
        text(&i.os)
    }),
    state(
        "Properties/Program",
        Datatype::String,
        "Name of the program.",
        |i| Some(Datum::Text(i.app.to_owned())),
    ),
    state("Properties/FW", Datatype::String, "Its version.", |i| {
        Some(Datum::Text(i.version.to_owned()))
    }),
    state(
        "Properties/Started",
        Datatype::DateTime,
        "When it started.",
        |i| Some(Datum::Time(i.started_at)),
    ),
];

/// The gateway: how it is.
pub const HEALTH: &[Row<Health>] = &[
    state(
        "Health/Clock Synced",
        Datatype::Boolean,
        "The gateway's clock, and so every timestamp, can be believed.",
        |h| Some(Datum::Flag(h.clock_synced)),
    ),
    state(
        "Health/Queue",
        Datatype::Int64,
        "Rows of the ledger that a back end has not got yet.",
        |h| count(Some(h.queue.messages)),
    ),
    state(
        "Health/Dropped",
        Datatype::Int64,
        "Samples given up for want of room since the start.",
        |h| count(Some(h.queue.dropped)),
    ),
    gauge(
        "Health/Temperature",
        "°C",
        DEGREE,
        "Temperature of the board.",
        |h| number(h.temperature_c),
    ),
    state(
        "Health/Throttled",
        Datatype::Boolean,
        "The board has slowed down for heat or low voltage; null: it does not tell.",
        |h| h.throttled.map(Datum::Flag),
    ),
    state(
        "Health/Watchdog OK",
        Datatype::Boolean,
        "Every task turns.",
        |h| Some(Datum::Flag(h.watchdog_ok)),
    ),
];

/// What all share.
pub const SITE: &[Row<SiteState>] = &[
    gauge("Site/Power", "W", POWER, "Of all charge points together.", |s| {
        number(s.grid_power_w)
    }),
    Row {
        unit: Some("W"),
        ..state(
            "Site/Limit",
            Datatype::Double,
            "What all charge points together may draw at most, by nominal voltage.",
            |s| number(s.limit_w),
        )
    },
    state(
        "Site/Limit Source",
        Datatype::String,
        "Who lowers it most: `failsafe`, `dso`, `csms`, `operator`; or `static`, installation and fuses alone.",
        |s| text(&s.limit_source),
    ),
    state(
        "Site/Constraint",
        Datatype::String,
        "Name of the fuse that binds; null: none does.",
        |s| text(&s.active_constraint),
    ),
];

/// A port; its metrics are named `Bus/BUS/...`.
pub const BUS: &[Row<BusState>] = &[
    state("Open", Datatype::Boolean, "The port is open.", |b| {
        Some(Datum::Flag(b.open))
    }),
    state(
        "Timeouts",
        Datatype::Int64,
        "Requests not answered in time since the start.",
        |b| count(Some(b.timeouts)),
    ),
    state(
        "CRC Errors",
        Datatype::Int64,
        "Damaged or foreign answers since the start.",
        |b| count(Some(b.crc_errors)),
    ),
    state(
        "Exceptions",
        Datatype::Int64,
        "Modbus exceptions since the start.",
        |b| count(Some(b.exceptions)),
    ),
    state("Devices Online", Datatype::Int32, "Devices that answer.", |b| {
        small(b.devices_online)
    }),
    state("Devices Total", Datatype::Int32, "Devices configured.", |b| {
        small(b.devices_total)
    }),
];

/// Least and most of what a host may write.
#[must_use]
pub fn range_of(name: &str, point: &Point) -> Option<(Milli, Milli)> {
    (name == LIMIT).then_some((Milli(0), point.reach.max_a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_hosts_have_no_trouble_with() {
        fn check<S>(rows: &[Row<S>]) {
            let mut names: Vec<String> = rows.iter().map(|row| row.name.to_lowercase()).collect();
            for name in &names {
                assert!(
                    name.chars()
                        .all(|c| c.is_ascii_alphanumeric() || " /-_".contains(c)),
                    "{name}"
                );
            }
            names.sort();
            names.dedup();
            assert_eq!(
                names.len(),
                rows.len(),
                "a name is there twice, or differs by case only"
            );
        }
        check(POINT);
        check(METER);
        check(INFO);
        check(HEALTH);
        check(SITE);
        check(BUS);
    }
}
