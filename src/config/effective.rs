//! The configuration as it is in force: every default filled in, drop-ins and environment applied, secrets left out.

use super::quantity::{data, duration};
use crate::domain::{
    AuthMode, BrokerSetup, BusSetup, ContactSetup, CpSetup, CsmsSetup, DeviceSetup, EvseSetup, FirmwareSetup,
    FuseSetup, GpioDevice, GpioSignal, LineName, Link, Listen, MilliAmps, MqttSetup, OcppVersion, Phase,
    Protocol, Security, SiteSetup, SparkplugSetup,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The site as a configuration file that says everything; a password reads `***`.
#[must_use]
pub fn effective(setup: &SiteSetup) -> String {
    let mut page = Page(String::new());
    page.header("[gateway]");
    page.path("state_dir", &setup.state_dir);
    page.line("session_records", setup.session_records);
    page.path("socket", &setup.socket);
    page.maybe_path("trust_dir", setup.trust_dir.as_deref());
    page.maybe_path("device_dir", setup.device_dir.as_deref());
    if let Some(url) = &setup.page_url {
        page.text("page_url", url);
    }
    page.time("inhibit_shutdown", setup.inhibit_shutdown);
    for bus in &setup.buses {
        page.bus(bus);
    }
    for bus in &setup.buses {
        for device in &bus.devices {
            page.device(bus, device);
        }
    }
    for point in &setup.charge_points {
        page.charge_point(point, &setup.budgets);
    }
    for fuse in &setup.fuses {
        page.fuse(fuse);
    }
    // The same for all charge points.
    if let Some(firmware) = setup
        .charge_points
        .iter()
        .find_map(|point| point.firmware.as_ref())
    {
        page.firmware(firmware);
    }
    if let Some(listen) = &setup.metrics {
        page.metrics(listen);
    }
    if let Some(mqtt) = &setup.mqtt {
        page.mqtt(mqtt, setup.budgets.get(SiteSetup::BROKER));
    }
    if let Some(sparkplug) = &setup.sparkplug {
        page.sparkplug(sparkplug, setup.budgets.get(SiteSetup::SPARKPLUG));
    }
    page.0
}

struct Page(String);

impl Page {
    fn header(&mut self, header: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(header);
        self.0.push('\n');
    }

    fn line(&mut self, key: &str, value: impl std::fmt::Display) {
        self.0.push_str(&format!("{key} = {value}\n"));
    }

    fn text(&mut self, key: &str, value: &str) {
        let quoted = toml::Value::String(value.to_owned());
        self.line(key, quoted);
    }

    fn path(&mut self, key: &str, path: &Path) {
        self.text(key, &path.display().to_string());
    }

    fn maybe_path(&mut self, key: &str, path: Option<&Path>) {
        if let Some(path) = path {
            self.path(key, path);
        }
    }

    fn time(&mut self, key: &str, value: std::time::Duration) {
        self.text(key, &duration(value));
    }

    fn current(&mut self, key: &str, value: MilliAmps) {
        self.text(key, &value.to_string().replace(' ', ""));
    }

    fn bus(&mut self, bus: &BusSetup) {
        self.header("[[bus]]");
        self.text("id", bus.id.as_str());
        match &bus.link {
            Link::Serial {
                path,
                baud,
                parity,
                data_bits,
                stop_bits,
                echo,
            } => {
                self.path("port", path);
                self.line("baud", baud);
                self.text("parity", parity.word());
                self.line("data_bits", data_bits);
                self.line("stop_bits", stop_bits);
                self.line("echo", echo);
            }
            Link::Input { path } => self.path("port", path),
            Link::Tcp { host, port } => {
                self.text("host", host);
                self.line("tcp_port", port);
            }
            Link::Gpio(link) => {
                self.text("gpio", &link.chip);
            }
        }
        self.text("protocol", bus.protocol.word());
        if bus.protocol == Protocol::Modbus {
            self.text("framing", bus.framing.word());
        }
        self.time("min_gap", bus.min_gap);
        self.time("timeout", bus.timeout);
        self.time("reopen_wait", bus.reopen_wait);
    }

    fn device(&mut self, bus: &BusSetup, device: &DeviceSetup) {
        self.header("[[device]]");
        self.text("id", device.id.as_str());
        self.text("bus", bus.id.as_str());
        self.text("profile", &device.profile);
        if !matches!(bus.link, Link::Gpio(_)) {
            self.line("unit", device.unit);
        }
        if let Some(address) = &device.address {
            self.text("address", address);
        }
        self.line("connector", device.connector);
        let times = [
            ("poll", device.poll),
            ("timeout", device.timeout),
            ("watchdog_timeout", device.watchdog_timeout),
            ("watchdog_feed", device.watchdog_feed),
        ];
        for (key, value) in times {
            if let Some(value) = value {
                self.time(key, value);
            }
        }
        if let Some(value) = device.failsafe_current {
            self.current("failsafe_current", value);
        }
        self.line("accept_no_failsafe", device.accept_no_failsafe);
        if let Link::Gpio(link) = &bus.link
            && let Some(wired) = link.devices.get(&device.id)
        {
            self.wiring(wired);
        }
    }

    fn wiring(&mut self, wired: &GpioDevice) {
        self.header("[device.gpio]");
        if let Some(relay) = wired.relay {
            self.current("rated_current", relay.rated);
            self.time("min_on", relay.min_on);
            self.time("min_off", relay.min_off);
        }
        if let Some(pulses) = wired.pulses {
            self.line("pulses_per_kwh", pulses.per_kwh);
            self.line("meter_start_wh", pulses.start.base());
            self.time("pulse_width", pulses.width);
        }
        for (signal, line) in &wired.lines {
            self.header("[[device.line]]");
            self.text("signal", signal.word());
            match &line.at {
                LineName::Name(name) => self.text("line", name),
                LineName::Offset(offset) => self.line("offset", offset),
            }
            self.line("active_low", line.active_low);
            self.text("bias", line.bias.word());
            if *signal != GpioSignal::Relay {
                self.time("debounce", line.debounce);
            }
        }
    }

    fn charge_point(&mut self, point: &CpSetup, budgets: &BTreeMap<String, u64>) {
        self.header("[[charge_point]]");
        self.text("id", point.id.as_str());
        self.text("vendor", &point.vendor);
        self.text("model", &point.model);
        if let Some(serial) = &point.serial {
            self.text("serial", serial);
        }
        for evse in &point.evses {
            self.evse(evse);
        }
        for csms in &point.csms {
            self.csms(csms);
            self.budget(budgets.get(&format!("{}/{}", point.id, csms.name)));
        }
        self.names("[charge_point.ocpp16]", &point.keys);
        self.names("[charge_point.ocpp201]", &point.variables);
    }

    fn evse(&mut self, evse: &EvseSetup) {
        self.header("[[charge_point.evse]]");
        self.text("charger", evse.charger.as_str());
        if let Some(meter) = &evse.meter {
            self.text("meter", meter.as_str());
        }
        if let Some(reader) = &evse.reader {
            self.text("reader", reader.as_str());
        }
        let own = [Some(&evse.charger), evse.meter.as_ref(), evse.reader.as_ref()];
        let further: Vec<toml::Value> = evse
            .contacts
            .iter()
            .filter(|contacts| !own.contains(&Some(&contacts.device)))
            .map(|contacts| toml::Value::String(contacts.device.as_str().to_owned()))
            .collect();
        if !further.is_empty() {
            self.line("contacts", toml::Value::Array(further));
        }
        self.line("phases", evse.phases);
        self.text(
            "first_phase",
            match evse.first_phase {
                Phase::L2 => "L2",
                Phase::L3 => "L3",
                _ => "L1",
            },
        );
        self.current("max_current", evse.max_current);
        self.current("min_current", evse.min_current);
        let dims = |contacts: &ContactSetup| contacts.signals.contains(&GpioSignal::Dimming);
        if evse.contacts.iter().any(dims) {
            self.current("dimmed_current", evse.dimmed_current);
        }
        self.text("nominal_voltage", &format!("{}V", evse.nominal_voltage));
        let (mode, token) = match &evse.auth {
            AuthMode::Free(token) => ("free", Some(token)),
            AuthMode::Remote => ("remote", None),
            AuthMode::Reader => ("reader", None),
            AuthMode::Charger(token) => ("charger", token.as_ref()),
        };
        self.text("auth", mode);
        if let Some(token) = token {
            self.text("id_token", &token.text);
        }
        self.time("meter_stale_after", evse.meter_stale_after);
    }

    fn csms(&mut self, csms: &CsmsSetup) {
        self.header("[[charge_point.csms]]");
        self.text("name", &csms.name);
        self.text("url", &csms.url);
        if let Some(url) = &csms.secure_url {
            self.text("secure_url", url);
        }
        self.text(
            "version",
            match csms.version {
                OcppVersion::V16 => "1.6",
                OcppVersion::V201 => "2.0.1",
            },
        );
        match &csms.security {
            Security::None => self.text("security", "none"),
            Security::Basic { .. } => {
                self.text("security", "basic");
                self.text("password", "***");
            }
            Security::Client { certificate, key } => {
                self.text("security", "client");
                self.path("certificate_file", certificate);
                self.path("key_file", key);
            }
        }
        self.time("reconnect_min", csms.reconnect_min);
        self.time("reconnect_max", csms.reconnect_max);
        self.time("message_timeout", csms.message_timeout);
        self.time("connect_timeout", csms.connect_timeout);
        self.time("ping", csms.ping);
        self.time("boot_retry", csms.boot_retry);
        if !csms.tags.is_open() {
            let tags: Vec<toml::Value> = csms.tags.written().map(toml::Value::String).collect();
            self.line("tags", toml::Value::Array(tags));
        }
    }

    fn names(&mut self, header: &str, names: &BTreeMap<String, String>) {
        if names.is_empty() {
            return;
        }
        self.header(header);
        for (name, value) in names {
            let name = toml::Value::String(name.clone());
            self.text(&name.to_string(), value);
        }
    }

    fn firmware(&mut self, firmware: &FirmwareSetup) {
        self.header("[firmware]");
        self.path("spool", &firmware.spool);
        self.text("kind", firmware.kind.word());
        self.maybe_path("roots_file", firmware.roots.as_deref());
        self.line("accept_unsigned", firmware.roots.is_none());
        self.line("max_mib", firmware.max_bytes / (1024 * 1024));
        self.line("waits_for_sessions", firmware.waits_for_sessions);
        self.time("install_timeout", firmware.install_timeout);
    }

    fn metrics(&mut self, listen: &Listen) {
        self.header("[metrics]");
        self.text("listen", &listen.to_string());
        let remote = matches!(listen, Listen::Tcp(address) if !address.ip().is_loopback());
        self.line("accept_remote", remote);
    }

    fn budget(&mut self, budget: Option<&u64>) {
        if let Some(budget) = budget {
            self.text("monthly_budget", &data(*budget));
        }
    }

    fn broker(&mut self, broker: &BrokerSetup) {
        let (scheme, port) = (if broker.tls { "mqtts" } else { "mqtt" }, broker.port);
        let host = if broker.host.contains(':') {
            format!("[{}]", broker.host)
        } else {
            broker.host.clone()
        };
        self.text("url", &format!("{scheme}://{host}:{port}"));
        if let Some(user) = &broker.user {
            self.text("user", user);
        }
        if broker.password.is_some() {
            self.text("password", "***");
        }
        self.maybe_path("ca_file", broker.ca_file.as_deref());
        if let Some((certificate, key)) = &broker.identity {
            self.path("certificate_file", certificate);
            self.path("key_file", key);
        }
        self.text("client_id", &broker.client_id);
        self.text("protocol", broker.version.word());
        self.time("keep_alive", broker.keep_alive);
    }

    fn sparkplug(&mut self, sparkplug: &SparkplugSetup, budget: Option<&u64>) {
        self.header("[sparkplug]");
        self.text("group", &sparkplug.group);
        self.text("edge_node", &sparkplug.edge_node);
        if let Some(host) = &sparkplug.host_id {
            self.text("host_id", host);
        }
        self.line("aliases", sparkplug.aliases);
        self.budget(budget);
        self.text("commands", if sparkplug.commands { "on" } else { "off" });
        self.time("reconnect_min", sparkplug.retry.0);
        self.time("reconnect_max", sparkplug.retry.1);
        for broker in &sparkplug.brokers {
            self.header("[[sparkplug.broker]]");
            self.broker(broker);
        }
    }

    fn mqtt(&mut self, mqtt: &MqttSetup, budget: Option<&u64>) {
        self.header("[mqtt]");
        self.broker(&mqtt.broker);
        self.text("gateway_id", &mqtt.gateway);
        self.text("prefix", &mqtt.prefix);
        self.time("refresh", mqtt.refresh);
        self.line("flat", mqtt.flat);
        self.time("keep_records", mqtt.keep_records);
        self.budget(budget);
        self.text(
            "commands",
            if mqtt.commands.is_some() {
                "allow-list"
            } else {
                "off"
            },
        );
        self.text("ha_discovery", mqtt.ha.form.word());
        self.text("ha_prefix", &mqtt.ha.prefix);
        if let Some(user) = &mqtt.ha.user {
            self.text("ha_user", user);
        }
        for (name, rights) in mqtt.commands.iter().flatten() {
            self.header("[[mqtt.allow]]");
            self.text("name", name);
            let list = |words: &BTreeSet<String>| {
                let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                format!("[{}]", quoted.join(", "))
            };
            self.line("set", list(&rights.keys));
            self.line("request", list(&rights.operations));
            self.time("spacing", rights.spacing);
        }
    }

    fn fuse(&mut self, fuse: &FuseSetup) {
        self.header("[[fuse]]");
        self.text("name", &fuse.name);
        self.current("max_current", fuse.max_current);
        let members: Vec<String> = fuse
            .members
            .iter()
            .map(|(point, evse)| format!("\"{point}/{evse}\""))
            .collect();
        self.line("members", format!("[{}]", members.join(", ")));
    }
}
