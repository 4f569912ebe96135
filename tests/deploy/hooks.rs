//! The hooks of RAUC, SWUpdate, Mender and thin-edge.io, with a gateway that says what the test wants.

use crate::sandbox::{Sandbox, root, said};
use std::path::{Path, PathBuf};

/// A gateway that is healthy as the letters of a file say, one letter an asking: `y` or `n`; the last one stays.
fn gateway(sandbox: &Sandbox, letters: &str) {
    sandbox.file("health", letters);
    sandbox.program(
        "bin/retrovolt",
        r#"case "$1" in
healthcheck)
  [ "${2:-}" = --verbose ] && { echo "not healthy: bus a hangs"; exit 1; }
  echo x >>"$HERE/asked"
  all=$(cat "$HERE/health"); n=$(wc -l <"$HERE/asked"); [ "$n" -gt "${#all}" ] && n=${#all}
  [ "$(printf %s "$all" | cut -c "$n")" = y ] ;;
maintenance)
  exit "$(cat "$HERE/session" 2>/dev/null || echo 0)" ;;
diag) echo bundle >"$3" ;;
esac"#,
    );
}

fn settled(letters: &str) -> (i32, usize, String) {
    let sandbox = Sandbox::new();
    gateway(&sandbox, letters);
    let mut command = sandbox.command(root().join("deploy/updates/settled"));
    let said = said(command.env("HEALTHY_FOR", "5").env("WITHIN", "20"));
    (said.code, sandbox.text("asked").lines().count(), said.text)
}

#[test]
fn a_release_has_settled_when_it_was_healthy_without_a_break() {
    assert_eq!(settled("y"), (0, 5, String::new()));
    assert_eq!(
        settled("nnny").1,
        8,
        "the time before it was healthy does not count"
    );
    assert_eq!(settled("yyyynyyyyy").1, 10, "a break begins it anew");
    let (code, asked, said) = settled("yyyyn");
    assert_eq!((code, asked), (1, 20));
    assert!(
        said.contains("within 20 seconds") && said.contains("bus a hangs"),
        "{said}"
    );
}

#[test]
fn no_update_begins_while_a_vehicle_charges() {
    let sandbox = Sandbox::new();
    gateway(&sandbox, "y");
    let ask = |script: &str, args: &[&str]| sandbox.run(&format!("updates/{script}"), args);
    let install = "mender/ArtifactInstall_Enter_50_retrovolt";
    let reboot = "mender/ArtifactReboot_Enter_50_retrovolt";
    for (script, args) in [
        ("rauc/hook", &["install-check"][..]),
        ("rauc/hook", &[]),
        ("swupdate/hook", &["preinst"]),
        ("swupdate/hook", &[]),
        (install, &[]),
        (reboot, &[]),
    ] {
        assert_eq!(ask(script, args).code, 0, "{script} {args:?}");
    }
    sandbox.file("session", "21");
    // RAUC shows the last line of a hook that ends with 10 as its reason.
    let refused = ask("rauc/hook", &["install-check"]);
    assert_eq!(
        (refused.code, refused.text.as_str()),
        (10, "a vehicle charges; try again later\n")
    );
    assert_eq!(ask("rauc/hook", &[]).code, 10);
    assert_eq!(ask("swupdate/hook", &["preinst"]).code, 1);
    assert_eq!(
        ask("swupdate/hook", &["postinst"]).code,
        0,
        "what is written is written"
    );
    assert_eq!((ask(install, &[]).code, ask(reboot, &[]).code), (21, 21));
}

/// What the drop-in of apt-daily-upgrade.service asks, as systemd would run it.
fn apt_asks(sandbox: &Sandbox) -> i32 {
    let drop_in = root().join("deploy/updates/apt/apt-daily-upgrade.service.conf");
    let text = std::fs::read_to_string(drop_in).expect("shipped");
    let asked = text.lines().find_map(|line| line.strip_prefix("ExecCondition="));
    let asked = asked.expect("a condition").replace("$$", "$");
    let asked = asked.replace("/usr/bin/retrovolt", "retrovolt");
    said(sandbox.command("sh").args(["-c", &asked])).code
}

/// A release that cannot answer must not keep out the one that mends it.
#[test]
fn only_a_vehicle_that_charges_holds_an_update_back() {
    let sandbox = Sandbox::new();
    gateway(&sandbox, "y");
    let scripts = [
        "rauc/hook",
        "swupdate/hook",
        "mender/ArtifactInstall_Enter_50_retrovolt",
        "mender/ArtifactReboot_Enter_50_retrovolt",
    ];
    for (code, apt) in [("0", 0), ("1", 0), ("77", 0), ("101", 0), ("127", 0), ("21", 1)] {
        sandbox.file("session", code);
        assert_eq!(apt_asks(&sandbox), apt, "the gateway ends with {code}");
        for script in scripts {
            let asked = sandbox.run(&format!("updates/{script}"), &[]);
            assert_eq!(asked.code != 0, code == "21", "{script}, {code}: {}", asked.text);
        }
    }
}

/// A oneshot that waits for minutes holds the boot up as long.
#[test]
fn no_boot_waits_for_a_release_to_settle() {
    for unit in [
        "apt/retrovolt-update-check.service",
        "rauc/retrovolt-mark-good.service",
        "swupdate/retrovolt-confirm.service",
    ] {
        let text = std::fs::read_to_string(root().join("deploy/updates").join(unit)).expect("shipped");
        assert!(text.lines().any(|line| line == "Type=exec"), "{unit}: {text}");
        assert!(!text.contains("TimeoutStartSec"), "{unit}: {text}");
    }
}

#[test]
fn mender_rolls_back_what_does_not_become_healthy() {
    let commit = |letters: &str| {
        let sandbox = Sandbox::new();
        gateway(&sandbox, letters);
        let script = root().join("deploy/updates/mender/ArtifactCommit_Enter_50_retrovolt");
        said(
            sandbox
                .command(script)
                .env("RETROVOLT_LIB", root().join("deploy/updates")),
        )
        .code
    };
    assert_eq!((commit("nny"), commit("n")), (0, 1));
}

#[test]
fn thin_edge_is_told_the_service_and_its_health() {
    let sandbox = Sandbox::new();
    gateway(&sandbox, "yn");
    sandbox.program("bin/tedge", r#"printf '%s\n' "$*" >>"$HERE/published""#);
    sandbox.program("bin/systemctl", "echo 4711");
    for _ in 0..2 {
        assert_eq!(sandbox.run("updates/thin-edge/health", &[]).code, 0);
    }
    let published = sandbox.text("published");
    let words: Vec<(&str, serde_json::Value)> = published
        .lines()
        .map(|line| {
            let line = line
                .strip_prefix("mqtt pub --retain --qos 1 ")
                .expect("published");
            let (topic, payload) = line.split_once(' ').expect("a payload");
            (topic, serde_json::from_str(payload).expect("JSON"))
        })
        .collect();
    let topic = "te/device/main/service/retrovolt";
    assert_eq!(words[0].0, topic);
    assert_eq!(words[0].1["@type"], "service");
    assert_eq!(words[1].0, format!("{topic}/status/health"));
    assert_eq!(
        (&words[1].1["status"], &words[1].1["pid"]),
        (&"up".into(), &4711.into())
    );
    assert_eq!(words[3].1["status"], "down");
}

#[test]
fn the_plugin_of_tedge_diag_adds_the_bundle() {
    let sandbox = Sandbox::new();
    gateway(&sandbox, "y");
    let plugin = "updates/thin-edge/50_retrovolt.sh";
    let out = sandbox.path("").display().to_string();
    let args = ["collect", "--output-dir", &out, "--config-dir", "/etc/tedge"];
    assert_eq!(sandbox.run(plugin, &args).code, 0);
    assert_eq!(sandbox.text("retrovolt-diag.tar.gz"), "bundle\n");
    assert_eq!(sandbox.run(plugin, &["collect"]).code, 1);
    std::fs::remove_file(sandbox.path("bin/retrovolt")).expect("removed");
    let mut absent = sandbox.command(root().join("deploy").join(plugin));
    absent.args(args).env("PATH", sandbox.path("bin"));
    assert_eq!(said(&mut absent).code, 2, "nothing to collect on this device");
}

#[test]
fn every_manager_s_hooks_find_their_place_in_an_image() {
    let sandbox = Sandbox::new();
    sandbox.program("bin/systemctl", r#"printf '%s\n' "$*" >>"$HERE/enabled""#);
    let image = sandbox.path("image").display().to_string();
    let places = [
        (
            "apt",
            "etc/apt/apt.conf.d/60retrovolt-return",
            "retrovolt-update-check.service",
        ),
        (
            "rauc",
            "usr/lib/retrovolt/rauc-hook",
            "retrovolt-mark-good.service",
        ),
        (
            "swupdate",
            "usr/lib/retrovolt/swupdate-hook",
            "retrovolt-confirm.service",
        ),
        (
            "thin-edge",
            "usr/share/tedge/diag-plugins/50_retrovolt.sh",
            "retrovolt-thin-edge.timer",
        ),
        ("mender", "usr/lib/retrovolt/settled", ""),
    ];
    for (manager, place, unit) in places {
        let done = sandbox.run("updates/install", &[manager, &image]);
        assert_eq!(done.code, 0, "{manager}: {}", done.text);
        assert!(sandbox.path("image").join(place).exists(), "{manager}: {place}");
        if !unit.is_empty() {
            let enabled = format!("--root={image} enable {unit}\n");
            assert!(sandbox.text("enabled").contains(&enabled), "{unit}");
            assert!(
                sandbox.path("image/etc/systemd/system").join(unit).exists(),
                "{unit}"
            );
        }
    }
    assert_eq!(sandbox.run("updates/install", &["other"]).code, 64);
}

/// All files and links below a folder.
fn left(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.is_symlink() {
            left(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn hooks_are_put_once_and_taken_away_whole() {
    let sandbox = Sandbox::new();
    sandbox.program("bin/systemctl", r#"printf '%s\n' "$*" >>"$HERE/told""#);
    let image = sandbox.path("image").display().to_string();
    let managers = ["apt", "rauc", "swupdate", "mender", "thin-edge"];
    for manager in managers {
        let first = sandbox.run("updates/install", &[manager, &image]);
        assert_eq!(first.code, 0, "{}", first.text);
        assert_eq!(
            first.text.contains(&format!("put {image}/")),
            manager != "mender",
            "all of mender's are there: {}",
            first.text
        );
    }
    for manager in managers {
        let again = sandbox.run("updates/install", &[manager, &image]);
        assert_eq!((again.code, again.text.as_str()), (0, ""), "{manager}");
    }
    // Those of an earlier release are replaced.
    sandbox.file("image/usr/lib/retrovolt/check", "an earlier one");
    let again = sandbox.run("updates/install", &["apt", &image]);
    assert_eq!(again.text, format!("put {image}/usr/lib/retrovolt/check\n"));

    let wants = sandbox.path("image/etc/systemd/system/multi-user.target.wants");
    std::fs::create_dir_all(&wants).expect("a folder");
    let unit = "retrovolt-update-check.service";
    std::os::unix::fs::symlink(format!("../{unit}"), wants.join(unit)).expect("linked");
    sandbox.file("image/var/lib/retrovolt-updates/good.deb", "a release");
    sandbox.file("image/etc/apt/preferences.d/90retrovolt-taken-back", "a pin");
    // As a purge calls it, when the package is gone.
    let script = sandbox.path("image/usr/lib/retrovolt/install-updates");
    let gone = said(sandbox.command(script).args(["--remove", &image]));
    assert_eq!((gone.code, gone.text.as_str()), (0, ""));
    let mut found = Vec::new();
    left(&sandbox.path("image"), &mut found);
    assert!(found.is_empty(), "{found:#?}");
    assert!(!sandbox.path("image/usr/lib/retrovolt").exists());
    let told = sandbox.text("told");
    assert!(
        told.contains(&format!("--root={image} disable {unit}\n")),
        "{told}"
    );
    assert_eq!(
        sandbox.run("updates/install", &["--remove", &image]).code,
        0,
        "nothing to do"
    );
}
