//! The Ansible role applied to a machine, as the package brings it: install, enrol, watch over updates; and again.
//! `tests/deploy/setup.sh` installs Ansible, `tests/package/setup.sh` the Python that it needs on the machine.

use crate::container::{Container, text};
use crate::site::{NOW, package};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const GATEWAY: &str = env!("CARGO_BIN_EXE_retrovolt");

/// The folder of a fleet of one gateway, as `enrol` makes it.
fn enrol(folder: &Path) {
    let shipped = super::root().join("deploy/enrol");
    let template = std::fs::read_to_string(shipped.join("template.toml")).expect("shipped");
    // Handed over to the gateway, and used by it no more than this: nobody answers at the CSMS's address.
    let template = template.replace(
        "security = \"basic\"\npassword_credential = \"csms.password\"\n",
        "",
    );
    std::fs::write(folder.join("template.toml"), template).expect("a file");
    let inventory = "gateway,charge_point,profile,port,fuse\n\
        depot-01,DEPOT-01,heidelberg-energy-control,usb-1,16A\n";
    std::fs::write(folder.join("fleet.csv"), inventory).expect("a file");
    std::fs::write(folder.join("hosts"), "[gateways]\ndepot-01\n").expect("a file");
    let done = Command::new(shipped.join("enrol"))
        .args([
            folder.join("template.toml"),
            folder.join("fleet.csv"),
            folder.join("fleet"),
        ])
        .args(["--retrovolt", GATEWAY])
        .output()
        .expect("python3");
    assert!(done.status.success(), "{done:?}");
}

/// A signed repository with the package on the machine, which knows no other; its key stays here.
fn repository(container: &Container, folder: &Path) {
    let keys = folder.join("keys");
    std::fs::create_dir(&keys).expect("a folder");
    std::fs::set_permissions(&keys, PermissionsExt::from_mode(0o700)).expect("changed");
    let key = [
        "--batch",
        "--passphrase",
        "",
        "--quick-generate-key",
        "Retrovolt test",
        "default",
        "default",
    ];
    for command in [
        Command::new("gpg").args(key).arg("never"),
        Command::new(super::root().join("deploy/updates/apt/make-repository"))
            .arg(folder.join("repository"))
            .arg("Retrovolt test")
            .arg(package(NOW)),
        Command::new("cp")
            .arg("-r")
            .arg(folder.join("repository"))
            .arg(container.path("/srv")),
    ] {
        let done = command.env("GNUPGHOME", &keys).output().expect("it starts");
        assert!(done.status.success(), "{done:?}");
    }
    container.run(&[
        "sh",
        "-c",
        "rm -rf /etc/apt/sources.list*; mkdir /etc/apt/sources.list.d",
    ]);
}

/// Applies the role with these variables; what Ansible said, and how many tasks have changed something.
fn apply(container: &Container, folder: &Path, variables: &[String]) -> (String, u32) {
    let root = super::root();
    let plugins = folder.join("plugins");
    std::fs::create_dir_all(&plugins).expect("a folder");
    std::fs::copy(root.join("tests/package/nsenter.py"), plugins.join("nsenter.py")).expect("copied");
    let done = Command::new(root.join(".lab/deploy/venv/bin/ansible-playbook"))
        .current_dir(root.join("deploy/ansible"))
        .args(["--connection", "nsenter", "--inventory"])
        .arg(folder.join("hosts"))
        .args([
            "-e",
            "ansible_become=false",
            "-e",
            "ansible_python_interpreter=/usr/bin/python3",
        ])
        .args(["-e", r#"{"retrovolt_updates": true, "retrovolt_healthy_for": 2}"#])
        .arg("-e")
        .arg(format!("retrovolt_enrolment={}", folder.join("fleet").display()))
        .args(variables.iter().flat_map(|set| ["-e", set.as_str()]))
        .arg("site.yml")
        .env("CONTAINER_INIT", container.init().to_string())
        .env("ANSIBLE_CONNECTION_PLUGINS", &plugins)
        .env("ANSIBLE_HOME", folder.join("home"))
        .env("ANSIBLE_PIPELINING", "True")
        .env("NO_COLOR", "1")
        .output()
        .expect("Ansible, which `make setup` installs");
    let said = format!("{}{}", text(&done.stdout), text(&done.stderr));
    assert!(done.status.success(), "{said}\n{}", container.journal());
    let changed = said
        .split("changed=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let changed = changed.and_then(|count| count.parse().ok());
    (
        said.clone(),
        changed.unwrap_or_else(|| panic!("no recap in {said}")),
    )
}

#[test]
fn the_role_installs_enrols_and_has_a_release_to_return_to() {
    let container = Container::boot_with("ansible", &["python"]);
    let folder = TempDir::new().expect("a folder");
    enrol(folder.path());
    repository(&container, folder.path());
    let key = folder.path().join("repository/retrovolt.asc");
    let from_repository = [
        "retrovolt_repository=file:/srv/repository".to_owned(),
        format!("retrovolt_repository_key={}", key.display()),
    ];
    let (said, changed) = apply(&container, folder.path(), &from_repository);
    println!("{said}");
    assert!(changed > 5, "{said}");
    assert_eq!(container.property("ActiveState"), "active");
    let status = container.until("it serves what was enrolled", |s| {
        s["charge_points"].as_array().is_some_and(|all| all.len() == 1)
    });
    assert!(status.to_string().contains("DEPOT-01"), "{status}");
    let kept = "/var/lib/retrovolt-updates/good.deb";
    assert_eq!(container.run(&["dpkg-deb", "--field", kept, "Version"]), NOW);
    let hook = "/usr/lib/retrovolt/check";
    let shipped = "/usr/share/retrovolt/updates/apt/check";
    container.run(&["cmp", hook, shipped]);
    assert_eq!(
        container.run(&["systemctl", "is-enabled", "retrovolt-update-check.service"]),
        "enabled"
    );

    let (said, changed) = apply(&container, folder.path(), &from_repository);
    assert_eq!(changed, 0, "{said}");

    // As if a release had brought other hooks than those in their place, and a file has brought it: dpkg calls no hooks.
    container.write(hook, "#!/bin/sh\nexit 1\n");
    container.run(&["rm", kept]);
    let from_file = [format!("retrovolt_package={}", package(NOW).display())];
    let (said, changed) = apply(&container, folder.path(), &from_file);
    assert_eq!(changed, 3, "the file, the hooks, what is kept: {said}");
    container.run(&["cmp", hook, shipped]);
    assert_eq!(container.run(&["dpkg-deb", "--field", kept, "Version"]), NOW);
}
