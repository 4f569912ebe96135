//! A good file, and the mistakes people make in it.

/// One mistake: what is put in the place of what, and the answer that is wanted. `«` marks where it is to be found.
#[derive(Clone, Copy)]
pub struct Mistake {
    pub name: &'static str,
    pub find: &'static str,
    pub put: &'static str,
    pub key: &'static str,
    pub problem: &'static str,
    pub expected: &'static str,
    pub suggestion: &'static str,
    /// Where it is to be found, if it shows elsewhere than where it was made.
    pub at: Option<&'static str>,
    /// It is only a warning.
    pub warning: bool,
}

const fn error(
    name: &'static str,
    [find, put]: [&'static str; 2],
    key: &'static str,
    [problem, expected, suggestion]: [&'static str; 3],
) -> Mistake {
    Mistake {
        name,
        find,
        put,
        key,
        problem,
        expected,
        suggestion,
        at: None,
        warning: false,
    }
}

const fn warning(
    name: &'static str,
    change: [&'static str; 2],
    key: &'static str,
    answer: [&'static str; 3],
) -> Mistake {
    Mistake {
        warning: true,
        ..error(name, change, key, answer)
    }
}

/// A mistake that shows elsewhere.
const fn shows_at(at: &'static str, mistake: Mistake) -> Mistake {
    Mistake {
        at: Some(at),
        ..mistake
    }
}

/// Two charge points on a serial line and a network charger.
pub const GOOD: &str = r#"# A house with two places to charge.
[gateway]
log_level = "info"
state_dir = "/var/lib/retrovolt"
socket = "/run/retrovolt/ctl.sock"

[[bus]]
id = "garage"
port = "/dev/serial/by-id/usb-none-of-this-machine"
baud = 19200
parity = "even"
min_gap = "50ms"
timeout = "500ms"

[[bus]]
id = "lan"
host = "192.168.1.50"

[[device]]
id = "wallbox"
bus = "garage"
profile = "heidelberg-energy-control"
unit = 1
watchdog_timeout = "15s"

[[device]]
id = "meter"
bus = "garage"
profile = "eastron-sdm630"
unit = 2
poll = "1s"

[[device]]
id = "keba"
bus = "lan"
profile = "keba-p30"
unit = 255

[[charge_point]]
id = "CP-1"
vendor = "Heidelberg"
model = "Energy Control"

[[charge_point.evse]]
charger = "wallbox"
meter = "meter"
max_current = "16A"
auth = "free"
id_token = "FREE"

[[charge_point.csms]]
url = "ws://localhost:9000/ocpp/{id}/"
version = "1.6"
reconnect_min = "1s"

[charge_point.ocpp16]
HeartbeatInterval = 300
LocalPreAuthorize = true

[[charge_point]]
id = "CP-2"

[[charge_point.evse]]
charger = "keba"
phases = 3
first_phase = "L2"
max_current = "32A"
auth = "remote"

[[charge_point.csms]]
url = "wss://csms.example.com/{id}"
version = "2.0.1"

[charge_point.ocpp201]
OCPPCommCtrlr.HeartbeatInterval = 60

[[fuse]]
name = "house"
max_current = "35A"
members = ["CP-1/1", "CP-2"]
"#;

/// Sixty and more.
pub const MISTAKES: &[Mistake] = &[
    // Names.
    error(
        "a key misspelt",
        ["min_gap = \"50ms\"", "«min_gpa = \"50ms\""],
        "bus.min_gpa",
        ["no such key", "min_gap", "did you mean 'min_gap'"],
    ),
    error(
        "a key with hyphens",
        ["log_level =", "«log-level ="],
        "gateway.log-level",
        ["no such key", "log_level", "did you mean 'log_level'"],
    ),
    error(
        "a page that no browser opens",
        ["[gateway]", "[gateway]\npage_url = «\"grafana.local/d\""],
        "gateway.page_url",
        ["no address of a page", "http://", "or remove it"],
    ),
    error(
        "a table misspelt",
        ["[gateway]", "[«gatway]"],
        "gatway",
        ["no such key", "gateway, bus", "did you mean 'gateway'"],
    ),
    error(
        "a key of another table",
        ["unit = 255", "unit = 255\n«baud = 9600"],
        "device.baud",
        ["no such key", "one of id, bus", "move it to [[bus]]"],
    ),
    error(
        "a device within its bus",
        [
            "[[bus]]\nid = \"lan\"",
            "[[bus.«device]]\nid = \"x\"\n\n[[bus]]\nid = \"lan\"",
        ],
        "bus.device",
        ["no such key", "one of id", "write [[device]] at the top level"],
    ),
    error(
        "a key nobody knows",
        ["parity = \"even\"", "parity = \"even\"\n«colour = \"red\""],
        "bus.colour",
        ["no such key", "one of", "docs/configuration.md"],
    ),
    error(
        "one bracket too few",
        ["[[fuse]]", "[«fuse]"],
        "fuse",
        ["is not a list", "[[fuse]]", "write [[fuse]]"],
    ),
    error(
        "one bracket too many",
        ["[gateway]", "[[«gateway]]"],
        "gateway",
        ["only one such table", "[gateway]", "write [gateway]"],
    ),
    error(
        "a table that is a value",
        [
            "# A house with two places to charge.\n[gateway]\nlog_level = \"info\"\nstate_dir = \"/var/lib/retrovolt\"\nsocket = \"/run/retrovolt/ctl.sock\"\n",
            "gateway = «\"info\"\n",
        ],
        "gateway",
        ["where a table belongs", "a table [gateway]", "write [gateway]"],
    ),
    // What must be there.
    error(
        "no bus id",
        ["[[bus]]\nid = \"lan\"\n", "«[[bus]]\n"],
        "bus.id",
        ["is missing", "1 to 36", "add id = "],
    ),
    error(
        "neither port nor host",
        [
            "[[bus]]\nid = \"lan\"\nhost = \"192.168.1.50\"\n",
            "«[[bus]]\nid = \"lan\"\n",
        ],
        "bus.port",
        ["is missing", "`port`", "retrovolt ports"],
    ),
    error(
        "no profile",
        [
            "[[device]]\nid = \"keba\"\nbus = \"lan\"\nprofile = \"keba-p30\"\n",
            "«[[device]]\nid = \"keba\"\nbus = \"lan\"\n",
        ],
        "device.profile",
        ["is missing", "a text", "add profile = "],
    ),
    error(
        "no maximum current",
        [
            "[[charge_point.evse]]\ncharger = \"keba\"\nphases = 3\nfirst_phase = \"L2\"\nmax_current = \"32A\"\n",
            "«[[charge_point.evse]]\ncharger = \"keba\"\n",
        ],
        "charge_point.evse.max_current",
        ["is missing", "a current from 6A", "add max_current = \"16A\""],
    ),
    error(
        "no authorisation mode",
        [
            "[[charge_point.evse]]\ncharger = \"keba\"\nphases = 3\nfirst_phase = \"L2\"\nmax_current = \"32A\"\nauth = \"remote\"\n",
            "«[[charge_point.evse]]\ncharger = \"keba\"\nmax_current = \"32A\"\n",
        ],
        "charge_point.evse.auth",
        ["is missing", "\"free\"", "add auth = "],
    ),
    error(
        "no token for free charging",
        ["auth = \"free\"\nid_token = \"FREE\"\n", "auth = «\"free\"\n"],
        "charge_point.evse.id_token",
        ["is missing", "a token", "add id_token"],
    ),
    shows_at(
        "[[charge_point]]\nid = \"CP-2\"",
        error(
            "no back end",
            [
                "[[charge_point.csms]]\nurl = \"wss://csms.example.com/{id}\"\nversion = \"2.0.1\"\n\n[charge_point.ocpp201]\nOCPPCommCtrlr.HeartbeatInterval = 60\n",
                "",
            ],
            "charge_point.csms",
            [
                "no back end",
                "[[charge_point.csms]]",
                "add a [[charge_point.csms]]",
            ],
        ),
    ),
    shows_at(
        "[[charge_point]]\nid = \"CP-2\"",
        error(
            "no EVSE",
            [
                "[[charge_point.evse]]\ncharger = \"keba\"\nphases = 3\nfirst_phase = \"L2\"\nmax_current = \"32A\"\nauth = \"remote\"\n",
                "",
            ],
            "charge_point.evse",
            ["no EVSE", "[[charge_point.evse]]", "add a [[charge_point.evse]]"],
        ),
    ),
    // Types.
    error(
        "a number in quotes",
        ["baud = 19200", "baud = «\"19200\""],
        "bus.baud",
        ["is a text", "one of", "did you mean baud = 19200"],
    ),
    error(
        "a text without quotes that is a number",
        ["id = \"garage\"", "id = «12"],
        "bus.id",
        ["not in quotes", "1 to 36", "did you mean id = \"12\""],
    ),
    error(
        "yes for true",
        ["parity = \"even\"", "parity = \"even\"\necho = «\"yes\""],
        "bus.echo",
        ["not a truth value", "true or false", "did you mean echo = true"],
    ),
    error(
        "a float for a whole number",
        ["unit = 2", "unit = «2.5"],
        "device.unit",
        ["is not whole", "1 to 255", "did you mean unit = 2"],
    ),
    error(
        "a text for a list",
        ["members = [\"CP-1/1\", \"CP-2\"]", "members = «\"CP-1/1\""],
        "fuse.members",
        ["is not a list", "a list", "[\"CP-1/1\"]"],
    ),
    error(
        "a list for a text",
        ["profile = \"keba-p30\"", "profile = «[\"keba-p30\"]"],
        "device.profile",
        ["a list", "a text", "write profile = "],
    ),
    error(
        "an empty text",
        ["vendor = \"Heidelberg\"", "vendor = «\"\""],
        "charge_point.vendor",
        ["is empty", "1 to 20", "write vendor = "],
    ),
    // Ranges and choices.
    error(
        "a baud rate that is none",
        ["baud = 19200", "baud = «19300"],
        "bus.baud",
        ["19300", "one of 300", "did you mean 19200"],
    ),
    error(
        "a parity that is none",
        ["parity = \"even\"", "parity = «\"evn\""],
        "bus.parity",
        ["not known", "\"none\", \"even\", \"odd\"", "did you mean 'even'"],
    ),
    error(
        "a unit out of range",
        ["unit = 2\n", "unit = «300\n"],
        "device.unit",
        ["out of range", "1 to 255", "nearest valid value is 255"],
    ),
    error(
        "a unit of zero",
        ["unit = 1\n", "unit = «0\n"],
        "device.unit",
        ["out of range", "1 to 255", "nearest valid value is 1"],
    ),
    error(
        "two phases",
        ["phases = 3", "phases = «2"],
        "charge_point.evse.phases",
        ["2 is not possible", "one of 1, 3", "did you mean"],
    ),
    error(
        "an unknown authorisation mode",
        ["auth = \"remote\"", "auth = «\"remot\""],
        "charge_point.evse.auth",
        ["not known", "\"free\", \"remote\"", "did you mean 'remote'"],
    ),
    error(
        "a version that is none",
        ["version = \"1.6\"", "version = «\"1.6J\""],
        "charge_point.csms.version",
        ["not known", "\"1.6\", \"2.0.1\"", "did you mean '1.6'"],
    ),
    error(
        "a vendor too long",
        [
            "vendor = \"Heidelberg\"",
            "vendor = «\"Heidelberger Druckmaschinen\"",
        ],
        "charge_point.vendor",
        ["too many", "1 to 20", "shorten it"],
    ),
    error(
        "a charge point id with a blank",
        ["id = \"CP-1\"\nvendor", "id = «\"CP 1\"\nvendor"],
        "charge_point.id",
        ["contains ' '", "A-Z a-z 0-9 _ -", "did you mean 'CP-1'"],
    ),
    error(
        "a log level that is none",
        ["log_level = \"info\"", "log_level = «\"warning\""],
        "gateway.log_level",
        ["not known", "\"warn\"", "did you mean 'warn'"],
    ),
    // Units.
    error(
        "a time without unit",
        ["timeout = \"500ms\"", "timeout = «500"],
        "bus.timeout",
        ["has no unit", "with its unit", "\"500ms\" or"],
    ),
    error(
        "a word for a unit",
        ["timeout = \"500ms\"", "timeout = «\"1 sec\""],
        "bus.timeout",
        ["not a unit", "with its unit", "did you mean \"1s\""],
    ),
    error(
        "a decimal comma",
        ["poll = \"1s\"", "poll = «\"0,5 s\""],
        "device.poll",
        ["decimal comma", "with its unit", "did you mean \"0.5 s\""],
    ),
    error(
        "a poll below 100 ms",
        ["poll = \"1s\"", "poll = «\"50ms\""],
        "device.poll",
        ["too small", "from 100ms", "\"100ms\""],
    ),
    error(
        "a current with a foreign unit",
        ["max_current = \"16A\"", "max_current = «\"11kW\""],
        "charge_point.evse.max_current",
        ["not a unit", "with its unit", "max_current = \"16A\""],
    ),
    error(
        "a current without unit",
        ["max_current = \"32A\"", "max_current = «32"],
        "charge_point.evse.max_current",
        ["no unit", "with its unit", "\"32A\""],
    ),
    error(
        "a current below 6 A",
        ["max_current = \"16A\"", "max_current = «\"5A\""],
        "charge_point.evse.max_current",
        ["too small", "from 6A", "\"6A\""],
    ),
    error(
        "a reconnect below 1 s",
        ["reconnect_min = \"1s\"", "reconnect_min = «\"200ms\""],
        "charge_point.csms.reconnect_min",
        ["too small", "from 1s", "\"1s\""],
    ),
    error(
        "a unit said twice",
        ["poll = \"1s\"", "poll = \"1s\"\n«poll_ms = 500"],
        "device.poll_ms",
        ["says the same", "one of the two", "remove"],
    ),
    // References.
    error(
        "an unknown bus",
        ["bus = \"lan\"", "bus = «\"lann\""],
        "device.bus",
        ["no bus", "garage, lan", "did you mean 'lan'"],
    ),
    error(
        "an unknown profile",
        ["profile = \"eastron-sdm630\"", "profile = «\"eastron-sdm360\""],
        "device.profile",
        ["no profile", "shipped profile", "did you mean 'eastron-sdm630'"],
    ),
    error(
        "an unknown charger",
        ["charger = \"wallbox\"", "charger = «\"walbox\""],
        "charge_point.evse.charger",
        ["no device", "wallbox, meter, keba", "did you mean 'wallbox'"],
    ),
    error(
        "a meter as charger",
        [
            "charger = \"wallbox\"\nmeter = \"meter\"\n",
            "charger = «\"meter\"\n",
        ],
        "charge_point.evse.charger",
        ["cannot be the charger", "the id of a charger", "choose one of"],
    ),
    error(
        "contacts on a device that has none",
        [
            "charger = \"wallbox\"\n",
            "charger = \"wallbox\"\ncontacts = [«\"meter\"]\n",
        ],
        "charge_point.evse.contacts",
        [
            "'meter' has no emergency_stop, tamper or dimming line",
            "there is none",
            "profile = \"gpio-contacts\"",
        ],
    ),
    error(
        "contacts on a device that is not there",
        [
            "charger = \"wallbox\"\n",
            "charger = \"wallbox\"\ncontacts = [«\"pins\"]\n",
        ],
        "charge_point.evse.contacts",
        [
            "no device \"pins\"",
            "such lines",
            "add a [[device]] with id = \"pins\"",
        ],
    ),
    error(
        "dimmed to more than there is",
        [
            "charger = \"wallbox\"\n",
            "charger = \"wallbox\"\ndimmed_current = «\"80A\"\n",
        ],
        "charge_point.evse.dimmed_current",
        ["80 A is more than", "at most", "write less"],
    ),
    error(
        "dimmed to less than a vehicle can have",
        [
            "charger = \"wallbox\"\n",
            "charger = \"wallbox\"\ndimmed_current = «\"4A\"\n",
        ],
        "charge_point.evse.dimmed_current",
        ["less than the min_current", "0, which says so", "\"0A\""],
    ),
    warning(
        "dimmed by nobody",
        [
            "charger = \"wallbox\"\n",
            "charger = \"wallbox\"\ndimmed_current = «\"6A\"\n",
        ],
        "charge_point.evse.dimmed_current",
        [
            "no dimming contact",
            "signal = \"dimming\"",
            "charge_point.evse.contacts",
        ],
    ),
    error(
        "a fuse member that is none",
        ["\"CP-2\"]", "«\"CP-3\"]"],
        "fuse.members",
        ["no charge point", "CP-1, CP-2", "did you mean 'CP-"],
    ),
    error(
        "a fuse member without that EVSE",
        ["\"CP-1/1\"", "«\"CP-1/2\""],
        "fuse.members",
        ["has no EVSE", "from 1 to 1", "did you mean 'CP-1/1'"],
    ),
    // Doubles.
    error(
        "two buses of one name",
        ["id = \"lan\"", "id = «\"garage\""],
        "bus.id",
        ["already", "of its own", "garage-2"],
    ),
    error(
        "two devices of one unit id",
        ["unit = 2\n", "unit = «1\n"],
        "device.unit",
        ["already", "of its own", "2 is free"],
    ),
    error(
        "two charge points of one id",
        ["id = \"CP-2\"", "id = «\"CP-1\""],
        "charge_point.id",
        ["already", "of its own", "CP-1-2"],
    ),
    error(
        "one charger for two EVSEs",
        ["charger = \"keba\"", "charger = «\"wallbox\""],
        "charge_point.evse.charger",
        ["another EVSE", "of its own", "[[device]]"],
    ),
    error(
        "a key twice",
        ["baud = 19200\n", "baud = 19200\n«baud = 9600\n"],
        "bus.baud",
        ["is there twice", "each key once", "or line 10"],
    ),
    // Things that do not go together.
    error(
        "port and host",
        [
            "host = \"192.168.1.50\"",
            "port = \"/dev/serial/by-id/other\"\nhost = «\"192.168.1.50\"",
        ],
        "bus.host",
        ["both", "one of the two", "remove one"],
    ),
    error(
        "a baud rate on a network",
        ["host = \"192.168.1.50\"", "host = \"192.168.1.50\"\nbaud = «9600"],
        "bus.baud",
        ["does not belong", "Modbus TCP", "remove it"],
    ),
    error(
        "a host with its port",
        ["host = \"192.168.1.50\"", "host = «\"192.168.1.50:1502\""],
        "bus.host",
        ["is not a host", "a name or an address", "tcp_port = 1502"],
    ),
    error(
        "a port of another system",
        [
            "port = \"/dev/serial/by-id/usb-none-of-this-machine\"",
            "port = «\"COM3\"",
        ],
        "bus.port",
        ["is not the path", "/dev/serial/by-id", "retrovolt ports"],
    ),
    error(
        "a feed slower than the watchdog",
        [
            "watchdog_timeout = \"15s\"",
            "watchdog_timeout = \"15s\"\nwatchdog_feed = «\"14s\"",
        ],
        "device.watchdog_feed",
        ["too seldom", "at most half", "\"7500ms\""],
    ),
    error(
        "a failsafe above the EVSE",
        [
            "watchdog_timeout = \"15s\"",
            "watchdog_timeout = \"15s\"\nfailsafe_current = «\"20A\"",
        ],
        "device.failsafe_current",
        ["more than", "at most 16 A", "\"6A\""],
    ),
    error(
        "a minimum above the maximum",
        [
            "max_current = \"16A\"",
            "max_current = \"16A\"\nmin_current = «\"20A\"",
        ],
        "charge_point.evse.min_current",
        ["more than max_current", "at or below", "\"6A\""],
    ),
    shows_at(
        "\"32A\"",
        error(
            "an EVSE above its fuse",
            [
                "name = \"house\"\nmax_current = \"35A\"",
                "name = \"house\"\nmax_current = \"20A\"",
            ],
            "charge_point.evse.max_current",
            ["more than the 20 A", "at most 20 A", "max_current = \"20A\""],
        ),
    ),
    error(
        "a longest wait below the first",
        [
            "reconnect_min = \"1s\"",
            "reconnect_min = \"1min\"\nreconnect_max = «\"10s\"",
        ],
        "charge_point.csms.reconnect_max",
        ["longer than reconnect_max", "at or above", "\"1min\""],
    ),
    error(
        "a token too long for 1.6",
        [
            "id_token = \"FREE\"",
            "id_token = «\"ABCDEFGHIJKLMNOPQRSTUVWXYZ\"",
        ],
        "charge_point.evse.id_token",
        ["too many for OCPP 1.6", "at most 20", "ABCDEFGHIJKLMNOPQRST"],
    ),
    error(
        "a card where nothing reads cards",
        ["auth = \"free\"\nid_token = \"FREE\"", "auth = «\"reader\""],
        "charge_point.evse.reader",
        ["reads no cards", "a card reader", "add reader"],
    ),
    // Back ends.
    error(
        "an http URL",
        ["url = \"ws://localhost:9000", "url = «\"http://localhost:9000"],
        "charge_point.csms.url",
        ["not a WebSocket URL", "wss://", "did you mean 'ws://'"],
    ),
    shows_at(
        "\"ws://localhost",
        error(
            "a URL without the id",
            ["/ocpp/{id}/\"", "/ocpp/\""],
            "charge_point.csms.url",
            ["where the charge point's id belongs", "{id}", "/ocpp/{id}'"],
        ),
    ),
    shows_at(
        "\"ws://localhost",
        error(
            "another placeholder",
            ["/ocpp/{id}/\"", "/ocpp/{cpid}/\""],
            "charge_point.csms.url",
            ["{cpid} is not a placeholder", "{id}", "did you mean '{id}'"],
        ),
    ),
    shows_at(
        "\"ws://me",
        error(
            "a URL with credentials",
            ["ws://localhost:9000", "ws://me:secret@localhost:9000"],
            "charge_point.csms.url",
            ["user or password", "without credentials", "password_file"],
        ),
    ),
    error(
        "basic without a password",
        ["version = \"1.6\"", "version = \"1.6\"\nsecurity = «\"basic\""],
        "charge_point.csms.password",
        ["is missing", "password_file", "add password_file"],
    ),
    error(
        "a password file that is not there",
        [
            "version = \"1.6\"",
            "version = \"1.6\"\nsecurity = \"basic\"\npassword_file = «\"/nowhere/at/all\"",
        ],
        "charge_point.csms.password_file",
        ["cannot be read", "a readable file", "create /nowhere"],
    ),
    error(
        "a password that nobody uses",
        [
            "version = \"1.6\"",
            "version = \"1.6\"\npassword_file = «\"/nowhere\"",
        ],
        "charge_point.csms.password_file",
        [
            "has no effect",
            "security = \"basic\"",
            "did you mean security = \"basic\"",
        ],
    ),
    error(
        "a client certificate over ws",
        [
            "version = \"1.6\"",
            "version = \"1.6\"\nsecurity = «\"client\"\ncertificate_file = \"/etc/hostname\"\nkey_file = \"/etc/hostname\"",
        ],
        "charge_point.csms.security",
        ["needs TLS", "wss://", "did you mean 'wss://'"],
    ),
    // Which sessions a back end is told of.
    error(
        "a tag with a blank",
        [
            "version = \"1.6\"",
            "version = \"1.6\"\ntags = [\"04A1*\", «\"04 B2\"]",
        ],
        "charge_point.csms.tags",
        ["contains a blank", "at most 36 characters", "did you mean '04B2'"],
    ),
    error(
        "a list of tags without one",
        ["version = \"1.6\"", "version = \"1.6\"\ntags = «[]"],
        "charge_point.csms.tags",
        ["is an empty list", "04A1*", "remove the line"],
    ),
    error(
        "a file of tags that is not there",
        [
            "version = \"1.6\"",
            "version = \"1.6\"\ntags_file = «\"/nowhere/tags\"",
        ],
        "charge_point.csms.tags_file",
        ["cannot be read", "a readable file", "create /nowhere/tags"],
    ),
    error(
        "a file of tags that is something else",
        [
            "version = \"1.6\"",
            "version = \"1.6\"\ntags_file = «\"/proc/self/status\"",
        ],
        "charge_point.csms.tags_file",
        [
            "line 1 of /proc/self/status",
            "`*` for any characters",
            "did you mean",
        ],
    ),
    // OCPP keys and variables.
    error(
        "an OCPP key misspelt",
        ["HeartbeatInterval = 300", "HeartBeatIntervall = «300"],
        "charge_point.ocpp16.HeartBeatIntervall",
        [
            "no such OCPP 1.6 key",
            "configuration key",
            "did you mean 'HeartbeatInterval'",
        ],
    ),
    error(
        "an OCPP number with a unit",
        ["HeartbeatInterval = 300", "HeartbeatInterval = «\"300s\""],
        "charge_point.ocpp16.HeartbeatInterval",
        ["not a whole number", "from 1 to 86400", "HeartbeatInterval = 300"],
    ),
    error(
        "an OCPP flag that is none",
        ["LocalPreAuthorize = true", "LocalPreAuthorize = «\"maybe\""],
        "charge_point.ocpp16.LocalPreAuthorize",
        [
            "neither true nor false",
            "true or false",
            "LocalPreAuthorize = true",
        ],
    ),
    error(
        "an OCPP key that is only told",
        ["HeartbeatInterval = 300", "NumberOfConnectors = «2"],
        "charge_point.ocpp16.NumberOfConnectors",
        ["cannot be set", "can be written", "remove it"],
    ),
    error(
        "an OCPP component misspelt",
        [
            "OCPPCommCtrlr.HeartbeatInterval = 60",
            "OCPPComCtlr.HeartbeatInterval = «60",
        ],
        "charge_point.ocpp201.OCPPComCtlr.HeartbeatInterval",
        [
            "no variable",
            "OCPP 2.0.1",
            "did you mean 'OCPPCommCtrlr.HeartbeatInterval'",
        ],
    ),
    error(
        "an OCPP 2.0.1 variable that is only told",
        [
            "OCPPCommCtrlr.HeartbeatInterval = 60",
            "TxCtrlr.TxStartPoint = «\"Authorized\"",
        ],
        "charge_point.ocpp201.TxCtrlr.TxStartPoint",
        ["cannot be set", "can be written", "remove it"],
    ),
    error(
        "an OCPP 2.0.1 variable out of range",
        [
            "OCPPCommCtrlr.HeartbeatInterval = 60",
            "OCPPCommCtrlr.HeartbeatInterval = «0",
        ],
        "charge_point.ocpp201.OCPPCommCtrlr.HeartbeatInterval",
        ["out of range", "from 1 to 86400", "correct the value"],
    ),
    error(
        "an OCPP 2.0.1 measurand that there is not",
        [
            "OCPPCommCtrlr.HeartbeatInterval = 60",
            "SampledDataCtrlr.TxUpdatedMeasurands = «\"Temperature\"",
        ],
        "charge_point.ocpp201.SampledDataCtrlr.TxUpdatedMeasurands",
        [
            "does not have",
            "Energy.Active.Import.Register",
            "correct the value",
        ],
    ),
    error(
        "a variable without a component",
        ["OCPPCommCtrlr.HeartbeatInterval = 60", "HeartbeatInterval = «60"],
        "charge_point.ocpp201.HeartbeatInterval",
        [
            "not the name of a variable",
            "Component.Variable",
            "OCPPCommCtrlr.HeartbeatInterval",
        ],
    ),
    // TOML itself.
    error(
        "a unit without quotes",
        ["poll = \"1s\"", "poll = «1s"],
        "device.poll",
        ["not TOML", "", "did you mean poll = \"1s\""],
    ),
    shows_at(
        "\"even\"",
        error(
            "a colon for an equals sign",
            ["parity = \"even\"", "parity: \"even\""],
            "bus.parity",
            ["not TOML", "", "with = in place of :"],
        ),
    ),
    shows_at(
        "\nmin_gap",
        error(
            "a quote that is not closed",
            ["parity = \"even\"", "parity = \"even"],
            "bus.parity",
            ["not TOML", "", "end the text with \""],
        ),
    ),
    error(
        "True for true",
        ["LocalPreAuthorize = true", "LocalPreAuthorize = «True"],
        "charge_point.ocpp16.LocalPreAuthorize",
        ["not TOML", "", "write LocalPreAuthorize = true"],
    ),
    shows_at(
        "\n\n[[charge_point]]\nid = \"CP-1\"",
        error(
            "no value",
            ["unit = 255", "unit ="],
            "device.unit",
            ["not TOML", "", "write a value after unit ="],
        ),
    ),
    // Warnings.
    warning(
        "a port that changes its name",
        [
            "port = \"/dev/serial/by-id/usb-none-of-this-machine\"",
            "port = «\"/dev/ttyUSB97\"",
        ],
        "bus.port",
        ["another adapter", "/dev/serial/by-id", "retrovolt ports"],
    ),
    warning(
        "the wrong parity for the charger",
        ["parity = \"even\"", "parity = «\"none\""],
        "bus.parity",
        ["leaves the factory", "\"even\"", "did you mean parity = \"even\""],
    ),
    error(
        "metrics for everybody without consent",
        [
            "members = [\"CP-1/1\", \"CP-2\"]",
            "members = [\"CP-1/1\", \"CP-2\"]\n[metrics]\nlisten = «\"0.0.0.0:9469\"",
        ],
        "metrics.listen",
        ["other machines", "127.0.0.1:9469", "accept_remote = true"],
    ),
    error(
        "metrics at an address without a port",
        [
            "members = [\"CP-1/1\", \"CP-2\"]",
            "members = [\"CP-1/1\", \"CP-2\"]\n[metrics]\nlisten = «\"127.0.0.1\"",
        ],
        "metrics.listen",
        ["no address with a port", "unix:", "did you mean '127.0.0.1:9469'"],
    ),
    error(
        "metrics at the name of this machine",
        [
            "members = [\"CP-1/1\", \"CP-2\"]",
            "members = [\"CP-1/1\", \"CP-2\"]\n[metrics]\nlisten = «\"localhost:9469\"",
        ],
        "metrics.listen",
        ["no address with a port", "unix:", "did you mean '127.0.0.1:9469'"],
    ),
    error(
        "metrics at a path",
        [
            "members = [\"CP-1/1\", \"CP-2\"]",
            "members = [\"CP-1/1\", \"CP-2\"]\n[metrics]\nlisten = «\"/run/retrovolt/metrics.sock\"",
        ],
        "metrics.listen",
        [
            "no socket",
            "unix:",
            "did you mean 'unix:/run/retrovolt/metrics.sock'",
        ],
    ),
    error(
        "metrics at a socket without a name",
        [
            "members = [\"CP-1/1\", \"CP-2\"]",
            "members = [\"CP-1/1\", \"CP-2\"]\n[metrics]\nlisten = «\"unix:/run/retrovolt/\"",
        ],
        "metrics.listen",
        ["names no file", "unix:", "unix:/run/retrovolt/metrics.sock"],
    ),
    warning(
        "consent that nothing needs",
        [
            "members = [\"CP-1/1\", \"CP-2\"]",
            "members = [\"CP-1/1\", \"CP-2\"]\n[metrics]\nlisten = \"[::1]:9469\"\naccept_remote = «true",
        ],
        "metrics.accept_remote",
        ["no effect", "other machines", "remove it"],
    ),
    error(
        "a budget without a unit",
        [
            "reconnect_min = \"1s\"",
            "reconnect_min = \"1s\"\nmonthly_budget = «50",
        ],
        "charge_point.csms.monthly_budget",
        ["has no unit", "from 1kB to 1000GB", "monthly_budget = \"50MB\""],
    ),
    error(
        "a budget in bits",
        [
            "reconnect_min = \"1s\"",
            "reconnect_min = \"1s\"\nmonthly_budget = «\"50Mb\"",
        ],
        "charge_point.csms.monthly_budget",
        ["'Mb' is not a unit", "data", "did you mean \"50MB\""],
    ),
    error(
        "a budget of nothing",
        [
            "reconnect_min = \"1s\"",
            "reconnect_min = \"1s\"\nmonthly_budget = «\"10B\"",
        ],
        "charge_point.csms.monthly_budget",
        ["too small", "with its unit", "\"1kB\""],
    ),
    warning(
        "the wrong baud rate for the charger",
        ["baud = 19200", "baud = «38400"],
        "bus.baud",
        ["leaves the factory", "19200", "did you mean baud = 19200"],
    ),
    warning(
        "2.0.1 without security",
        [
            "url = \"wss://csms.example.com/{id}\"\nversion = \"2.0.1\"",
            "url = \"ws://csms.example.com/{id}\"\nversion = \"2.0.1\"\nsecurity = «\"none\"",
        ],
        "charge_point.csms.security",
        ["without security", "\"basic\"", "did you mean 'basic'"],
    ),
    warning(
        "a network charger on a serial line",
        [
            "bus = \"lan\"\nprofile = \"keba-p30\"\nunit = 255",
            "bus = «\"garage\"\nprofile = \"keba-p30\"\nunit = 3",
        ],
        "device.bus",
        ["serial port", "`host`", "tcp_port = 502"],
    ),
    shows_at(
        "\"meter\"\nbus",
        warning(
            "a device nobody uses",
            ["meter = \"meter\"\n", ""],
            "device.id",
            ["no EVSE uses 'meter'", "charger, meter or reader", "name it"],
        ),
    ),
    warning(
        "a watchdog on a meter",
        ["poll = \"1s\"", "poll = \"1s\"\nfailsafe_current = «\"6A\""],
        "device.failsafe_current",
        ["no effect on a meter", "chargers", "remove it"],
    ),
    warning(
        "a plug to be released by a charger that has no lock",
        [
            "HeartbeatInterval = 300",
            "HeartbeatInterval = 300\nUnlockConnectorOnEVSideDisconnect = «true",
        ],
        "charge_point.ocpp16.UnlockConnectorOnEVSideDisconnect",
        ["no effect", "unlock recipe", "remove it"],
    ),
    shows_at(
        "[charge_point.ocpp16]",
        warning(
            "keys of a version nobody speaks",
            ["version = \"1.6\"", "version = \"2.0.1\""],
            "charge_point.ocpp16",
            ["no back end", "version = \"1.6\"", "set that version"],
        ),
    ),
];
