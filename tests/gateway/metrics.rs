//! U10: what the real process serves is read by programs we did not write, and no count ever falls.

use crate::broker::Broker;
use crate::kills::{metered, quick_world};
use crate::rig::{PATIENCE, python, root};
use crate::site::{gateway_toml, process, quick_toml, until};
use retrovolt::sim::EvSpec;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions, waiting};
use retrovolt::telemetry::metrics::{Kind, METRICS};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::Command;
use tokio::time::timeout;

const OPEN: &str = "application/openmetrics-text; version=1.0.0";
const PLAIN: &str = "text/plain; version=0.0.4";

/// One page of metrics.
pub async fn scrape(socket: &Path, accept: &str) -> String {
    let request = format!("GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n");
    let mut stream = UnixStream::connect(socket).await.expect("the endpoint");
    stream.write_all(request.as_bytes()).await.expect("it listens");
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer))
        .await
        .expect("in time")
        .expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(
        head.contains(accept.split(';').next().unwrap_or(accept)),
        "{head}"
    );
    body.to_owned()
}

/// The value of every sample, by name and labels as they are written.
pub fn samples(page: &str) -> BTreeMap<String, f64> {
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    page.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(sample)
        .collect()
}

/// The first page on which these samples are at least 1: the picture is painted anew only every tenth of a second, and
/// brokers are looked at once a second.
pub async fn shown(socket: &Path, wanted: &[&str]) -> String {
    let mut missing: Vec<&str> = Vec::new();
    let page = async {
        loop {
            let page = scrape(socket, PLAIN).await;
            let seen = samples(&page);
            let there = |name: &&str| seen.get(*name).is_some_and(|value| *value >= 1.0);
            missing = wanted.iter().copied().filter(|name| !there(name)).collect();
            if missing.is_empty() {
                return page;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let page = timeout(PATIENCE, page).await;
    page.unwrap_or_else(|_| panic!("not shown: {missing:?}"))
}

/// What `setup.sh` has unpacked.
pub fn promtool() -> PathBuf {
    let tool = root().join(".lab/prometheus/promtool");
    assert!(
        tool.exists(),
        "{} is missing: run `make setup` first",
        tool.display()
    );
    tool
}

/// Runs a program on a text; gives whether it was content, and what it said.
pub async fn says(mut command: Command, input: &str) -> (bool, String) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_owned();
    let writing = tokio::spawn(async move { stdin.write_all(input.as_bytes()).await });
    let output = child.wait_with_output().await.expect("it ends");
    let _ = writing.await;
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// What the parser of prometheus_client makes of a page.
async fn parsed(format: &str, page: &str) -> BTreeMap<String, Value> {
    let mut command = Command::new(python());
    command
        .arg(root().join("tests/interop/read_metrics.py"))
        .arg(format);
    let (good, said) = says(command, page).await;
    assert!(good, "{said}\n{page}");
    serde_json::from_str(&said).expect("JSON")
}

/// What dashboard and alerts ask for and a site of a test cannot have: what the machine under it may not measure.
const NOT_HERE: [&str; 2] = ["retrovolt_board_temperature_celsius", "retrovolt_board_throttled"];

/// Everything that dashboard and alerts ask for is served, with the labels they pick by.
fn answers_every_query(page: &str) {
    let served = samples(page);
    for query in crate::deploy::queries() {
        for (name, labels) in crate::deploy::named(&query) {
            let own = |sample: &&String| sample.split('{').next() == Some(name.as_str());
            let found = served.keys().find(own);
            if found.is_none() && NOT_HERE.contains(&name.as_str()) {
                continue;
            }
            let found = found.unwrap_or_else(|| panic!("{name} of {query} is not served:\n{page}"));
            for label in labels
                .iter()
                .filter(|label| !["job", "instance"].contains(&label.as_str()))
            {
                assert!(
                    found.contains(&format!("{label}=\"")),
                    "{found} has no label {label}: {query}"
                );
            }
        }
    }
}

fn counts(page: &str) -> BTreeMap<String, f64> {
    let counters: BTreeSet<String> = METRICS
        .iter()
        .filter(|metric| metric.kind == Kind::Counter)
        .map(|metric| metric.sample_name())
        .collect();
    let histograms: Vec<&str> = METRICS
        .iter()
        .filter(|metric| metric.kind == Kind::Histogram)
        .map(|metric| metric.name)
        .collect();
    let falls_never = |name: &str| {
        let bare = name.split('{').next().unwrap_or(name);
        counters.contains(bare) || histograms.iter().any(|histogram| bare.starts_with(histogram))
    };
    samples(page)
        .into_iter()
        .filter(|(name, _)| falls_never(name))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promtool_and_a_foreign_parser_read_what_is_served_and_no_count_falls() {
    let dir = TempDir::new().expect("a folder");
    let csms = Csms::start().await.expect("a CSMS");
    let world = quick_world(dir.path()).await;
    let socket = dir.path().join("metrics.sock");
    let metrics = format!("\n[metrics]\nlisten = \"unix:{}\"\n", socket.display());
    let link = format!(
        "url = \"{}\"\nversion = \"1.6\"\nmonthly_budget = \"1GB\"\n",
        csms.url("{id}")
    );
    let broker = Broker::open().await;
    let mqtt = format!("\n[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\n", broker.port);
    let point = metered(&quick_toml(&world, "M-1", "free", &link));
    let toml = gateway_toml(dir.path()) + &point + &mqtt + &metrics;
    let mut gateway = process(dir.path(), &toml);
    gateway.start().expect("the gateway starts");
    world.plug("box", EvSpec::default()).expect("a charger");
    until(&gateway, "a session", |s| {
        online(s) == 1 && sessions(s) == 1 && socket.exists()
    })
    .await;
    world.unplug("box").expect("a charger");
    until(&gateway, "its end", |s| sessions(s) == 0 && waiting(s) == 0).await;

    let ended = "retrovolt_cp_sessions_total{cp=\"m-1\",reason=\"ev_disconnected\"}";
    let free = "retrovolt_cp_status{cp=\"m-1\",status=\"available\"}";
    let voltage = "retrovolt_cp_voltage_volts{cp=\"m-1\",phase=\"L1\"}";
    let meter = "retrovolt_meter_available{meter=\"meter\"}";
    let plain = shown(
        &socket,
        &[ended, free, voltage, meter, "retrovolt_mqtt_connected"],
    )
    .await;
    let open = scrape(&socket, OPEN).await;
    let mut lint = Command::new(promtool());
    lint.args(["check", "metrics"]);
    assert_eq!(
        says(lint, &plain).await,
        (true, String::new()),
        "promtool is silent"
    );
    let families = parsed("openmetrics", &open).await;
    parsed("prometheus", &plain).await;
    for metric in METRICS {
        if let Some(family) = families.get(metric.name) {
            assert_eq!(family["type"], metric.kind.word(), "{}", metric.name);
            assert_eq!(family["help"], metric.help, "{}", metric.name);
        }
    }
    for (name, least) in [
        ("retrovolt_bus_requests_total{bus=\"net\",result=\"ok\"}", 10.0),
        ("retrovolt_bus_request_seconds_count{bus=\"net\"}", 10.0),
        ("retrovolt_bus_devices_online{bus=\"net\"}", 1.0),
        ("retrovolt_csms_connected{cp=\"m-1\",csms=\"main\"}", 1.0),
        (
            "retrovolt_csms_messages_total{cp=\"m-1\",csms=\"main\",action=\"StartTransaction\",direction=\"sent\",result=\"ok\"}",
            1.0,
        ),
        (
            "retrovolt_csms_messages_total{cp=\"m-1\",csms=\"main\",action=\"BootNotification\",direction=\"sent\",result=\"ok\"}",
            1.0,
        ),
        (
            "retrovolt_csms_bytes_total{cp=\"m-1\",csms=\"main\",direction=\"sent\"}",
            1_000.0,
        ),
        (
            "retrovolt_csms_bytes_total{cp=\"m-1\",csms=\"main\",direction=\"received\"}",
            500.0,
        ),
        (
            "retrovolt_csms_round_trip_seconds_count{cp=\"m-1\",csms=\"main\"}",
            3.0,
        ),
        ("retrovolt_budget_bytes{back_end=\"M-1/main\"}", 1e9),
        ("retrovolt_cp_available{cp=\"m-1\"}", 1.0),
        (
            "retrovolt_cp_energy_joules_total{cp=\"m-1\",direction=\"import\"}",
            0.0,
        ),
        ("retrovolt_watchdog_ok", 1.0),
        ("process_resident_memory_bytes", 1e6),
        ("process_open_fds", 5.0),
    ] {
        let value = samples(&plain).get(name).copied();
        assert!(
            value.is_some_and(|value| value >= least),
            "{name}: {value:?} of {plain}"
        );
    }

    answers_every_query(&plain);
    assert!(!plain.contains("FREE"), "a token is told");

    let mut before = counts(&plain);
    for turn in 0..100 {
        if turn == 30 {
            // The bus and the charge point are built anew.
            let slower = toml.replace("reopen_wait = \"100ms\"", "reopen_wait = \"200ms\"");
            gateway.configure(&slower).expect("written");
            gateway.reload().expect("a signal");
        }
        if turn == 60 {
            csms.cut();
        }
        let now = counts(&scrape(&socket, if turn % 2 == 0 { PLAIN } else { OPEN }).await);
        for (name, value) in &before {
            let seen = now.get(name).copied();
            // A station or a device that was built anew does not know its register at once, and says nothing then.
            let register = ["retrovolt_cp_energy", "retrovolt_meter_energy"];
            let unknown = seen.is_none() && register.iter().any(|register| name.starts_with(register));
            assert!(
                unknown || seen.is_some_and(|seen| seen >= *value),
                "{name}: {value} before, {seen:?} at scrape {turn}"
            );
        }
        before.extend(now);
        if turn % 10 == 9 {
            // Something is to happen between scrapes: the pause is no wait for anything.
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }
    gateway.configure(&toml.replace(&metrics, "")).expect("written");
    gateway.reload().expect("a signal");
    until(&gateway, "no metrics any more", |_| !socket.exists()).await;
    gateway.stop(crate::site::PATIENCE).await.expect("it ends");
}
