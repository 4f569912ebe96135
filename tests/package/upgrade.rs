//! Upgrades, refused downgrades and the end of an installation: what was not delivered survives all of them (promise U9).

use crate::container::Container;
use crate::site::{CP, EARLIER, Garage, LATER, installed, package};
use retrovolt::domain::{CpId, Event};
use retrovolt::sim::EvSpec;
use retrovolt::sim::csms::Reach;
use retrovolt::sim::status::{online, sessions, waiting};
use retrovolt::store::Store;
use tempfile::TempDir;

/// A session while no CSMS can be reached: a begin, some samples, an end, and none of it delivered.
fn an_unsent_session(container: &Container, garage: &Garage) -> u64 {
    garage.csms.set_reach(Reach::Refuse);
    garage.csms.cut();
    container.until("the link is lost", |s| online(s) == 0);
    garage
        .world
        .plug("wallbox", EvSpec::default())
        .expect("a charger");
    container.until("a session with a sample waits", |s| {
        sessions(s) == 1 && waiting(s) >= 3
    });
    garage.world.unplug("wallbox").expect("a charger");
    waiting(&container.until("the session has ended", |s| sessions(s) == 0 && waiting(s) >= 4))
}

/// How many events of the ledger become messages of a transaction in OCPP 1.6.
async fn recorded(container: &Container) -> u64 {
    // SQLite follows the link that leads into the container to the wrong end: it gets a copy.
    let copy = TempDir::new().expect("a folder");
    for entry in std::fs::read_dir(container.path("/var/lib/retrovolt")).expect("the folder") {
        let entry = entry.expect("an entry");
        if entry.path().is_file() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("copied");
        }
    }
    let (store, opened) = Store::open(copy.path()).expect("the ledger");
    assert_eq!(opened.set_aside, None);
    let rows = store.rows(&CpId::new(CP), 0, 10_000).await.expect("its rows");
    store.close().await;
    let sent = |event: &Event| match event {
        Event::Began(_) | Event::Ended(_) => true,
        Event::Sampled { tx, .. } => tx.is_some(),
        Event::Changed { .. } | Event::Security(_) | Event::Log(_) | Event::Firmware(_) => false,
    };
    rows.iter().filter(|row| sent(&row.event)).count() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn unsent_transactions_survive_an_upgrade_and_arrive_once() {
    let container = installed("upgrade");
    let garage = Garage::build().await;
    garage.move_in(&container);
    let unsent = an_unsent_session(&container, &garage);

    let (taken, said) = container.install(&package(LATER));
    assert!(taken, "{said}");
    assert!(said.contains(LATER), "{said}");
    let after = container.until("the new release serves", |s| waiting(s) != u64::MAX);
    assert!(
        waiting(&after) >= unsent,
        "{unsent} before, {} after",
        waiting(&after)
    );

    garage.csms.set_reach(Reach::Up);
    container.until("everything is delivered", |s| online(s) == 1 && waiting(s) == 0);
    let verdict = garage.csms.verdict();
    println!("{unsent} unsent before the upgrade; {verdict:?}");
    assert!(verdict.is_clean(), "{verdict:#?}");
    assert_eq!(
        (verdict.begun, verdict.ended, verdict.repeats_excused),
        (1, 1, 0),
        "{verdict:#?}"
    );
    assert!(verdict.open.is_empty(), "{verdict:#?}");
    container.run(&["systemctl", "stop", "retrovolt.service"]);
    let recorded = recorded(&container).await;
    assert_eq!(verdict.events, recorded, "lost or invented: {verdict:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_older_release_is_refused_over_a_newer_ledger() {
    let container = installed("downgrade");
    let garage = Garage::build().await;
    garage.move_in(&container);
    let unsent = an_unsent_session(&container, &garage);
    let pid = container.property("MainPID");

    let (taken, said) = container.install(&package(EARLIER));
    assert!(!taken, "{said}");
    assert!(
        said.contains("has schema 3, this release knows up to 1"),
        "{said}"
    );
    let installed = container.run(&[
        "dpkg-query",
        "--show",
        "--showformat=${Version} ${db:Status-Status}",
        "retrovolt",
    ]);
    assert_eq!(installed, format!("{} installed", crate::site::NOW));
    container.until("the newer release goes on", |s| waiting(s) >= unsent);
    assert_eq!(container.property("MainPID"), pid, "it was not even restarted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn neither_remove_nor_purge_takes_unsent_transactions() {
    let container = installed("purge");
    let garage = Garage::build().await;
    garage.move_in(&container);
    an_unsent_session(&container, &garage);

    container.run(&["dpkg", "--remove", "retrovolt"]);
    assert!(!container.path("/usr/bin/retrovolt").exists());
    assert!(
        container.path("/etc/retrovolt/retrovolt.toml").exists(),
        "configuration outlives a remove"
    );
    assert!(container.path("/var/lib/retrovolt/ledger.db").exists());
    assert!(
        !container
            .output(&["systemctl", "is-active", "retrovolt.service"])
            .status
            .success()
    );

    let said = container.run(&["dpkg", "--purge", "retrovolt"]);
    assert!(
        said.contains("may hold transactions that were never delivered"),
        "{said}"
    );
    assert!(!container.path("/etc/retrovolt").exists());
    assert!(container.path("/var/lib/retrovolt/ledger.db").exists());
}

/// Where `updates/install` and `provision/install` put something.
const OUTSIDE: [&str; 9] = [
    "/usr/lib/retrovolt",
    "/var/lib/retrovolt-updates",
    "/etc/apt/apt.conf.d/52retrovolt-unattended",
    "/etc/apt/apt.conf.d/60retrovolt-return",
    "/etc/apt/preferences.d/90retrovolt-taken-back",
    "/etc/systemd/system/apt-daily-upgrade.service.d/retrovolt.conf",
    "/etc/systemd/system/apt-daily-upgrade.timer.d/retrovolt.conf",
    "/etc/systemd/system/retrovolt-update-check.service",
    "/etc/systemd/system/multi-user.target.wants/retrovolt-first-boot.service",
];

#[test]
fn a_purge_leaves_nothing_where_nothing_was_recorded() {
    let container = installed("empty");
    for manager in ["apt", "rauc", "swupdate", "mender", "thin-edge"] {
        container.run(&["/usr/share/retrovolt/updates/install", manager]);
    }
    container.run(&["/usr/share/retrovolt/provision/install", "/"]);
    container.run(&["/usr/lib/retrovolt/keep", "/retrovolt.deb"]);
    container.write(
        "/etc/apt/preferences.d/90retrovolt-taken-back",
        "Package: retrovolt\nPin: version 9\nPin-Priority: -1\n",
    );
    for path in OUTSIDE {
        assert!(container.path(path).symlink_metadata().is_ok(), "{path}");
    }
    container.run(&["systemctl", "stop", "retrovolt.service"]);
    container.run(&["sh", "-c", "rm -r /var/lib/retrovolt/*"]);
    let said = container.run(&["dpkg", "--purge", "retrovolt"]);
    assert!(!said.contains("never delivered"), "{said}");
    let inside = ["/var/lib/retrovolt", "/etc/retrovolt", "/usr/share/retrovolt"];
    for path in inside.into_iter().chain(OUTSIDE) {
        assert!(container.path(path).symlink_metadata().is_err(), "{path}");
    }
    let upgrade = container.run(&["systemctl", "cat", "apt-daily-upgrade.service"]);
    assert!(!upgrade.contains("retrovolt"), "{upgrade}");
    let links = container.output(&["systemctl", "list-unit-files", "--no-legend", "retrovolt*"]);
    assert!(links.stdout.is_empty(), "{links:?}");
}
