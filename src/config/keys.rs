//! Every setting there is, declared once. Error text, `docs/configuration.md` and `config/retrovolt.toml` follow.

use super::gpio;
use super::issue::Issues;
use super::place::Place;
use super::protocol;
use super::setting::Fallback::{Absent, Is, Required};
use super::setting::{Given, Key, Kind, Section, Table, settings};
use crate::domain::{MilliAmps, MilliVolts};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// A time setting that cannot be zero.
const fn time(min: i64, max: i64) -> Kind {
    Kind::Time { min, max, zero: None }
}

/// The whole file.
pub(super) const ROOT: &Table = &Table {
    path: "",
    many: false,
    help: "",
    keys: &[],
    tables: &[
        GatewayKeys::TABLE,
        BusKeys::TABLE,
        DeviceKeys::TABLE,
        ChargePointKeys::TABLE,
        FuseKeys::TABLE,
        FirmwareKeys::TABLE,
        MetricsKeys::TABLE,
        MqttKeys::TABLE,
        SparkplugKeys::TABLE,
    ],
};

settings! {
    /// The gateway itself: where it keeps what must survive, and where it looks for files.
    GatewayKeys in "gateway", many: false, tables: [];
    state_dir: PathBuf = Kind::Path, Is("/var/lib/retrovolt"), "\"/var/lib/retrovolt\"",
        "Folder of the database and everything else that must survive a restart.";
    session_records: u32 = Kind::Int { min: 100, max: 1_000_000 }, Is("50000"), "50000",
        "Records the journal of sessions keeps, about 1 KiB each; the oldest go first. 50,000 are over ten years at twelve sessions a day.";
    socket: PathBuf = Kind::Path, Is("/run/retrovolt/ctl.sock"), "\"/run/retrovolt/ctl.sock\"",
        "Unix socket through which `retrovolt status` and the other verbs speak to the running gateway.";
    trust_dir: PathBuf = Kind::Path, Absent("only the system's own certificates are trusted"), "\"/etc/retrovolt/trust.d\"",
        "Folder of PEM files with certificates that are trusted beside the system's own.";
    device_dir: PathBuf = Kind::Path, Absent("`devices.d` beside this file, if it is there"), "\"/etc/retrovolt/devices.d\"",
        "Folder of your own device profiles; a profile with the id of a shipped one takes its place.";
    log_level: String = Kind::OneOf(&["error", "warn", "info", "debug", "trace"]), Is("info"), "\"info\"",
        "How much is logged. `-v` and `--quiet` on the command line count more.";
    log_format: String = Kind::OneOf(&["auto", "journal", "text", "json"]), Is("auto"), "\"auto\"",
        "`auto` uses the journal where there is one and plain text elsewhere. `--log-format` on the command line counts more.";
    page_url: String = Kind::Text { max: 200 }, Absent("none is told"), "\"https://grafana.example.com/d/retrovolt\"",
        "Page about this gateway for people, e.g. its dashboard: `url` of `info` (MQTT), and where Home Assistant's *Visit* leads. The gateway has no page of its own.";
    inhibit_shutdown: Duration = Kind::Time { min: 60_000, max: 7 * DAY, zero: Some("a session never holds one up") }, Is("12h"), "\"12h\"",
        "How long a running session may hold up a shutdown or restart of the machine through systemd-logind. After that logind is only asked to wait its usual few seconds.";
}

settings! {
    /// One line or endpoint on the south side: a serial port, a host with Modbus TCP or a serial device server, or a GPIO chip.
    BusKeys in "bus", many: true, tables: [];
    id: String = Kind::Id, Required, "\"garage\"", "Its name, used by `device.bus` and in logs.";
    port: PathBuf = Kind::Path, Absent("needed unless `host` or `gpio` is given"), "\"/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0\"",
        "Serial port by its stable path; `/dev/ttyUSB0` may be another adapter after the next start.";
    host: String = Kind::Text { max: 253 }, Absent("needed unless `port` or `gpio` is given"), "\"192.168.1.50\"",
        "Name or address of a Modbus TCP device, a bridge or a serial device server.";
    gpio: String = Kind::Text { max: 128 }, Absent("needed unless `port` or `host` is given"), "\"pinctrl-bcm2711\"",
        "GPIO chip by its label, its name or the path of its device; names like `gpiochip0` may change from start to start. See gpio.md.";
    protocol: String = Kind::OneOf(&protocol::WORDS), Is("modbus"), "\"modbus\"",
        "What the devices on it speak. With anything but `modbus`, what is not written about the port is taken from the profile of its device.";
    tcp_port: u16 = Kind::Int { min: 1, max: 65_535 }, Is("502"), "502", "TCP port, with `host`.";
    framing: String = Kind::OneOf(&["rtu", "ascii", "tcp", "auto"]), Absent("what the devices speak, `rtu` or `ascii`, with `port`, `tcp` with `host`"), "\"rtu\"",
        "How Modbus frames are wrapped: `rtu` or `ascii` at a serial port; `tcp` (Modbus TCP), or `rtu` or `ascii` behind a serial device server, with `host`; `auto` finds out which of `tcp` and `rtu` is answered.";
    baud: u32 = Kind::OneOfInt(&[300, 600, 1200, 2400, 4800, 9600, 14_400, 19_200, 38_400, 57_600, 76_800, 115_200, 230_400]), Is("9600"), "19200",
        "Bits per second, the same on every device of the line.";
    parity: String = Kind::OneOf(protocol::PARITIES), Is("none"), "\"even\"", "Parity bit.";
    data_bits: u8 = Kind::OneOfInt(&[7, 8]), Is("8"), "8", "Data bits; Modbus RTU needs 8.";
    stop_bits: u8 = Kind::OneOfInt(&[1, 2]), Is("1"), "1", "Stop bits.";
    echo: bool = Kind::Bool, Is("false"), "true",
        "The adapter repeats what is sent; the repetition is taken off the answer.";
    min_gap: Duration = Kind::Time { min: 1, max: 5_000, zero: Some("only what the standard and the device profile ask") }, Is("0"), "\"50ms\"",
        "Silence kept after each frame, where more than the 3.5 characters of the standard is wanted.";
    timeout: Duration = time(10, 30_000), Is("1s"), "\"500ms\"",
        "Wait for an answer where neither the device nor its profile says one.";
    reopen_wait: Duration = time(100, 60_000), Is("1s"), "\"1s\"",
        "Wait before a lost port or connection is tried again.";
}

settings! {
    /// One charger, meter or card reader on a bus.
    DeviceKeys in "device", many: true, tables: [GpioKeys::TABLE, LineKeys::TABLE];
    id: String = Kind::Id, Required, "\"wallbox\"", "Its name, used by `charge_point.evse` and in logs.";
    bus: String = Kind::Id, Required, "\"garage\"", "The `id` of the `[[bus]]` it is connected to.";
    profile: String = Kind::Text { max: 80 }, Required, "\"heidelberg-energy-control\"",
        "What it is: the id of a device profile, shipped or in `gateway.device_dir`.";
    unit: u8 = Kind::Int { min: 1, max: 255 }, Absent("the unit id as delivered, by the profile"), "1",
        "Modbus unit id; 1 to 247 on a serial line, 255 is usual for TCP devices.";
    address: String = Kind::Text { max: 32 }, Absent("not needed by most"), "\"12345678\"",
        "Address of the device where its protocol has one that is no Modbus unit id, e.g. the number of an IEC 62056-21 meter.";
    connector: u16 = Kind::Int { min: 1, max: 64 }, Is("1"), "1",
        "Which connector or channel of the device, where its profile has several.";
    poll: Duration = time(100, HOUR), Absent("the profile's"), "\"1s\"", "How often state and measurements are read.";
    timeout: Duration = time(10, 30_000), Absent("the profile's, else that of the bus"), "\"500ms\"", "Wait for an answer.";
    watchdog_timeout: Duration = time(1_000, HOUR), Absent("the profile's"), "\"15s\"",
        "Silence after which the charger falls to its safe current by itself; written into the charger.";
    watchdog_feed: Duration = time(100, HOUR), Absent("by the profile and the time-out"), "\"5s\"",
        "Longest pause between two signs of life to the charger.";
    failsafe_current: MilliAmps = Kind::Current { min: 5_000, max: 80_000, zero: Some("charging stops") }, Absent("the profile's"), "\"6A\"",
        "Current the charger falls to when the gateway is silent; written into the charger.";
    accept_no_failsafe: bool = Kind::Bool, Is("false"), "true",
        "Your consent to run a charger that cannot fall to a safe current by itself: when the gateway dies, it goes on with the last current.";
}

settings! {
    /// What is wired to the lines of a device on a GPIO chip: a contactor or a release input, and a meter with an S0 output.
    GpioKeys in "device.gpio", many: false, tables: [];
    rated_current: MilliAmps = Kind::Current { min: 6_000, max: 80_000, zero: None }, Absent("needed by a charger"), "\"16A\"",
        "What the wallbox offers once it is released, per phase. A relay cannot offer less: below it charging pauses.";
    min_on: Duration = Kind::Time { min: 1_000, max: HOUR, zero: Some("none") }, Is("60s"), "\"60s\"",
        "Shortest time closed before a limit below the rated current opens the contactor. A stop opens it at once.";
    min_off: Duration = Kind::Time { min: 1_000, max: HOUR, zero: Some("none") }, Is("60s"), "\"60s\"",
        "Shortest time open before the contactor closes again.";
    pulses_per_kwh: u32 = Kind::Int { min: 1, max: 100_000 }, Absent("needed with a line `pulse`"), "1000",
        "Constant printed on the meter, imp/kWh.";
    meter_start_wh: i64 = Kind::Int { min: 0, max: 1_000_000_000_000 }, Is("0"), "1234567",
        "What the meter's display showed, in Wh, when the gateway had not counted a pulse yet.";
    pulse_width: Duration = time(1, 1_000), Is("20ms"), "\"20ms\"",
        "Shortest pulse, and shortest pause, that counts. IEC 62053-31 asks meters for at least 30 ms of both; a sensor on a meter's LED needs less.";
}

settings! {
    /// One line of the chip and what it means to the device above it.
    LineKeys in "device.line", many: true, tables: [];
    signal: String = Kind::OneOf(gpio::SIGNALS), Required, "\"relay\"",
        "`relay`: output, active closes the contactor or releases the wallbox; inputs: `vehicle` (plugged in), `charging` (draws or asks for current), `feedback` (mirror contact of the contactor), `fault`, `emergency_stop`, `tamper`, `dimming` (grid operator), `pulse` (S0).";
    line: String = Kind::Text { max: 31 }, Absent("needed unless `offset` is given"), "\"GPIO17\"", "The line by its name; `gpioinfo` lists them.";
    offset: u32 = Kind::Int { min: 0, max: 4_095 }, Absent("needed unless `line` is given"), "17", "The line by its number on the chip.";
    active_low: bool = Kind::Bool, Is("false"), "true", "A low level is the active one.";
    bias: String = Kind::OneOf(gpio::BIASES), Is("as-is"), "\"pull-up\"", "Resistor inside the chip.";
    debounce: Duration = Kind::Time { min: 1, max: 5_000, zero: Some("every edge counts") }, Absent("20 ms; none for `pulse`, whose width is judged"), "\"20ms\"",
        "An input must keep a new level for so long.";
}

settings! {
    /// One charge point as a back end sees it.
    ChargePointKeys in "charge_point", many: true, tables: [EvseKeys::TABLE, CsmsKeys::TABLE];
    id: String = Kind::Id, Required, "\"CP-GARAGE-1\"", "Its identity in the OCPP URL.";
    vendor: String = Kind::Text { max: 20 }, Is("Retrovolt"), "\"Heidelberg\"", "Vendor, as BootNotification tells it.";
    model: String = Kind::Text { max: 20 }, Is("Gateway"), "\"Energy Control\"", "Model, as BootNotification tells it.";
    serial: String = Kind::Text { max: 25 }, Absent("as read from the charger, where it can be"), "\"0042\"", "Serial number.";
    ocpp16: BTreeMap<String, (String, Place)> = Kind::Open, Absent("the defaults of OCPP"), "{ HeartbeatInterval = 300 }",
        "Initial OCPP 1.6 configuration keys. A value that the back end changed and that was stored wins.";
    ocpp201: BTreeMap<String, (String, Place)> = Kind::Open, Absent("the defaults of OCPP"), "{ OCPPCommCtrlr.HeartbeatInterval = 300 }",
        "Initial OCPP 2.0.1 variables, `Component.Variable` or `\"Component.Variable[Instance]\"`. A stored value wins.";
}

settings! {
    /// One EVSE of the charge point above it. They are numbered 1, 2, ... in the order they are written.
    EvseKeys in "charge_point.evse", many: true, tables: [];
    charger: String = Kind::Id, Required, "\"wallbox\"", "The `id` of the `[[device]]` that switches.";
    meter: String = Kind::Id, Absent("the charger's own"), "\"meter\"",
        "The `id` of the `[[device]]` whose energy register is billed; it may be on another bus.";
    reader: String = Kind::Id, Absent("the charger's own, where it has one"), "\"cards\"", "The `id` of a card reader `[[device]]`.";
    contacts: Vec<(String, Place)> = Kind::Texts, Absent("those of its charger, meter and reader"), "[\"site-inputs\"]",
        "Ids of further `[[device]]`s on GPIO whose `emergency_stop`, `tamper` and `dimming` lines concern this EVSE; one may serve many. See gpio.md.";
    phases: u8 = Kind::OneOfInt(&[1, 3]), Is("3"), "3", "How many phases are wired.";
    first_phase: String = Kind::OneOf(&["L1", "L2", "L3"]), Is("L1"), "\"L1\"",
        "Grid phase on which L1 of the EVSE is; the others follow in order.";
    max_current: MilliAmps = Kind::Current { min: 6_000, max: 80_000, zero: None }, Required, "\"16A\"",
        "Most that cable, fuse and installation allow, per phase.";
    min_current: MilliAmps = Kind::Current { min: 1_000, max: 80_000, zero: None }, Is("6A"), "\"6A\"",
        "Least that the vehicle is offered; below it charging pauses. IEC 61851-1 knows nothing below 6 A.";
    dimmed_current: MilliAmps = Kind::Current { min: 1_000, max: 80_000, zero: Some("charging pauses") }, Absent("`min_current`"), "\"6A\"",
        "What is left per phase while the grid operator's `dimming` contact is active.";
    nominal_voltage: MilliVolts = Kind::Voltage { min: 100_000, max: 300_000 }, Is("230V"), "\"230V\"",
        "Voltage between phase and neutral, for limits in watt.";
    auth: String = Kind::OneOf(&["free", "remote", "reader", "charger"]), Required, "\"free\"",
        "Who may charge. `free`: anybody; `remote`: who the back end starts; `reader`: a card, which the back end is asked about; `charger`: the charger decides by itself.";
    id_token: String = Kind::Text { max: 36 }, Absent("needed with `auth = \"free\"`"), "\"FREE\"",
        "Token that is put in the records of `free` sessions, and of `charger` sessions without a card.";
    meter_stale_after: Duration = time(500, HOUR), Is("10s"), "\"10s\"", "Readings older than this are not believed any more. With a meter that is not Modbus it is two and a half of its periods unless written.";
}

settings! {
    /// A back end of the charge point above it. The first one is in control. Further ones only read: every session is
    /// reported to them, their questions are answered, their commands refused.
    CsmsKeys in "charge_point.csms", many: true, tables: [];
    name: String = Kind::Id, Is("main"), "\"main\"", "Its name in logs.";
    url: String = Kind::Text { max: 512 }, Required, "\"wss://csms.example.com/ocpp/{id}\"",
        "WebSocket URL. `{id}` becomes the charge point's id; prefix and trailing slash are kept as written.";
    secure_url: String = Kind::Text { max: 512 }, Absent("`url` with `wss`"), "\"wss://csms.example.com:8443/ocpp/{id}\"",
        "Where the back end is reached by TLS once it has raised `SecurityProfile` to 2 or 3 over OCPP. Only for a `url` that begins with `ws://`.";
    version: String = Kind::OneOf(&["1.6", "2.0.1"]), Is("1.6"), "\"1.6\"", "OCPP version; exactly this one is offered.";
    security: String = Kind::OneOf(&["none", "basic", "client"]), Is("none"), "\"basic\"",
        "`none`; `basic`: the id and a password (security profiles 1 and 2); `client`: a client certificate (profile 3).";
    password: String = Kind::Secret, Absent("needed with `security = \"basic\"`"), "\"...\"",
        "Password for `basic`. Better kept out of this file: see the next two.";
    password_file: PathBuf = Kind::Path, Absent("see `password`"), "\"/etc/retrovolt/secrets/csms.password\"",
        "File that holds the password, readable by the gateway only.";
    password_credential: String = Kind::Text { max: 255 }, Absent("see `password`"), "\"csms.password\"",
        "Name of a systemd credential that holds the password (`LoadCredential=`).";
    certificate_file: PathBuf = Kind::Path, Absent("needed with `security = \"client\"`"), "\"/etc/retrovolt/secrets/csms.crt\"",
        "PEM file with the client certificate and its chain.";
    key_file: PathBuf = Kind::Path, Absent("needed with `security = \"client\"`"), "\"/etc/retrovolt/secrets/csms.key\"",
        "PEM file with the private key, readable by the gateway only.";
    key_credential: String = Kind::Text { max: 255 }, Absent("see `key_file`"), "\"csms.key\"",
        "Name of a systemd credential that holds the private key.";
    reconnect_min: Duration = time(1_000, DAY), Is("1s"), "\"1s\"",
        "First wait before a lost connection is tried again; doubles, with some randomness.";
    reconnect_max: Duration = time(1_000, DAY), Is("2min"), "\"2min\"", "Longest such wait.";
    message_timeout: Duration = time(1_000, HOUR), Is("30s"), "\"30s\"",
        "Wait for the answer to a message; without one the connection counts as dead.";
    connect_timeout: Duration = time(500, HOUR), Is("15s"), "\"15s\"", "Wait for TCP, TLS and the WebSocket upgrade.";
    ping: Duration = Kind::Time { min: 1_000, max: DAY, zero: Some("none are sent") }, Is("60s"), "\"60s\"", "Time between WebSocket pings.";
    boot_retry: Duration = time(1_000, DAY), Is("60s"), "\"60s\"",
        "Wait before BootNotification is repeated where the back end names no time.";
    monthly_budget: u64 = Kind::Data { min: 1_000, max: 1_000_000_000_000 }, Absent("no limit, everything is told"), "\"50MB\"",
        "What this link may cost in a calendar month (UTC), both ways, as counted at the socket: TLS included, headers of TCP and IP not. When the days so far have used it up, periodic meter values are told less often, then not at all; begin, end and billing registers of sessions, statuses and security events always are. See metrics.md.";
    tags: Vec<(String, Place)> = Kind::Texts, Absent("sessions of every tag"), "[\"04A1*\", \"!04A1FF*\"]",
        "Only sessions with these tokens are reported to this back end. `*` stands for any characters, `!` takes tokens out. Who may charge is not decided here.";
    tags_file: PathBuf = Kind::Path, Absent("see `tags`"), "\"/etc/retrovolt/company.tags\"",
        "File with more such patterns, one a line.";
}

settings! {
    /// A fuse that several EVSEs share; together they never draw more than it carries.
    FuseKeys in "fuse", many: true, tables: [];
    name: String = Kind::Id, Required, "\"house\"", "Its name in logs and limits.";
    max_current: MilliAmps = Kind::Current { min: 6_000, max: 6_300_000, zero: None }, Required, "\"32A\"", "Its rating per phase.";
    members: Vec<(String, Place)> = Kind::Texts, Required, "[\"CP-GARAGE-1/1\"]",
        "Who hangs on it: `charge point/EVSE number`, or a charge point's id for all of its EVSEs.";
}

settings! {
    /// What a back end may update. Without this table there is no firmware here, and every order to update it is refused. The gateway
    /// fetches and checks a file and hands it over to an installer of yours (docs/adr/0012); it runs nothing itself.
    FirmwareKeys in "firmware", many: false, tables: [];
    spool: PathBuf = Kind::Path, Required, "\"/var/lib/retrovolt/firmware\"",
        "Folder that your installer watches. It is made if need be; the gateway must be allowed to write to it.";
    kind: String = Kind::OneOf(&["package", "charger"]), Required, "\"package\"",
        "What the files are: `package` for the gateway's own system, `charger` for the charger. The installer is told.";
    roots_file: PathBuf = Kind::Path, Absent("needed unless `accept_unsigned = true`"), "\"/etc/retrovolt/firmware-roots.pem\"",
        "PEM file with the manufacturer's root certificates: only SignedUpdateFirmware is taken, and only with a signature that leads to one of them.";
    accept_unsigned: bool = Kind::Bool, Is("false"), "true",
        "Your consent to UpdateFirmware, which proves nothing about where a file comes from. Not together with `roots_file`.";
    max_mib: i64 = Kind::Int { min: 1, max: 4_096 }, Is("32"), "32",
        "Largest file in MiB. A signed one is held in memory while it is checked: raise `MemoryMax=` of the unit with it.";
    waits_for_sessions: bool = Kind::Bool, Is("false"), "true",
        "An installation stops charging: it waits for the end of all sessions, and free connectors are out of service meanwhile. Otherwise charging goes on.";
    install_timeout: Duration = time(1_000, 7 * DAY), Is("30min"), "\"30min\"",
        "How long the installer may take; an update without a result by then has failed.";
}

settings! {
    /// Metrics for Prometheus and whoever speaks like it, at `/metrics` over HTTP. Without this table there are none. See metrics.md.
    MetricsKeys in "metrics", many: false, tables: [];
    listen: String = Kind::Text { max: 255 }, Required, "\"127.0.0.1:9469\"",
        "Where: an address of this machine with a port, or `unix:` and the path of a socket.";
    accept_remote: bool = Kind::Bool, Is("false"), "true",
        "Your consent to an address that other machines reach: whoever reaches it can read all metrics, and there is no password and no TLS.";
}

/// The settings of a broker, in whatever table there is one, and behind them those that table has of its own.
macro_rules! with_broker {
    (
        $(#[doc = $doc:literal])+
        $name:ident in $path:literal, many: $many:literal, tables: [$($sub:expr),*], client_id: $client:expr, $absent:literal, $example:literal;
        $($own:tt)*
    ) => {
        settings! {
            $(#[doc = $doc])+
            $name in $path, many: $many, tables: [$($sub),*];
            url: String = Kind::Text { max: 300 }, Required, "\"mqtts://broker.example.com:8883\"",
                "The broker: `mqtt://` or, by TLS, `mqtts://`; without a port 1883 and 8883.";
            user: String = Kind::Text { max: 255 }, Absent("none"), "\"retrovolt\"", "Account on the broker.";
            password: String = Kind::Secret, Absent("none"), "\"...\"", "Its password. Better kept out of this file: see the next two.";
            password_file: PathBuf = Kind::Path, Absent("see `password`"), "\"/etc/retrovolt/secrets/mqtt.password\"",
                "File that holds the password, readable by the gateway only.";
            password_credential: String = Kind::Text { max: 255 }, Absent("see `password`"), "\"mqtt.password\"",
                "Name of a systemd credential that holds the password (`LoadCredential=`).";
            ca_file: PathBuf = Kind::Path, Absent("the system's authorities and `gateway.trust_dir`"), "\"/etc/retrovolt/mqtt-ca.pem\"",
                "PEM file with authorities that are trusted for this broker beside the others.";
            certificate_file: PathBuf = Kind::Path, Absent("none is shown"), "\"/etc/retrovolt/secrets/mqtt.crt\"",
                "PEM file with our client certificate and its chain, with `mqtts://`.";
            key_file: PathBuf = Kind::Path, Absent("needed with `certificate_file`"), "\"/etc/retrovolt/secrets/mqtt.key\"",
                "PEM file with its private key, readable by the gateway only.";
            client_id: String = $client, Absent($absent), $example, "Client id. Two clients of a broker with the same one throw each other off.";
            protocol: String = Kind::OneOf(&["auto", "5", "3.1.1"]), Is("auto"), "\"auto\"",
                "MQTT version; `auto` is 5, and 3.1.1 with a broker that refuses 5.";
            keep_alive: Duration = time(5_000, HOUR), Is("30s"), "\"30s\"", "Longest silence toward the broker; after one and a half of it the broker takes us for gone.";
            $($own)*
        }
    };
}

with_broker! {
    /// What is published on an MQTT broker, and what may come back from there (docs/mqtt.md). Without this table there is no MQTT.
    MqttKeys in "mqtt", many: false, tables: [MqttAllowKeys::TABLE], client_id: Kind::Id, "`retrovolt-` and `gateway_id`", "\"retrovolt-garage\"";
    gateway_id: String = Kind::Id, Absent("the name of the host"), "\"garage\"",
        "Second level of every topic: small letters, digits, `_` and `-`, at most 32.";
    prefix: String = Kind::Id, Is("retrovolt"), "\"retrovolt\"", "First level of every topic, in the same characters.";
    refresh: Duration = time(5_000, HOUR), Is("60s"), "\"60s\"", "Everything is published at least this often, whether or not it has changed.";
    flat: bool = Kind::Bool, Is("false"), "true", "Publishes the main values once more under `flat/`, one topic and one plain value each.";
    keep_records: Duration = time(HOUR, 3_650 * DAY), Is("90d"), "\"90d\"",
        "How long a `record` waits for a broker that is away. Older ones are given up, told in the log and counted; the journal of sessions and every CSMS keep theirs.";
    monthly_budget: u64 = Kind::Data { min: 1_000, max: 1_000_000_000_000 }, Absent("no limit, everything is told"), "\"50MB\"",
        "What the broker may cost in a calendar month (UTC), both ways, as counted at the socket. When the days so far have used it up, measured values are told less often; events, records, availability, statuses, limits and answers to commands always are. See metrics.md.";
    commands: String = Kind::OneOf(&["off", "allow-list"]), Is("off"), "\"allow-list\"",
        "`off`: no command topic is subscribed; `allow-list`: those of each `[[mqtt.allow]]`.";
    ha_discovery: String = Kind::OneOf(&["device", "entity", "off"]), Is("off"), "\"device\"",
        "How Home Assistant is told what is here: `device` from 2024.11 on, `entity` also before, `off` not at all; what was announced before is taken back. See home-assistant.md.";
    ha_prefix: String = Kind::Text { max: 64 }, Is("homeassistant"), "\"homeassistant\"",
        "First level of Home Assistant's discovery topics, as it is set there.";
    ha_user: String = Kind::Text { max: 64 }, Absent("Home Assistant shows everything and switches nothing"), "\"homeassistant\"",
        "The `name` of the `[[mqtt.allow]]` that Home Assistant is: it gets switches, numbers and buttons for what that user may set.";
}

settings! {
    /// A user of the broker who may send commands, with `commands = "allow-list"`. The broker must see to it that only this account writes below its name.
    MqttAllowKeys in "mqtt.allow", many: true, tables: [];
    name: String = Kind::Text { max: 64 }, Required, "\"homeassistant\"", "The account, as it stands in the topic.";
    set: Vec<(String, Place)> = Kind::Texts, Absent("nothing"), "[\"enabled\", \"limit_a\"]",
        "What it may set: `enabled`, `limit_a`, `mode`, `phases`, `priority`, `departure`, `unlock`, `authorize`, `reset`.";
    request: Vec<(String, Place)> = Kind::Texts, Absent("nothing"), "[\"status\", \"refresh\"]",
        "What it may request: `info`, `status`, `sessions`, `refresh`.";
    spacing: Duration = time(100, HOUR), Is("1s"), "\"1s\"",
        "Least time between two commands with the same name for the same charge point; a stop never waits, and what closes a contactor or restarts is spaced by a minute whoever sends it. See mqtt.md.";
}

settings! {
    /// The gateway as an edge node of Sparkplug B, its charge points and meters as devices (docs/sparkplug.md). Without this table there is none.
    SparkplugKeys in "sparkplug", many: false, tables: [SparkplugBrokerKeys::TABLE];
    group: String = Kind::Text { max: 128 }, Required, "\"Depot North\"",
        "Group id. Without `+`, `/` and `#`.";
    edge_node: String = Kind::Text { max: 128 }, Required, "\"gw-1\"",
        "Edge node id, likewise. Group and edge node together must be unique in the whole system, also apart from capital letters.";
    host_id: String = Kind::Text { max: 128 }, Absent("births are published whoever listens"), "\"scada\"",
        "The primary host. Births wait until it says on `spBv1.0/STATE/HOST_ID` that it is online; when it goes, the next broker is tried.";
    aliases: bool = Kind::Bool, Is("false"), "true", "Data carries numbers instead of names: shorter, and harder to read by eye.";
    monthly_budget: u64 = Kind::Data { min: 1_000, max: 1_000_000_000_000 }, Absent("no limit, everything is told"), "\"50MB\"",
        "What all brokers together may cost in a calendar month (UTC), as `mqtt.monthly_budget`. Measured values are told less often when it is used up; births, deaths and everything else are not touched. See metrics.md.";
    commands: String = Kind::OneOf(&["off", "on"]), Is("off"), "\"on\"",
        "`on`: hosts may write `Control/...` of charge points. Who is a host is for the broker's access list to say.";
    reconnect_min: Duration = time(100, DAY), Is("1s"), "\"1s\"",
        "First wait before the brokers are tried again; doubles, with some randomness.";
    reconnect_max: Duration = time(100, DAY), Is("1min"), "\"1min\"", "Longest such wait.";
}

with_broker! {
    /// An MQTT broker of Sparkplug. Several are tried in this order.
    SparkplugBrokerKeys in "sparkplug.broker", many: true, tables: [], client_id: Kind::Text { max: 128 }, "`retrovolt-sparkplug-` and the edge node id", "\"gw-1\"";
}
