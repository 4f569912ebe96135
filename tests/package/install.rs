//! What a package brings, and what a fresh installation does.

use crate::container::text;
use crate::site::{NOW, installed, package};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

#[test]
fn lintian_finds_neither_errors_nor_warnings() {
    let output = Command::new("lintian")
        .args([
            "--allow-root",
            "--profile=debian",
            "--fail-on=error,warning",
            "--tag-display-limit=0",
        ])
        .arg(package(NOW))
        .output()
        .expect("lintian starts");
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}");
}

#[test]
fn a_fresh_installation_is_active_and_serves_nothing() {
    let container = installed("fresh");
    let status = container.run(&["systemctl", "status", "--no-pager", "retrovolt.service"]);
    for words in [
        "Active: active (running)",
        "Status: \"",
        "enabled",
        "man:retrovolt(1)",
    ] {
        assert!(status.contains(words), "{words} is missing in:\n{status}");
    }
    let answer = container.until("the gateway answers", |s| s["charge_points"].is_array());
    assert_eq!(answer["charge_points"].as_array().map(Vec::len), Some(0));
    assert_eq!(container.restarts(), 0, "{}", container.journal());
    assert_eq!(container.run(&["systemctl", "is-system-running"]), "running");
}

#[test]
fn the_configuration_is_for_the_gateway_and_secrets_for_root() {
    let container = installed("modes");
    let gid: u32 = container
        .run(&["id", "-g", "retrovolt"])
        .parse()
        .expect("a number");
    let wanted = [
        ("/etc/retrovolt", 0o750, gid),
        ("/etc/retrovolt/retrovolt.toml", 0o640, gid),
        ("/etc/retrovolt/conf.d", 0o750, gid),
        ("/etc/retrovolt/devices.d", 0o750, gid),
        ("/etc/retrovolt/secrets", 0o700, 0),
    ];
    for (path, mode, group) in wanted {
        let meta = container.path(path).metadata().expect(path);
        assert_eq!(
            (meta.permissions().mode() & 0o7777, meta.uid(), meta.gid()),
            (mode, 0, group),
            "{path}"
        );
    }
    let as_gateway = |file: &str| {
        container
            .output(&["runuser", "-u", "retrovolt", "--", "cat", file])
            .status
            .success()
    };
    container.write("/etc/retrovolt/secrets/csms.password", "hush");
    assert!(as_gateway("/etc/retrovolt/retrovolt.toml"));
    assert!(
        !as_gateway("/etc/retrovolt/secrets/csms.password"),
        "only systemd hands secrets over"
    );
    let groups = container.run(&["id", "-Gn", "retrovolt"]);
    assert!(
        groups.split_whitespace().any(|group| group == "dialout"),
        "{groups}"
    );
}

#[test]
fn a_secret_comes_as_a_credential() {
    let container = installed("secret");
    container.write("/etc/retrovolt/secrets/csms.password", "0123456789abcdef");
    let example = container.path("/usr/share/doc/retrovolt/examples/credentials.conf");
    let dropin = std::fs::read_to_string(example).expect("the example is shipped");
    container.write(
        "/etc/systemd/system/retrovolt.service.d/credentials.conf",
        &dropin,
    );
    container.run(&["systemctl", "daemon-reload"]);
    container.run(&["systemctl", "restart", "retrovolt.service"]);
    let pid = container.property("MainPID");
    let handed = "/run/credentials/retrovolt.service/csms.password";
    let seen = container.run(&["nsenter", "--mount", "--target", &pid, "cat", handed]);
    assert_eq!(seen, "0123456789abcdef");
}

#[test]
fn the_unit_is_sound_and_scores_at_most_1_7() {
    let container = installed("unit");
    let found = container.output(&["systemd-analyze", "verify", "retrovolt.service"]);
    let said = format!("{}{}", text(&found.stdout), text(&found.stderr));
    assert!(found.status.success() && said.is_empty(), "{said}");
    container.run(&[
        "systemd-analyze",
        "security",
        "--threshold=17",
        "retrovolt.service",
    ]);
    // Since systemd 254.
    if container
        .output(&["udevadm", "verify", "--help"])
        .status
        .success()
    {
        container.run(&["udevadm", "verify", "/usr/lib/udev/rules.d/60-retrovolt.rules"]);
    }
}

/// systemd takes a class of devices into a service's list only if the kernel knows it at the start (systemd.resource-control(5)):
/// the unit has the modules loaded first whose devices may be plugged in later.
#[test]
fn classes_of_devices_that_are_modules_are_known_before_the_start() {
    let container = installed("classes");
    let (wants, after) = (container.property("Wants"), container.property("After"));
    let allowed = container.property("DeviceAllow");
    for (class, module) in [
        ("char-ttyUSB", "usbserial"),
        ("char-ttyACM", "cdc_acm"),
        ("char-ttySC", "sc16is7xx"),
    ] {
        let unit = format!("modprobe@{module}.service");
        assert!(allowed.contains(class), "{allowed}");
        for list in [&wants, &after] {
            assert!(list.split(' ').any(|word| word == unit), "{unit}: {list}");
        }
        let state = ["systemctl", "show", &unit, "--property=LoadState", "--value"];
        assert_eq!(container.run(&state), "loaded", "{unit}");
    }
}

/// What the documents name is in the package and runs from there.
#[test]
fn the_scripts_of_a_fleet_come_with_the_package() {
    let container = installed("fleet");
    let share = "/usr/share/retrovolt";
    container.run(&["mkdir", "/image"]);
    for script in ["updates/install", "provision/install", "provision/prepare-card"] {
        let told = container.output(&[&format!("{share}/{script}")]);
        assert_eq!(told.status.code(), Some(64), "{script}: {told:?}");
    }
    container.run(&[&format!("{share}/provision/install"), "/image"]);
    container.run(&[&format!("{share}/updates/install"), "rauc", "/image"]);
    for file in ["first-boot", "settled", "rauc-hook"] {
        container.run(&["test", "-x", &format!("/image/usr/lib/retrovolt/{file}")]);
    }
    for name in ["retrovolt-first-boot.service", "retrovolt-mark-good.service"] {
        let wanted = format!("/image/etc/systemd/system/multi-user.target.wants/{name}");
        container.run(&["test", "-L", &wanted]);
    }
    assert!(container.path("/usr/share/retrovolt/ansible/site.yml").exists());

    // The container has no Python; the file is the same.
    let fleet = tempfile::TempDir::new().expect("a folder");
    let enrol = container.path("/usr/share/retrovolt/enrol");
    let enrolled = Command::new(enrol.join("enrol"))
        .args([enrol.join("template.toml"), enrol.join("inventory.csv")])
        .arg(fleet.path().join("out"))
        .args(["--retrovolt", env!("CARGO_BIN_EXE_retrovolt")])
        .output()
        .expect("python3");
    assert!(enrolled.status.success(), "{enrolled:?}");
    assert!(fleet.path().join("out/depot-01/etc").exists());
}

#[test]
fn pages_completions_and_licences_are_there() {
    let container = installed("pages");
    for page in ["retrovolt", "retrovolt-scan", "retrovolt-profile-show"] {
        let shown = container.run(&["man", "--pager=cat", "1", page]);
        assert!(shown.contains("SYNOPSIS"), "{page}: {shown}");
    }
    let shown = container.run(&["man", "--pager=cat", "5", "retrovolt.toml"]);
    assert!(shown.contains("charge_point.csms"), "{shown}");
    for file in [
        "/usr/share/bash-completion/completions/retrovolt",
        "/usr/share/zsh/vendor-completions/_retrovolt",
        "/usr/share/fish/vendor_completions.d/retrovolt.fish",
        "/usr/share/doc/retrovolt/copyright",
        "/usr/share/doc/retrovolt/THIRD-PARTY.txt.gz",
        "/usr/share/doc/retrovolt/changelog.Debian.gz",
        "/usr/share/doc/retrovolt/examples/retrovolt.toml",
    ] {
        assert!(
            container.path(file).metadata().is_ok_and(|meta| meta.len() > 100),
            "{file}"
        );
    }
}
