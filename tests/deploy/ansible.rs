//! The Ansible role, before ansible-lint and Ansible itself, which `tests/deploy/setup.sh` installs.

use crate::sandbox::{Sandbox, root, said};
use std::process::Command;

fn tool(sandbox: &Sandbox, program: &str) -> Command {
    let bin = root().join(".lab/deploy/venv/bin");
    let mut command = sandbox.command(bin.join(program));
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .current_dir(root().join("deploy/ansible"))
        .env("PATH", format!("{}:{path}", bin.display()))
        .env("ANSIBLE_HOME", sandbox.path("home"))
        .env("ANSIBLE_LOCALHOST_WARNING", "False")
        .env("NO_COLOR", "1");
    command
}

#[test]
fn ansible_lint_has_nothing_to_say() {
    let sandbox = Sandbox::new();
    let told = said(tool(&sandbox, "ansible-lint").args([
        "--offline",
        "--strict",
        "--nocolor",
        "--project-dir",
        ".",
    ]));
    assert_eq!(told.code, 0, "{}", told.text);
}

#[test]
fn the_role_refuses_a_gateway_that_is_not_enrolled() {
    let sandbox = Sandbox::new();
    let mut play = tool(&sandbox, "ansible-playbook");
    play.args([
        "--inventory",
        "inventory.yml",
        "--limit",
        "depot-01",
        "--connection",
        "local",
        "--check",
    ])
    .args(["-e", "ansible_become=false", "-e"])
    .arg(format!("retrovolt_enrolment={}", sandbox.path("fleet").display()))
    .arg("site.yml");
    let told = said(&mut play);
    assert_eq!(told.code, 2, "{}", told.text);
    assert!(
        told.text.contains("depot-01 is not in") && told.text.contains("run deploy/enrol/enrol"),
        "{}",
        told.text
    );
}
