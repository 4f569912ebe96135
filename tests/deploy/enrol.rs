//! Many gateways from one template: each gets its own configuration, accepted by the real `check-config`, and its own
//! secrets, which nobody else can read; and the way of such a folder over a card into a gateway.

use crate::sandbox::{Said, Sandbox, root, said};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const GATEWAY: &str = env!("CARGO_BIN_EXE_retrovolt");

fn mode(path: &Path) -> u32 {
    path.metadata().expect("it is there").permissions().mode() & 0o777
}

fn enrol(sandbox: &Sandbox, template: &str, inventory: &str, more: &[&str]) -> Said {
    sandbox.file("template.toml", template);
    sandbox.file("fleet.csv", inventory);
    let name = |file: &str| sandbox.path(file).display().to_string();
    let (template, inventory, fleet) = (name("template.toml"), name("fleet.csv"), name("fleet"));
    let mut args = vec![&*template, &*inventory, &*fleet, "--retrovolt", GATEWAY];
    args.extend(more);
    sandbox.run("enrol/enrol", &args)
}

fn shipped(name: &str) -> String {
    std::fs::read_to_string(root().join("deploy/enrol").join(name)).expect("shipped")
}

#[test]
fn many_gateways_come_from_one_template_each_with_its_own_secrets() {
    let sandbox = Sandbox::new();
    let rows: String = (1..=50)
        .map(|n| {
            format!(
                "box-{n},CP-{n},heidelberg-energy-control,usb-{n},{}A\n",
                6 + n % 26
            )
        })
        .collect();
    let inventory = format!("gateway,charge_point,profile,port,fuse\n{rows}");
    let done = enrol(
        &sandbox,
        &shipped("template.toml"),
        &inventory,
        &["--secret", "csms.password", "--secret", "mqtt.password"],
    );
    assert_eq!(done.code, 0, "{}", done.text);

    let mut words = std::collections::BTreeSet::new();
    for n in 1..=50 {
        let here = sandbox.path(&format!("fleet/box-{n}"));
        let configuration = here.join("etc/retrovolt/conf.d/50-enrolment.toml");
        let text = std::fs::read_to_string(&configuration).expect("a configuration");
        assert!(text.contains(&format!("id = \"CP-{n}\"")), "{text}");
        for name in ["csms.password", "mqtt.password"] {
            let secret = here.join("etc/retrovolt/secrets").join(name);
            let word = std::fs::read_to_string(&secret)
                .expect("a secret")
                .trim()
                .to_owned();
            assert!(
                word.len() == 20 && word.bytes().all(|b| b.is_ascii_alphanumeric()),
                "{word}"
            );
            assert!(!text.contains(&word), "no secret in a configuration");
            assert_eq!(mode(&secret), 0o600);
            assert!(words.insert(word), "no secret twice");
        }
        assert_eq!(mode(&here.join("etc/retrovolt/secrets")), 0o700);
        let unit = here.join("etc/systemd/system/retrovolt.service.d/50-enrolment.conf");
        let unit = std::fs::read_to_string(unit).expect("a drop-in");
        assert!(unit.contains("LoadCredential=mqtt.password:/etc/retrovolt/secrets/mqtt.password\n"));
    }
    assert_eq!(
        (
            mode(&sandbox.path("fleet")),
            mode(&sandbox.path("fleet/passwords.csv"))
        ),
        (0o700, 0o600)
    );

    // One more gateway, and another fuse: who is enrolled keeps his secrets.
    let before = sandbox.text("fleet/box-7/etc/retrovolt/secrets/csms.password");
    let inventory = format!("{inventory}box-51,CP-51,heidelberg-energy-control,usb-51,16A\n");
    let again = enrol(&sandbox, &shipped("template.toml"), &inventory, &[]);
    assert_eq!(again.code, 0, "{}", again.text);
    let after = sandbox.text("fleet/box-7/etc/retrovolt/secrets/csms.password");
    assert_eq!(after, before);
    let told = sandbox.text("fleet/passwords.csv");
    assert!(told.contains(&format!("box-7,csms.password,{}", before.trim())));
    assert_eq!(told.lines().count(), 52);
}

#[test]
fn the_shipped_example_enrols() {
    let sandbox = Sandbox::new();
    let done = enrol(
        &sandbox,
        &shipped("template.toml"),
        &shipped("inventory.csv"),
        &[],
    );
    assert_eq!(
        (done.code, done.text.contains("2 gateways")),
        (0, true),
        "{}",
        done.text
    );
}

#[test]
fn what_is_wrong_with_an_inventory_is_said_all_at_once_and_nothing_is_written() {
    let sandbox = Sandbox::new();
    let template =
        "# {{ anything }} in a comment is nothing\nid = \"{{ charge_point }}\"\nx = \"{{ prot }}\"\n";
    let wrong = |inventory: &str, words: &[&str]| {
        let done = enrol(&sandbox, template, inventory, &[]);
        assert_eq!(done.code, 65, "{}", done.text);
        for word in words {
            assert!(done.text.contains(word), "`{word}` is not in: {}", done.text);
        }
        assert!(!sandbox.path("fleet").exists());
    };
    wrong("id,port\n1,2\n", &["fleet.csv:1: no column `gateway`"]);
    wrong("gateway,charge_point\n", &["no gateways"]);
    wrong(
        "gateway,charge_point\nBox 1,A\nbox-2,B\nbox-2,C\nbox-3,D\"E\nbox-4\n../up,F\n",
        &[
            "fleet.csv:2: `Box 1` is no host name",
            "fleet.csv:4: `box-2` is there already, in line 3",
            "fleet.csv:5: column `charge_point`: quotes",
            "fleet.csv:6: 2 columns are named",
            "fleet.csv:7: `../up` is no host name",
        ],
    );
    wrong(
        "gateway,charge_point\nbox-1,A\nbox-2,\n",
        &[
            "template.toml:3: no column `prot` in the inventory; there is gateway, charge_point",
            "fleet.csv:3: column `charge_point` is empty",
        ],
    );
    wrong(
        "gateway,template\nbox-1,absent.toml\n",
        &["fleet.csv:2: template", "No such file"],
    );
}

#[test]
fn a_configuration_that_the_gateway_refuses_is_told_with_its_place() {
    let sandbox = Sandbox::new();
    let inventory = shipped("inventory.csv").replace("20A", "500A");
    let done = enrol(&sandbox, &shipped("template.toml"), &inventory, &[]);
    assert_eq!(done.code, 78, "{}", done.text);
    assert!(
        done.text.contains("depot-02: ") && done.text.contains("max_current"),
        "{}",
        done.text
    );
    assert!(!done.text.contains("depot-01: "), "{}", done.text);
}

#[test]
fn secrets_are_not_written_where_git_or_others_would_see_them() {
    let sandbox = Sandbox::new();
    sandbox.file("template.toml", "");
    let init = said(sandbox.command("git").arg("init").arg("-q").arg(sandbox.path("")));
    assert_eq!(init.code, 0, "{}", init.text);
    let done = enrol(
        &sandbox,
        &shipped("template.toml"),
        &shipped("inventory.csv"),
        &[],
    );
    assert_eq!(
        (done.code, done.text.contains("git repository")),
        (73, true),
        "{}",
        done.text
    );
    sandbox.file(".gitignore", "fleet/\n");
    assert_eq!(
        enrol(
            &sandbox,
            &shipped("template.toml"),
            &shipped("inventory.csv"),
            &[]
        )
        .code,
        0
    );
    std::fs::set_permissions(sandbox.path("fleet"), PermissionsExt::from_mode(0o755)).expect("changed");
    let done = enrol(
        &sandbox,
        &shipped("template.toml"),
        &shipped("inventory.csv"),
        &[],
    );
    assert_eq!(
        (done.code, done.text.contains("others may look")),
        (73, true),
        "{}",
        done.text
    );
}

#[test]
fn cloud_init_is_given_the_same_files() {
    let sandbox = Sandbox::new();
    sandbox.file("key.asc", "PUBLIC KEY\n");
    let key = sandbox.path("key.asc").display().to_string();
    let more = [
        "--repository",
        "https://packages.example.com/retrovolt",
        "--key",
        &key,
    ];
    let done = enrol(
        &sandbox,
        &shipped("template.toml"),
        &shipped("inventory.csv"),
        &more,
    );
    assert_eq!(done.code, 0, "{}", done.text);
    assert_eq!(mode(&sandbox.path("fleet/depot-01/user-data")), 0o600);
    let text = sandbox.text("fleet/depot-01/user-data");
    let json = text.strip_prefix("#cloud-config\n").expect("its first line");
    let config: serde_json::Value = serde_json::from_str(json).expect("JSON, which is YAML");
    assert_eq!(
        (&config["hostname"], &config["packages"][0]),
        (&"depot-01".into(), &"retrovolt".into())
    );
    assert_eq!(config["apt"]["sources"]["retrovolt"]["key"], "PUBLIC KEY\n");
    let files = config["write_files"].as_array().expect("files");
    assert_eq!(files.len(), 3);
    for file in files {
        let path = file["path"].as_str().expect("a path");
        assert_eq!(file["content"], sandbox.text(&format!("fleet/depot-01{path}")));
        let secret = path.contains("/secrets/");
        assert_eq!(file["permissions"], if secret { "0600" } else { "0644" });
    }
    assert_eq!(enrol(&sandbox, "", "", &["--repository", "https://x"]).code, 64);
}

#[test]
fn a_card_is_prepared_and_the_first_boot_takes_it_in_and_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    assert_eq!(
        enrol(
            &sandbox,
            &shipped("template.toml"),
            &shipped("inventory.csv"),
            &[]
        )
        .code,
        0
    );
    let (gateway, boot) = (
        sandbox.path("fleet/depot-01"),
        sandbox.path("device/boot/firmware"),
    );
    let prepare = || {
        let (gateway, boot) = (gateway.display().to_string(), boot.display().to_string());
        sandbox.run("provision/prepare-card", &[&gateway, &boot])
    };
    assert_eq!(prepare().code, 66, "not onto anything that happens to be mounted");
    sandbox.file("device/boot/firmware/config.txt", "");
    sandbox.file("device/etc/hostname", "raspberrypi\n");
    let put = prepare();
    assert_eq!(put.code, 0, "{}", put.text);
    assert_eq!(prepare().code, 73, "not two gateways onto one card");

    std::fs::create_dir_all(sandbox.path("bin")).expect("a folder");
    std::os::unix::fs::symlink(GATEWAY, sandbox.path("bin/retrovolt")).expect("linked");
    sandbox.program("bin/hostname", "exit 0");
    let first_boot = || {
        let script = root().join("deploy/provision/first-boot");
        said(sandbox.command(script).env("ROOT", sandbox.path("device")))
    };
    // Refused as a whole: the card was filled by hand.
    let on_card = "device/boot/firmware/retrovolt/etc/retrovolt/conf.d/50-enrolment.toml";
    let good = sandbox.text(on_card);
    sandbox.file(on_card, &good.replace("16A", "1600A"));
    let refused = first_boot();
    assert!(
        refused.code == 78 && refused.text.contains("max_current"),
        "{}",
        refused.text
    );
    assert!(!sandbox.path("device/etc/retrovolt").exists());

    sandbox.file(on_card, &good);
    let done = first_boot();
    assert_eq!(done.code, 0, "{}", done.text);
    for (name, bits) in [
        ("conf.d/50-enrolment.toml", 0o644),
        ("secrets/csms.password", 0o600),
    ] {
        let here = format!("device/etc/retrovolt/{name}");
        assert_eq!(
            sandbox.text(&here),
            sandbox.text(&format!("fleet/depot-01/etc/retrovolt/{name}"))
        );
        assert_eq!(mode(&sandbox.path(&here)), bits, "{name}");
    }
    assert_eq!(mode(&sandbox.path("device/etc/retrovolt/secrets")), 0o700);
    assert_eq!(sandbox.text("device/etc/hostname"), "depot-01\n");
    assert!(!sandbox.path("device/boot/firmware/retrovolt").exists());
    assert_eq!(first_boot().code, 0, "the next boots find nothing to do");
}
