//! A release that does not become healthy, on a whole system: apt, its hooks as `deploy/updates/install apt` places them,
//! systemd and the real gateway. `tests/deploy` has the cases one by one.

use crate::container::Container;
use crate::site::{Garage, NOW, installed, package};
use retrovolt::sim::status::online;
use std::process::Command;

/// A later version whose gateway ends at once.
const ILL: &str = "9.9-1";

/// Copies a folder of the repository into the container.
fn copy(container: &Container, folder: &str, to: &str) {
    let parent = container.path(to);
    std::fs::create_dir_all(&parent).expect("a folder");
    let done = Command::new("cp")
        .arg("-r")
        .arg(super::root().join(folder))
        .arg(&parent)
        .status();
    assert!(done.expect("cp").success());
}

/// Made in the container of the package that is there: everything the same but version and program.
const MAKE_ILL: &str = "set -e; cd /root; dpkg-deb -R now.deb ill; \
    printf '#!/bin/sh\\nexit 1\\n' >ill/usr/bin/retrovolt; \
    sed -i 's/^Version: .*/Version: 9.9-1/' ill/DEBIAN/control; rm -f ill/DEBIAN/md5sums; dpkg-deb -Znone -b ill ill.deb";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apt_and_systemd_take_an_ill_release_back() {
    let garage = Garage::build().await;
    let container = installed("ill");
    garage.move_in(&container);
    copy(&container, "deploy/updates", "/root");
    container.run(&["/root/updates/install", "apt"]);
    std::fs::copy(package(NOW), container.path("/root/now.deb")).expect("copied");
    container.run(&["/usr/lib/retrovolt/keep", "/root/now.deb"]);
    // Nobody waits ten minutes in a test.
    let quick = "[Service]\nEnvironment=HEALTHY_FOR=3 WITHIN=8\n";
    container.write(
        "/etc/systemd/system/retrovolt-update-check.service.d/quick.conf",
        quick,
    );
    container.run(&["systemctl", "daemon-reload"]);
    container.run(&["sh", "-c", MAKE_ILL]);

    container.run(&["apt-get", "install", "-y", "/root/ill.deb"]);
    let version = || container.run(&["dpkg-query", "-W", "-f", "${Version}", "retrovolt"]);
    assert_eq!(version(), ILL);
    container.await_that("the earlier release is back", || version() == NOW);
    container.until("and serves", |s| online(s) == 1);
    container.await_that("the check has ended", || {
        let state = [
            "systemctl",
            "show",
            "retrovolt-update-check.service",
            "--property=ActiveState",
            "--value",
        ];
        container.run(&state) == "failed"
    });
    // The journal takes a line after it was written.
    let told = |words: &str| {
        let unit = "--unit=retrovolt-update-check.service";
        container.run(&["journalctl", "--no-pager", unit]).contains(words)
    };
    let back = format!("{NOW} is back and healthy, {ILL} is not taken again");
    container.await_that("it is told that it was taken back", || told(&back));
    let pin = container.run(&["cat", "/etc/apt/preferences.d/90retrovolt-taken-back"]);
    assert!(pin.contains(&format!("Pin: version {ILL}")), "{pin}");

    // The same package again, healthy: kept.
    container.run(&["apt-get", "install", "-y", "--reinstall", "/root/now.deb"]);
    container.await_that("it is kept", || {
        !container.path("/var/lib/retrovolt-updates/trial.deb").exists()
    });
    let kept = format!("{NOW} is healthy and kept");
    container.await_that("it is told that it is kept", || told(&kept));
}
