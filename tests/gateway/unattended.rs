//! Nobody is there: a mistake in a file stops nothing, a crash is over in seconds, and what asks is answered.

use crate::kills::{CP, configuration, quick_servers, quick_world};
use crate::notify::Notify;
use crate::site::{PATIENCE, Point, process, until};
use crate::sockets::{Socket, sockets};
use retrovolt::domain::MilliAmps;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions, up};
use retrovolt::sim::{EvSpec, GatewayProcess, World};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::Instant;

/// Far above what a restart takes; the figure itself is printed and stands in docs/operations.md.
const BUS_CONTROL_AT_MOST: Duration = Duration::from_secs(30);

/// What a verb said and how it ended.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs a verb.
async fn retrovolt(args: &[&str]) -> Said {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_retrovolt"))
        .args(args)
        .output()
        .await
        .expect("it runs");
    Said {
        code: status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&stdout).into_owned(),
        err: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

/// Runs a verb that asks a gateway.
pub async fn ask(gateway: &GatewayProcess, args: &[&str]) -> Said {
    let socket = gateway.socket().display().to_string();
    let mut all = args.to_vec();
    all.extend(["--socket", &socket]);
    retrovolt(&all).await
}

/// A site with one charger, its gateway not started yet.
pub struct Yard {
    pub dir: TempDir,
    csms: Csms,
    pub world: World,
    pub toml: String,
    pub gateway: GatewayProcess,
    pub notify: Notify,
}

impl Yard {
    pub async fn new() -> Self {
        let dir = TempDir::new().expect("a folder");
        let csms = Csms::start().await.expect("a CSMS");
        let world = quick_world(dir.path()).await;
        let toml = configuration(dir.path(), &csms, &world, "1.6");
        let notify = Notify::listen(dir.path());
        let gateway = process(dir.path(), &toml)
            .with_arguments(&[])
            .with_env("NOTIFY_SOCKET", notify.address())
            .with_env("WATCHDOG_USEC", "400000");
        Self {
            dir,
            csms,
            world,
            toml,
            gateway,
            notify,
        }
    }

    pub async fn charging(&self, amps: i64) -> Value {
        until(&self.gateway, "a session that is steered", |s| {
            online(s) == 1 && sessions(s) == 1 && self.world.offered("box") == Ok(MilliAmps::from_base(amps))
        })
        .await
    }

    pub async fn charging_is_possible(&self) {
        until(&self.gateway, "it serves", |s| {
            online(s) == 1 && up(s, "devices") == 1
        })
        .await;
    }

    pub async fn stop(&mut self) {
        let end = self.gateway.stop(PATIENCE).await.expect("it ends");
        assert!(end.success());
    }

    fn calls(&self, action: &str) -> usize {
        self.csms
            .frames()
            .iter()
            .filter(|frame| frame.call(action).is_some())
            .count()
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("it is there").permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_at_the_start_runs_the_last_good_one_with_all_that_hangs_on_it() {
    let mut yard = Yard::new().await;
    yard.gateway.start().expect("it starts");
    yard.world.plug("box", EvSpec::default()).expect("a charger");
    yard.charging(16).await;
    let kept = yard.dir.path().join("state/last-good");
    assert_eq!((mode(&kept), mode(&kept.join("retrovolt.toml"))), (0o700, 0o600));
    yard.stop().await;

    // A slip in the file, and one in the profile it needs.
    let bad = yard.toml.replace("max_current = \"16A\"", "max_curent = \"16A\"");
    yard.gateway.configure(&bad).expect("written");
    let profile = yard.dir.path().join("devices.d/quick.toml");
    let good_profile = std::fs::read_to_string(&profile).expect("a profile");
    std::fs::write(&profile, good_profile.replace("format = 1", "format = 77")).expect("written");
    let mark = yard.notify.mark();
    yard.gateway.start().expect("it starts");
    let status = yard.charging(16).await;
    assert_eq!(status["configuration"]["mode"], "last_good");
    let told = yard.notify.until(mark, "READY=1").await;
    assert!(
        told.contains("STATUS=LAST GOOD CONFIGURATION") && told.contains("retrovolt.toml:"),
        "{told}"
    );
    let said = ask(&yard.gateway, &["status"]).await;
    assert_eq!(said.code, 75);
    let place = format!("{}:", yard.dir.path().join("retrovolt.toml").display());
    assert!(
        said.out.contains("LAST GOOD CONFIGURATION") && said.out.contains(&place),
        "{}",
        said.out
    );
    assert!(
        said.out.contains("max_curent") && said.out.contains("did you mean 'max_current'"),
        "{}",
        said.out
    );
    assert!(said.out.contains("quick.toml:"), "{}", said.out);
    let said = ask(&yard.gateway, &["-v", "healthcheck"]).await;
    assert_eq!(
        (said.code, said.out.contains("last good")),
        (1, true),
        "{}",
        said.out
    );
    let log = std::fs::read_to_string(yard.gateway.log()).expect("a log");
    assert!(
        log.contains("the last good configuration runs instead") && log.contains("max_curent"),
        "{log}"
    );

    // Mended, it is taken over, and nothing that did not change is touched.
    let boots = yard.calls("BootNotification");
    std::fs::write(&profile, good_profile).expect("written");
    yard.gateway.configure(&yard.toml).expect("written");
    let said = ask(&yard.gateway, &["reload"]).await;
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "the configuration has been taken over\n")
    );
    let status = yard.charging(16).await;
    assert_eq!(status["configuration"]["mode"], "file");
    assert_eq!(yard.calls("BootNotification"), boots, "the link was kept");
    assert_eq!(
        (yard.calls("StartTransaction"), yard.calls("StopTransaction")),
        (1, 0)
    );
    assert_eq!(ask(&yard.gateway, &["healthcheck"]).await.code, 0);
    yard.world.unplug("box").expect("a charger");
    until(&yard.gateway, "the end", |s| sessions(s) == 0).await;
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_last_good_one_safe_mode_answers_and_waits_for_a_good_file() {
    let mut yard = Yard::new().await;
    let bad = yard.toml.replace("[[bus]]", "[[buss]]");
    yard.gateway.configure(&bad).expect("written");
    yard.gateway.start().expect("it starts");
    let told = yard.notify.until(0, "READY=1").await;
    assert!(told.contains("STATUS=SAFE MODE"), "{told}");
    until(&yard.gateway, "safe mode", |s| {
        s["configuration"]["mode"] == "safe_mode"
    })
    .await;
    let said = ask(&yard.gateway, &["status"]).await;
    assert_eq!(said.code, 75);
    assert!(
        said.out.contains("SAFE MODE") && said.out.contains("did you mean 'bus'"),
        "{}",
        said.out
    );
    assert_eq!(ask(&yard.gateway, &["healthcheck"]).await.code, 1);
    assert_eq!(ask(&yard.gateway, &["maintenance", "--can-start"]).await.code, 0);
    let said = ask(&yard.gateway, &["reload"]).await;
    assert_eq!(said.code, 78);
    assert!(
        said.out.contains("buss") && said.out.contains("^^^^"),
        "{}",
        said.out
    );
    // It is alive for systemd, which must not restart it.
    let beats = yard.notify.alive();
    assert!(yard.notify.beats(PATIENCE).await && yard.notify.alive() > beats);

    // A second one started by mistake does not take the socket away.
    let config = yard.dir.path().join("retrovolt.toml").display().to_string();
    let mut second = Command::new(env!("CARGO_BIN_EXE_retrovolt"))
        .args(["run", "--log-format", "text", "-c", &config])
        .env("NOTIFY_SOCKET", yard.notify.address())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mark = yard.notify.mark();
    yard.notify.until(mark, "SAFE MODE").await;
    second.kill().await.expect("killed");
    assert_eq!(
        ask(&yard.gateway, &["healthcheck"]).await.code,
        1,
        "the first still answers"
    );

    yard.gateway.configure(&yard.toml).expect("written");
    let said = ask(&yard.gateway, &["reload"]).await;
    assert_eq!(said.code, 0, "{}", said.out);
    until(&yard.gateway, "it runs", |s| {
        online(s) == 1 && up(s, "devices") == 1
    })
    .await;
    assert_eq!(ask(&yard.gateway, &["healthcheck"]).await.code, 0);
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_reload_says_why_and_changes_nothing_and_a_good_one_touches_only_what_changed() {
    let mut yard = Yard::new().await;
    yard.gateway.start().expect("it starts");
    yard.world.plug("box", EvSpec::default()).expect("a charger");
    yard.charging(16).await;
    let boots = yard.calls("BootNotification");

    yard.gateway
        .configure(&yard.toml.replace("\"16A\"", "\"1000A\""))
        .expect("written");
    let mark = yard.notify.mark();
    let said = ask(&yard.gateway, &["reload", "--json"]).await;
    let answer: Value = serde_json::from_str(&said.out).expect("one JSON object");
    assert_eq!((said.code, &answer["reloaded"]), (78, &Value::Bool(false)));
    let issues = answer["report"]["issues"].as_array().expect("a list");
    let issue = issues
        .iter()
        .find(|issue| issue["key"] == "charge_point.evse.max_current");
    let issue = issue.expect("the mistake is named");
    assert!(
        issue["line"].as_u64() > Some(1) && issue["column"].is_u64(),
        "{answer}"
    );
    let told = yard.notify.until(mark, "reload refused").await;
    assert!(told.contains("READY=1") && told.contains("1 sessions"), "{told}");
    let said = ask(&yard.gateway, &["status"]).await;
    assert_eq!(said.code, 0, "what runs is in order: {}", said.out);
    assert!(said.out.contains("refused at the last reload"), "{}", said.out);
    assert_eq!(ask(&yard.gateway, &["healthcheck"]).await.code, 0);
    yard.charging(16).await;

    yard.gateway
        .configure(&yard.toml.replace("\"16A\"", "\"13A\""))
        .expect("written");
    assert_eq!(ask(&yard.gateway, &["reload"]).await.code, 0);
    let status = yard.charging(13).await;
    assert_eq!(status["configuration"]["refused"], Value::Null);
    assert_eq!(
        (yard.calls("StartTransaction"), yard.calls("StopTransaction")),
        (1, 0)
    );

    // A fuse around it is no change of the charge point.
    let boots_before = yard.calls("BootNotification");
    assert!(
        boots_before > boots,
        "a changed limit builds the charge point anew"
    );
    let fuse = "\n[[fuse]]\nname = \"yard\"\nmax_current = \"32A\"\nmembers = [\"KILL-1\"]\n";
    let more = yard.toml.replace("\"16A\"", "\"13A\"") + fuse;
    yard.gateway.configure(&more).expect("written");
    assert_eq!(ask(&yard.gateway, &["reload"]).await.code, 0);
    yard.charging(13).await;
    assert_eq!(
        yard.calls("BootNotification"),
        boots_before,
        "the socket was kept"
    );
    yard.stop().await;
    let silent = ask(&yard.gateway, &["reload"]).await;
    assert_eq!(silent.code, 69, "{}", silent.err);
    assert!(silent.err.contains("is it running"), "{}", silent.err);
}

/// A box on a bus of its own, and the tables of its charge point.
fn neighbour(yard: &Yard) -> String {
    let address = yard.world.address("other").expect("a server");
    let bus = format!(
        "\n[[bus]]\nid = \"other\"\nhost = \"{}\"\ntcp_port = {}\n",
        address.ip(),
        address.port()
    );
    let point = Point {
        id: "OTHER-1",
        url: yard.csms.url("{id}"),
        version: "1.6",
        auth: "free",
    };
    bus + &of_other("box2", 1) + &point.toml("box2", "box2").replace("meter = \"box2\"\n", "")
}

fn of_other(id: &str, unit: u8) -> String {
    format!(
        "\n[[device]]\nid = \"{id}\"\nbus = \"other\"\nunit = {unit}\nprofile = \"test-quick-box\"\n\
         accept_no_failsafe = true\n"
    )
}

/// The connections of the gateway to a server, each by its own end.
fn connections(yard: &Yard, server: &str) -> Vec<Socket> {
    let port = yard.world.address(server).expect("a server").port();
    let mut all = sockets(yard.gateway.pid().expect("it runs"));
    all.retain(|socket| socket.remote_port() == Some(port));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_charger_on_the_bus_of_another_charge_point_leaves_the_first_one_alone() {
    let mut yard = Yard::new().await;
    yard.world = quick_servers(
        yard.dir.path(),
        &[("net", &["box"]), ("other", &["box2", "box3"])],
    )
    .await;
    let toml = configuration(yard.dir.path(), &yard.csms, &yard.world, "1.6") + &neighbour(&yard);
    yard.gateway.configure(&toml).expect("written");
    yard.gateway.start().expect("it starts");
    yard.world.plug("box", EvSpec::default()).expect("a charger");
    yard.world.plug("box3", EvSpec::default()).expect("a charger");
    let offers = |id: &str| yard.world.offered(id) == Ok(MilliAmps::from_base(16));
    until(&yard.gateway, "a session on the first bus", |s| {
        online(s) == 2 && up(s, "devices") == 2 && sessions(s) == 1 && offers("box")
    })
    .await;
    let begun = yard.csms.wait_call(0, PATIENCE, CP, "StartTransaction").await;
    begun.expect("a begin");
    let (first, other) = (connections(&yard, "net"), connections(&yard, "other"));
    assert_eq!((first.len(), other.len()), (1, 1));
    let of_first = |action: &str| {
        let frames = yard.csms.frames();
        let calls = frames
            .iter()
            .filter(|frame| frame.cp == CP && frame.call(action).is_some());
        calls.count()
    };
    let before = (of_first("BootNotification"), of_first("StartTransaction"));
    let writes = yard.world.writes("box").expect("a charger");

    let evse = "\n[[charge_point.evse]]\ncharger = \"box3\"\nphases = 3\nmax_current = \"16A\"\nauth = \"free\"\nid_token = \"FREE\"\n";
    yard.gateway
        .configure(&(toml + &of_other("box3", 2) + evse))
        .expect("written");
    let said = ask(&yard.gateway, &["reload"]).await;
    assert_eq!(said.code, 0, "{}", said.out);
    until(&yard.gateway, "a session on the other bus as well", |s| {
        online(s) == 2 && up(s, "devices") == 3 && sessions(s) == 2 && offers("box3")
    })
    .await;
    assert_eq!(connections(&yard, "net"), first, "the bus was kept open");
    assert_ne!(connections(&yard, "other"), other, "this one changed");
    assert_eq!(
        (of_first("BootNotification"), of_first("StartTransaction")),
        before
    );
    assert_eq!(of_first("StopTransaction"), 0);
    let after = yard.world.writes("box").expect("a charger");
    assert!(
        after[writes.len()..]
            .iter()
            .all(|write| Some(&write.values) == writes.last().map(|last| &last.values)),
        "its limit was touched: {after:?}"
    );
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_without_chargers_is_healthy_and_waits_for_some() {
    let mut yard = Yard::new().await;
    let dir = yard.dir.path().display();
    let fresh = format!("[gateway]\nstate_dir = \"{dir}/state\"\nsocket = \"{dir}/ctl.sock\"\n");
    yard.gateway.configure(&fresh).expect("written");
    yard.gateway.start().expect("it starts");
    let told = yard.notify.until(0, "READY=1").await;
    assert!(told.contains("STATUS=nothing to serve yet"), "{told}");
    assert_eq!(ask(&yard.gateway, &["healthcheck"]).await.code, 0);
    assert_eq!(ask(&yard.gateway, &["status"]).await.code, 0);
    yard.gateway.configure(&yard.toml).expect("written");
    assert_eq!(ask(&yard.gateway, &["reload"]).await.code, 0);
    until(&yard.gateway, "it serves", |s| {
        online(s) == 1 && up(s, "devices") == 1
    })
    .await;
    yard.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_manager_waits_for_the_end_of_the_session() {
    const ASK: [&str; 2] = ["maintenance", "--can-start"];
    let mut yard = Yard::new().await;
    let said = ask(&yard.gateway, &["-v", ASK[0], ASK[1]]).await;
    assert_eq!(
        (said.code, said.out.starts_with("now: nothing to stop")),
        (0, true),
        "{}",
        said.out
    );
    let silent = ask(&yard.gateway, &["healthcheck"]).await;
    assert_eq!(
        (silent.code, silent.out.as_str(), silent.err.as_str()),
        (1, "", "")
    );
    yard.gateway.start().expect("it starts");
    until(&yard.gateway, "it serves", |s| online(s) == 1).await;
    assert_eq!(ask(&yard.gateway, &ASK).await.code, 0);
    yard.world.plug("box", EvSpec::default()).expect("a charger");
    yard.charging(16).await;
    let said = ask(&yard.gateway, &ASK).await;
    assert_eq!((said.code, said.out.as_str()), (21, ""), "silent");
    let said = ask(&yard.gateway, &["-v", ASK[0], ASK[1], "--later-code", "75"]).await;
    assert_eq!((said.code, said.out.as_str()), (75, "not now: a session runs\n"));
    yard.world.unplug("box").expect("a charger");
    until(&yard.gateway, "the end", |s| sessions(s) == 0).await;
    assert_eq!(ask(&yard.gateway, &ASK).await.code, 0);
    yard.stop().await;
}

/// T5: from the crash to a charger that obeys again, by events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t5_after_a_crash_the_bus_is_under_control_again() {
    let mut yard = Yard::new().await;
    yard.gateway.start().expect("it starts");
    yard.world.plug("box", EvSpec::default()).expect("a charger");
    yard.charging(16).await;
    let mut took = Vec::new();
    for amps in [13, 16, 11] {
        yard.gateway.kill().await.expect("a kill");
        // The limit of the new run is another one: the charger shows when somebody is in control again.
        let toml = yard.toml.replace("\"16A\"", &format!("\"{amps}A\""));
        yard.gateway.configure(&toml).expect("written");
        let mark = yard.notify.mark();
        let begin = Instant::now();
        yard.gateway.start().expect("it starts");
        yard.notify.until(mark, "READY=1").await;
        let ready = begin.elapsed();
        let control = async {
            let mut look = tokio::time::interval(Duration::from_millis(5));
            while yard.world.offered("box") != Ok(MilliAmps::from_base(amps)) {
                look.tick().await;
            }
        };
        tokio::time::timeout(BUS_CONTROL_AT_MOST, control)
            .await
            .expect("the charger obeys again");
        took.push((ready, begin.elapsed()));
    }
    println!("T5: from start to ready and to bus control: {took:?}");
    until(&yard.gateway, "the session goes on", |s| {
        sessions(s) == 1 && online(s) == 1
    })
    .await;
    assert_eq!(yard.calls("StopTransaction"), 0);
    yard.stop().await;
}

/// T5: a main task that hangs, here on a file that never gives an answer, feeds systemd's watchdog no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t5_a_gateway_that_hangs_does_not_feed_the_watchdog() {
    let mut yard = Yard::new().await;
    yard.gateway.start().expect("it starts");
    let status = until(&yard.gateway, "it serves", |s| online(s) == 1).await;
    assert_eq!(status["watchdog_ms"], 400);
    for _ in 0..3 {
        assert!(yard.notify.beats(PATIENCE).await, "it lives");
    }
    let file = yard.dir.path().join("retrovolt.toml");
    std::fs::remove_file(&file).expect("removed");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &file,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .expect("a pipe nobody writes to");
    let mark = yard.notify.mark();
    yard.gateway.reload().expect("a signal");
    yard.notify.until(mark, "RELOADING=1").await;
    let beats = yard.notify.alive();
    assert!(
        !yard.notify.beats(Duration::from_secs(2)).await,
        "fed after {beats}"
    );
    let said = ask(&yard.gateway, &["-v", "healthcheck"]).await;
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.out.contains("no answer within 2s"), "{}", said.out);
    let said = ask(&yard.gateway, &["-v", "maintenance", "--can-start"]).await;
    assert_eq!(said.code, 21, "{}", said.out);
    // systemd would end it now; the next start finds the last good configuration.
    yard.gateway.kill().await.expect("a kill");
    std::fs::remove_file(&file).expect("removed");
    let place = |name: &str| yard.dir.path().join(name).display().to_string();
    yard.gateway = process(yard.dir.path(), "")
        .with_arguments(&[])
        .with_env("RETROVOLT__GATEWAY__STATE_DIR", place("state"))
        .with_env("RETROVOLT__GATEWAY__SOCKET", place("ctl.sock"));
    std::fs::remove_file(&file).expect("removed");
    yard.gateway.start().expect("it starts");
    let status = until(&yard.gateway, "it serves without its file", |s| online(s) == 1).await;
    assert_eq!(status["configuration"]["mode"], "last_good");
    yard.stop().await;
}
