//! The installed service is killed, hangs, and is given bad configurations (promise T5).

use crate::container::{Container, PATIENCE};
use crate::site::{Garage, installed};
use retrovolt::domain::MilliAmps;
use retrovolt::sim::EvSpec;
use retrovolt::sim::status::{online, sessions, up};
use std::time::{Duration, Instant};

/// From the kill to a bus whose devices are asked and answer, on a machine that has nothing else to do (promise T5). What
/// is found is printed beside it.
const PROMISED: Duration = Duration::from_secs(3);
/// What the middle one of the kills keeps on a machine that is busy with other tests, too.
const BUSY: Duration = Duration::from_secs(6);
/// What each of them keeps.
const AT_MOST: Duration = Duration::from_secs(15);
const KILLS: u32 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn killed_it_has_the_bus_again_within_3_s() {
    let container = installed("kill");
    let garage = Garage::build().await;
    garage.move_in(&container);
    let mut back = Vec::new();
    let mut current = Vec::new();
    for kill in 1..=KILLS {
        let begin = Instant::now();
        container.run(&["systemctl", "kill", "--signal=KILL", "retrovolt.service"]);
        // Who drives up while nobody is there gets current from the gateway that comes back.
        garage
            .world
            .plug("wallbox", EvSpec::default())
            .expect("a charger");
        container.await_that("systemd starts it again", || container.restarts() == kill);
        container.until("both devices answer", |s| up(s, "devices") == 2);
        back.push(begin.elapsed());
        container.await_that("the vehicle is offered current", || {
            garage.world.offered("wallbox") == Ok(MilliAmps::from_base(16))
        });
        current.push(begin.elapsed());
        garage.world.unplug("wallbox").expect("a charger");
        container.until("the session ends", |s| sessions(s) == 0);
        container.await_that("the current is taken back", || {
            garage.world.offered("wallbox") == Ok(MilliAmps(0))
        });
    }
    back.sort();
    let median = back[back.len() / 2];
    println!(
        "from the kill to the bus: {back:?}, promised {PROMISED:?}, to current for a new vehicle: {current:?}"
    );
    assert!(median <= BUSY, "{back:?}: {}", container.journal());
    assert!(back.last() <= Some(&AT_MOST), "{back:?}: {}", container.journal());
}

#[test]
fn hung_it_is_killed_by_the_watchdog_and_started_again() {
    let container = installed("hang");
    let limit = "[Service]\nWatchdogSec=2\n";
    container.write("/etc/systemd/system/retrovolt.service.d/watchdog.conf", limit);
    container.run(&["systemctl", "daemon-reload"]);
    container.run(&["systemctl", "restart", "retrovolt.service"]);
    let before = container.property("MainPID");
    container.run(&["systemctl", "kill", "--signal=STOP", "retrovolt.service"]);
    let begin = Instant::now();
    container.await_that("another process serves", || {
        let now = container.property("MainPID");
        now != before && now != "0" && container.property("ActiveState") == "active"
    });
    let took = begin.elapsed();
    let journal = container.journal();
    assert!(journal.contains("Watchdog timeout"), "{journal}");
    println!("from the hang to an active service: {took:?}; {journal}");
    assert!(took <= Duration::from_secs(2 + 5), "{took:?}: {journal}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bad_configuration_is_safe_mode_and_no_boot_loop() {
    let container = installed("safe");
    container.write("/etc/retrovolt/retrovolt.toml", "[[bus]]\nid = 7\n");
    container.run(&["systemctl", "restart", "retrovolt.service"]);
    assert_eq!(container.property("ActiveState"), "active");
    let status = container.property("StatusText");
    assert!(status.contains("LAST GOOD CONFIGURATION"), "{status}");
    assert!(
        container.journal().contains("retrovolt.toml:2"),
        "where the mistake is"
    );
    stays_up(&container);

    let garage = Garage::build().await;
    garage.move_in(&container);
    assert_eq!(container.restarts(), 0, "{}", container.journal());
    assert!(!container.property("StatusText").contains("LAST GOOD"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_last_good_configuration_safe_mode_answers_and_is_no_boot_loop() {
    let container = installed("bare");
    container.run(&["systemctl", "stop", "retrovolt.service"]);
    container.run(&["rm", "-r", "/var/lib/retrovolt/last-good"]);
    container.write("/etc/retrovolt/retrovolt.toml", "[[bus]]\nid = 7\n");
    container.run(&["systemctl", "start", "retrovolt.service"]);
    let text = container.property("StatusText");
    assert!(text.contains("SAFE MODE"), "{text}");
    let answer = container.until("it answers", |s| s["configuration"]["mode"] == "safe_mode");
    assert_eq!(answer["charge_points"].as_array().map(Vec::len), Some(0));
    let code = |verb: &[&str]| container.output(verb).status.code();
    assert_eq!(code(&["retrovolt", "healthcheck"]), Some(1));
    assert_eq!(code(&["retrovolt", "maintenance", "--can-start"]), Some(0));
    stays_up(&container);

    let garage = Garage::build().await;
    garage.move_in(&container);
    assert_eq!(container.restarts(), 0, "{}", container.journal());
    assert!(!container.property("StatusText").contains("SAFE MODE"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reload_takes_a_good_configuration_and_leaves_a_bad_one() {
    let container = installed("reload");
    let garage = Garage::build().await;
    garage.move_in(&container);
    garage
        .world
        .plug("wallbox", EvSpec::default())
        .expect("a charger");
    container.until("a session runs", |s| sessions(s) == 1);
    let pid = container.property("MainPID");

    container.write(
        "/etc/retrovolt/conf.d/90-mistake.toml",
        "[gateway]\nlog_levle = \"debug\"\n",
    );
    container.run(&["systemctl", "reload", "retrovolt.service"]);
    container.await_that("the mistake is told", || {
        container.journal().contains("log_levle")
    });
    container.until("the session goes on", |s| sessions(s) == 1 && online(s) == 1);

    std::fs::remove_file(container.path("/etc/retrovolt/conf.d/90-mistake.toml")).expect("a file");
    let lower = garage.configuration().replace("\"16A\"", "\"10A\"");
    container.write("/etc/retrovolt/retrovolt.toml", &lower);
    container.run(&["systemctl", "reload", "retrovolt.service"]);
    container.await_that("the lower limit is in force", || {
        garage.world.offered("wallbox") == Ok(MilliAmps::from_base(10))
    });
    container.until("the session goes on", |s| sessions(s) == 1);
    assert_eq!(container.property("MainPID"), pid, "reloaded, not restarted");
}

/// Longer than two restarts would take: the process is the same, and none was needed.
fn stays_up(container: &Container) {
    let pid = container.property("MainPID");
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3).min(PATIENCE) {
        assert_eq!(container.property("MainPID"), pid, "{}", container.journal());
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(container.restarts(), 0, "{}", container.journal());
}
