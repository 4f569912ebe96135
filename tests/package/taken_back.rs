//! A release that does not become healthy, on a whole system: apt, its hooks as the package's `updates/install apt` places
//! them, systemd and the real gateway. `tests/deploy` has the cases one by one.

use crate::container::Container;
use crate::site::{Garage, NOW, installed, package};
use retrovolt::sim::status::online;

/// A later version whose gateway ends at once.
const ILL: &str = "9.9-1";

fn property(container: &Container, unit: &str, name: &str) -> String {
    container.run(&[
        "systemctl",
        "show",
        unit,
        &format!("--property={name}"),
        "--value",
    ])
}

const CHECK: &str = "retrovolt-update-check.service";
const UPGRADE: &str = "apt-daily-upgrade.service";

/// Made in the container of the package that is there: everything the same but version and program.
const MAKE_ILL: &str = "set -e; cd /root; dpkg-deb -R now.deb ill; \
    printf '#!/bin/sh\\nexit 1\\n' >ill/usr/bin/retrovolt; \
    sed -i 's/^Version: .*/Version: 9.9-1/' ill/DEBIAN/control; rm -f ill/DEBIAN/md5sums; dpkg-deb -Znone -b ill ill.deb";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apt_and_systemd_take_an_ill_release_back() {
    let garage = Garage::build().await;
    let container = installed("ill");
    garage.move_in(&container);
    container.run(&["/usr/share/retrovolt/updates/install", "apt"]);
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
    // It takes minutes elsewhere: whoever starts it, be it the boot, does not wait for its end.
    container.await_that("the check runs", || {
        property(&container, CHECK, "ActiveState") == "active"
    });
    container.await_that("the earlier release is back", || version() == NOW);
    container.until("and serves", |s| online(s) == 1);
    container.await_that("the check has ended", || {
        property(&container, CHECK, "ActiveState") == "failed"
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

/// The unit of Debian's unattended upgrades, with nothing to do, and the hooks of apt around it.
#[test]
fn only_a_vehicle_that_charges_keeps_unattended_upgrades_out() {
    let container = installed("quiet");
    container.run(&["/usr/share/retrovolt/updates/install", "apt"]);
    container.write(
        "/etc/systemd/system/apt-daily-upgrade.service.d/short.conf",
        "[Unit]\nConditionACPower=\nStartLimitIntervalSec=0\n[Service]\nExecStartPre=\nExecStart=\nExecStart=/bin/true\n",
    );
    container.run(&["systemctl", "daemon-reload"]);
    let outcome = || {
        container.run(&["systemctl", "start", UPGRADE]);
        property(&container, UPGRADE, "Result")
    };
    assert_eq!(outcome(), "success", "nothing charges");
    for (gateway, wanted) in [
        ("exit 21", "exec-condition"),
        ("exit 1", "success"),
        ("exit 101", "success"),
        ("kill -ABRT $$", "success"),
        ("exec /no/such/program", "success"),
    ] {
        container.run(&["rm", "/usr/bin/retrovolt"]);
        container.write("/usr/bin/retrovolt", &format!("#!/bin/sh\n{gateway}\n"));
        container.run(&["chmod", "0755", "/usr/bin/retrovolt"]);
        assert_eq!(outcome(), wanted, "a gateway that does `{gateway}`");
    }
    container.run(&["rm", "/usr/bin/retrovolt"]);
    assert_eq!(outcome(), "success", "none at all");
}
