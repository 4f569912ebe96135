//! TOML to a validated site, all errors at once.
//!
//! A reader's path: [`load`] gathers the texts (main file, drop-ins, environment), `syntax` makes trees of them,
//! `tree` lays them over one another, `keys` declares every setting, `setting` and `convert` read them, `south`
//! and `north` check them against each other and build the [`SiteSetup`]. What is wrong becomes an [`Issue`] with
//! file, line, column, key, expectation and suggestion (promise U5); secrets never reach one (promise X2).

mod broker;
mod check;
mod contacts;
mod context;
mod convert;
mod credential;
mod csms;
mod document;
mod effective;
mod firmware;
mod framing;
mod fuse;
mod gather;
mod gpio;
mod issue;
mod keep;
mod keys;
mod line;
mod manual;
mod metrics;
mod mqtt;
mod nearest;
mod north;
mod ocpp16;
mod ocpp201;
mod place;
mod profiles;
mod protocol;
mod quantity;
mod secret;
mod setting;
mod south;
mod sparkplug;
mod supply;
mod syntax;
mod tags;
mod tree;

pub use check::{check, check_with};
pub use credential::Credentials;
pub use document::{example, reference};
pub use effective::effective;
pub use gather::{LoadOptions, last_change};
pub use issue::{Issue, Report, Severity};
pub use keep::{Keepsake, Whereabouts, last_good, whereabouts};
pub use manual::manual;
pub use profiles::{library, own_profiles};

use crate::device::Library;
use crate::domain::SiteSetup;
use context::Context;
use gather::Gathered;
use issue::Issues;
use keys::GatewayKeys;
use place::{Place, Sources};
use setting::Section;
use std::path::{Path, PathBuf};
use tree::Node;

/// The name under which values from the environment are reported.
const ENVIRONMENT: &str = "environment";

/// A configuration the gateway can run with.
pub struct Loaded {
    /// What to serve.
    pub setup: SiteSetup,
    /// The profiles, shipped and own.
    pub library: Library,
    /// How to log.
    pub log: LogSetup,
    /// What somebody should look at.
    pub warnings: Vec<Issue>,
    /// What is to be kept of it.
    pub keepsake: Keepsake,
    /// Files with passwords and keys that it names.
    pub secret_files: Vec<PathBuf>,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let profiles: Vec<&str> = self.library.ids().collect();
        f.debug_struct("Loaded")
            .field("setup", &self.setup)
            .field("profiles", &profiles)
            .field("log", &self.log)
            .field("warnings", &self.warnings)
            .finish()
    }
}

/// How to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSetup {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// `auto`, `journal`, `text` or `json`.
    pub format: String,
}

/// Reads and checks a configuration.
///
/// # Errors
/// Every mistake in every file at once; warnings come along.
pub fn load(path: &Path, options: &LoadOptions) -> Result<Loaded, Report> {
    let mut found = Issues::default();
    let mut sources = Sources::default();
    let Some(gathered) = gather::gather(path, options, &mut sources, &mut found) else {
        return Err(Report {
            issues: found.resolve(&sources),
            no_input: true,
        });
    };
    let (parts, found) = read(&gathered.root, options, &sources, found);
    concluded(&gathered, parts, found, &sources, path)
}

/// The configuration of a main file, or everything that forbids its use.
fn concluded(
    gathered: &Gathered,
    parts: Option<Parts>,
    mut found: Issues,
    sources: &Sources,
    path: &Path,
) -> Result<Loaded, Report> {
    if gathered.broken {
        // What seems to be missing or to point nowhere may only be hidden by the slip that is told anyway.
        found.keep_certain();
    }
    let failed = found.any_error();
    let issues = found.resolve(sources);
    match parts {
        Some((setup, library, log, secret_files)) if !failed => Ok(Loaded {
            keepsake: Keepsake::of(path, gathered, sources, setup.device_dir.as_deref()),
            setup,
            library,
            log,
            warnings: issues,
            secret_files,
        }),
        _ => Err(Report {
            issues,
            no_input: false,
        }),
    }
}

type Parts = (SiteSetup, Library, LogSetup, Vec<PathBuf>);

fn read(root: &Node, options: &LoadOptions, sources: &Sources, mut found: Issues) -> (Option<Parts>, Issues) {
    let Some(root) = Section::open(keys::ROOT, root, &mut found) else {
        return (None, found);
    };
    let gateway = gateway(&root, &mut found);
    let places = Places::of(&gateway, sources);
    let library = profiles::read(places.device_dir.as_deref(), gateway.device_dir.at, &mut found);
    let mut context = Context {
        sources,
        found,
        options,
        library,
        secrets: Vec::new(),
    };
    gateway_paths(&gateway, &places, &mut context);
    let (buses, devices) = south::read(&root, &mut context);
    let points = north::read(&root, &devices, &mut context);
    let fuses = fuse::read(&root, &points, &devices, &mut context);
    let firmware = firmware::read(&root, &mut context);
    let metrics = metrics::read(&root, &mut context);
    let mqtt = mqtt::read(&root, &buses, &devices, &points, &mut context);
    let page_url = page_url(&gateway, &mut context);
    let (sparkplug, sparkplug_budget) = sparkplug::read(&root, &mut context).unzip();
    let Context {
        mut found,
        library,
        secrets,
        ..
    } = context;
    let parts = (|| {
        let state_dir = places.state_dir?;
        let mut buses = south::build(&buses, &devices)?;
        gpio::place(&mut buses, &state_dir);
        let mut setup = SiteSetup {
            buses,
            charge_points: north::build(&points, &devices, firmware.as_ref())?,
            fuses: fuse::build(&fuses)?,
            budgets: north::budgets(&points, mqtt.budget(), sparkplug_budget.flatten()),
            mqtt: mqtt.value()?,
            sparkplug,
            state_dir,
            session_records: gateway.session_records.value?,
            socket: places.socket?,
            trust_dir: places.trust_dir,
            device_dir: places.device_dir,
            page_url,
            inhibit_shutdown: gateway.inhibit_shutdown.value?,
            metrics,
        };
        supply::place(&mut setup);
        let log = LogSetup {
            level: gateway.log_level.value?,
            format: gateway.log_format.value?,
        };
        Some((setup, library, log, secrets))
    })();
    if let Some((setup, library, ..)) = &parts {
        supply::check(setup, library, &points, &mut found);
    }
    (parts, found)
}

fn gateway(root: &Section<'_>, found: &mut Issues) -> GatewayKeys {
    let sections = root.tables(GatewayKeys::TABLE, found);
    let nothing = Section::empty(GatewayKeys::TABLE, root.at);
    GatewayKeys::read(sections.first().unwrap_or(&nothing), found)
}

/// What Home Assistant would refuse is refused here.
fn page_url(gateway: &GatewayKeys, context: &mut Context<'_>) -> Option<String> {
    let given = gateway.page_url.value.as_deref()?;
    let web = |url: &url::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    match url::Url::parse(given) {
        Ok(url) if web(&url) => Some(given.to_owned()),
        _ => {
            gateway.page_url.error(
                &mut context.found,
                format!("{} is no address of a page", tree::show_text(given)),
                "a URL that begins with http:// or https://",
                "write \"https://grafana.example.com/d/retrovolt\", or remove it",
            );
            None
        }
    }
}

/// The paths of the gateway, as meant.
struct Places {
    state_dir: Option<PathBuf>,
    socket: Option<PathBuf>,
    trust_dir: Option<PathBuf>,
    device_dir: Option<PathBuf>,
}

impl Places {
    fn of(keys: &GatewayKeys, sources: &Sources) -> Self {
        let resolve = |given: &setting::Given<PathBuf>| context::resolve(given, sources);
        let beside = || profiles::beside(&sources.of(Place::default())?.dir);
        Self {
            state_dir: resolve(&keys.state_dir),
            socket: resolve(&keys.socket),
            trust_dir: resolve(&keys.trust_dir),
            device_dir: if keys.device_dir.written {
                resolve(&keys.device_dir)
            } else {
                beside()
            },
        }
    }
}

/// Longest path of a Unix socket (`sun_path` of unix(7), less the closing zero).
const LONGEST_SOCKET_PATH: usize = 107;

fn gateway_paths(keys: &GatewayKeys, places: &Places, context: &mut Context<'_>) {
    if let Some(socket) = &places.socket
        && socket.as_os_str().len() > LONGEST_SOCKET_PATH
    {
        keys.socket.error(
            &mut context.found,
            format!(
                "{} characters are too many for a Unix socket",
                socket.as_os_str().len()
            ),
            format!("at most {LONGEST_SOCKET_PATH} characters"),
            "write socket = \"/run/retrovolt/ctl.sock\"",
        );
    }
    if let Some(folder) = places.trust_dir.as_ref().filter(|folder| !folder.is_dir()) {
        keys.trust_dir.error(
            &mut context.found,
            format!("there is no folder {}", folder.display()),
            "a folder with PEM files",
            format!("mkdir -p {}, or remove the line", folder.display()),
        );
    }
    if let Some(file) = places
        .state_dir
        .as_ref()
        .filter(|folder| folder.exists() && !folder.is_dir())
    {
        keys.state_dir.error(
            &mut context.found,
            format!("{} is not a folder", file.display()),
            "a folder the gateway may write to",
            "write state_dir = \"/var/lib/retrovolt\"",
        );
    }
}
