//! The documentation and the annotated example, both made from the declarations in `keys`.

use super::convert::expectation;
use super::keys::ROOT;
use super::setting::{Fallback, Key, Kind, Table};

/// `docs/configuration.md`.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(include_str!("reference_head.md"));
    for table in ROOT.tables {
        describe(table, &mut page);
    }
    page
}

fn describe(table: &Table, page: &mut String) {
    page.push_str(&format!("\n## `{}`\n\n{}\n\n", table.header(), table.help.trim()));
    page.push_str("| key | takes | default | what it does |\n|---|---|---|---|\n");
    for key in table.keys {
        let help = key.help.replace('|', "\\|");
        page.push_str(&format!(
            "| `{}` | {} | {} | {help} |\n",
            key.name,
            expectation(key.kind).replace('|', "\\|"),
            default(key),
        ));
    }
    for inner in table.tables {
        describe(inner, page);
    }
}

/// What holds without the key, in Markdown.
pub(super) fn default(key: &Key) -> String {
    match key.fallback {
        Fallback::Required => "**required**".to_owned(),
        Fallback::Absent(words) => words.to_owned(),
        Fallback::Is(text) => format!("`{}`", written(key.kind, text)),
    }
}

/// A default as it would stand in the file.
fn written(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Bool | Kind::Int { .. } | Kind::OneOfInt(_) | Kind::Texts | Kind::Open => text.to_owned(),
        _ if text == "0" => text.to_owned(),
        _ => format!("\"{text}\""),
    }
}

/// A table of the example: chosen settings, and whether the whole of it is commented out as a variant.
struct Stanza {
    table: &'static str,
    intro: &'static str,
    chosen: &'static [(&'static str, &'static str)],
    variant: bool,
    /// All other settings are shown too, commented out, with their help.
    full: bool,
}

const STANZAS: &[Stanza] = &[
    Stanza {
        table: "gateway",
        intro: "",
        chosen: &[],
        variant: false,
        full: true,
    },
    Stanza {
        table: "bus",
        intro: "One RS-485 line. `retrovolt ports` lists the ports with their stable paths.",
        chosen: &[
            ("id", "\"garage\""),
            (
                "port",
                "\"/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0\"",
            ),
            ("baud", "19200"),
            ("parity", "\"even\""),
        ],
        variant: false,
        full: true,
    },
    Stanza {
        table: "bus",
        intro: "Variant: a device, or a bridge to RS-485, that speaks Modbus TCP.",
        chosen: &[
            ("id", "\"lan\""),
            ("host", "\"192.168.1.50\""),
            ("tcp_port", "502"),
        ],
        variant: true,
        full: false,
    },
    Stanza {
        table: "device",
        intro: "The charger. It leaves the factory with 19200 baud, even parity; its unit id is set by a switch.",
        chosen: &[
            ("id", "\"wallbox\""),
            ("bus", "\"garage\""),
            ("profile", "\"heidelberg-energy-control\""),
            ("unit", "1"),
        ],
        variant: false,
        full: true,
    },
    Stanza {
        table: "device",
        intro: "The billing meter, on the same line: unit id, baud and parity were set on its display.",
        chosen: &[
            ("id", "\"meter\""),
            ("bus", "\"garage\""),
            ("profile", "\"eastron-sdm630\""),
            ("unit", "2"),
            ("poll", "\"1s\""),
        ],
        variant: false,
        full: false,
    },
    Stanza {
        table: "device",
        intro: "Variant: a charger board without a watchdog. It runs only with your consent.",
        chosen: &[
            ("id", "\"board\""),
            ("bus", "\"garage\""),
            ("profile", "\"evse-wb-din\""),
            ("unit", "3"),
            ("accept_no_failsafe", "true"),
        ],
        variant: true,
        full: false,
    },
    Stanza {
        table: "bus",
        intro: "Variant: a wallbox without a data line and an S0 meter, wired to the GPIO chip of a Raspberry Pi 4 (docs/gpio.md).",
        chosen: &[("id", "\"pins\""), ("gpio", "\"pinctrl-bcm2711\"")],
        variant: true,
        full: false,
    },
    Stanza {
        table: "device",
        intro: "Variant, continued: the wallbox behind its relay.",
        chosen: &[
            ("id", "\"contactor\""),
            ("bus", "\"pins\""),
            ("profile", "\"gpio-contactor\""),
            ("accept_no_failsafe", "true"),
        ],
        variant: true,
        full: false,
    },
    Stanza {
        table: "device.gpio",
        intro: "Variant, continued: what the wallbox offers once released, and the constant of the meter.",
        chosen: &[("rated_current", "\"16A\""), ("pulses_per_kwh", "1000")],
        variant: true,
        full: false,
    },
    Stanza {
        table: "device.line",
        intro: "Variant, continued: its output.",
        chosen: &[("signal", "\"relay\""), ("line", "\"GPIO17\"")],
        variant: true,
        full: false,
    },
    Stanza {
        table: "device.line",
        intro: "Variant, continued: the S0 output of its meter.",
        chosen: &[
            ("signal", "\"pulse\""),
            ("line", "\"GPIO27\""),
            ("active_low", "true"),
            ("bias", "\"pull-up\""),
        ],
        variant: true,
        full: false,
    },
    Stanza {
        table: "charge_point",
        intro: "",
        chosen: &[
            ("id", "\"CP-GARAGE-1\""),
            ("vendor", "\"Heidelberg\""),
            ("model", "\"Energy Control\""),
        ],
        variant: false,
        full: true,
    },
    Stanza {
        table: "charge_point.evse",
        intro: "",
        chosen: &[
            ("charger", "\"wallbox\""),
            ("meter", "\"meter\""),
            ("max_current", "\"16A\""),
            ("auth", "\"free\""),
            ("id_token", "\"FREE\""),
        ],
        variant: false,
        full: true,
    },
    Stanza {
        table: "charge_point.csms",
        intro: "",
        chosen: &[
            ("url", "\"ws://localhost:9000/ocpp/{id}\""),
            ("version", "\"1.6\""),
        ],
        variant: false,
        full: true,
    },
    Stanza {
        table: "charge_point.csms",
        intro: "Variant: OCPP 2.0.1 over TLS with a password (security profile 2).",
        chosen: &[
            ("url", "\"wss://csms.example.com/ocpp/{id}\""),
            ("version", "\"2.0.1\""),
            ("security", "\"basic\""),
            ("password_credential", "\"csms.password\""),
        ],
        variant: true,
        full: false,
    },
    Stanza {
        table: "charge_point.csms",
        intro: "Variant: a second back end that only reads, and is told of the company's cards alone.",
        chosen: &[
            ("name", "\"company\""),
            ("url", "\"wss://fleet.example.com/ocpp/{id}\""),
            ("tags", "[\"04A1*\"]"),
        ],
        variant: true,
        full: false,
    },
    Stanza {
        table: "fuse",
        intro: "Variant: several EVSEs behind one fuse.",
        chosen: &[
            ("name", "\"house\""),
            ("max_current", "\"32A\""),
            ("members", "[\"CP-GARAGE-1\"]"),
        ],
        variant: true,
        full: false,
    },
    Stanza {
        table: "firmware",
        intro: "Variant: a back end may update the gateway's package, if the manufacturer has signed it.",
        chosen: &[
            ("spool", "\"/var/lib/retrovolt/firmware\""),
            ("kind", "\"package\""),
            ("roots_file", "\"/etc/retrovolt/firmware-roots.pem\""),
        ],
        variant: true,
        full: false,
    },
    Stanza {
        table: "metrics",
        intro: "Variant: metrics for a Prometheus on this machine.",
        chosen: &[("listen", "\"127.0.0.1:9469\"")],
        variant: true,
        full: false,
    },
    Stanza {
        table: "sparkplug",
        intro: "Variant: a SCADA system that speaks Sparkplug B (docs/sparkplug.md).",
        chosen: &[("group", "\"Depot North\""), ("edge_node", "\"gw-1\"")],
        variant: true,
        full: false,
    },
    Stanza {
        table: "sparkplug.broker",
        intro: "Variant, continued: its broker.",
        chosen: &[
            ("url", "\"mqtts://broker.example.com:8883\""),
            ("user", "\"gw\""),
            ("password_file", "\"/etc/retrovolt/secrets/mqtt.password\""),
        ],
        variant: true,
        full: false,
    },
];

/// `config/retrovolt.toml`.
#[must_use]
pub fn example() -> String {
    let mut page = String::from(include_str!("example_head.toml"));
    let all = tables(ROOT);
    for stanza in STANZAS {
        if let Some(table) = all.iter().find(|table| table.path == stanza.table) {
            show(stanza, table, &mut page);
        }
    }
    page
}

fn tables(table: &'static Table) -> Vec<&'static Table> {
    let mut found = vec![table];
    found.extend(table.tables.iter().flat_map(|inner| tables(inner)));
    found
}

fn show(stanza: &Stanza, table: &Table, page: &mut String) {
    page.push('\n');
    if stanza.full {
        comment(table.help, page);
    }
    comment(stanza.intro, page);
    let off = if stanza.variant { "#" } else { "" };
    page.push_str(&format!("{off}{}\n", table.header()));
    let mut later = String::new();
    for key in table.keys {
        let chosen = stanza.chosen.iter().find(|(name, _)| *name == key.name);
        if stanza.full && key.kind == Kind::Open {
            // A table of its own has to follow the settings of this one.
            later.push('\n');
            comment(key.help, &mut later);
            later.push_str(&open_example(table, key));
            continue;
        }
        if stanza.full {
            page.push('\n');
            comment(key.help, page);
            comment(&takes(key), page);
        }
        match chosen {
            Some((name, value)) => page.push_str(&format!("{off}{name} = {value}\n")),
            None if stanza.full => {
                let value = match key.fallback {
                    Fallback::Is(text) => written(key.kind, text),
                    Fallback::Required | Fallback::Absent(_) => key.example.to_owned(),
                };
                page.push_str(&format!("#{} = {value}\n", key.name));
            }
            None => {}
        }
    }
    page.push_str(&later);
}

fn takes(key: &Key) -> String {
    let default = match key.fallback {
        Fallback::Required => "required".to_owned(),
        Fallback::Absent(words) if words.starts_with("needed") => words.to_owned(),
        Fallback::Absent(words) => format!("without it: {words}"),
        Fallback::Is(text) => format!("default {}", written(key.kind, text)),
    };
    format!("Takes {}; {default}.", expectation(key.kind))
}

fn open_example(table: &Table, key: &Key) -> String {
    let inner = key.example.trim_matches(['{', '}', ' ']);
    format!("#[{}]\n#{inner}\n", table.path_of(key.name))
}

/// Words as comment lines that fit a screen.
fn comment(words: &str, page: &mut String) {
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.len() + word.len() >= 110 {
            page.push_str(&line);
            page.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    if line.len() > 1 {
        page.push_str(&line);
        page.push('\n');
    }
}
