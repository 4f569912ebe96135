//! `docs/install.md`, tried as written: its marked commands run in a bare Debian, one shell after the other as a person
//! would type them, on a line with a foreign charger and meter, up to a charge that a CSMS sees.

use crate::container::{Container, text};
use crate::site::{NOW, package};
use crate::slave::{Slave, pymodbus};
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions, up, waiting};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const MARK: &str = "<!-- tried -->\n```sh\n";
const CP: &str = "CP-GARAGE-1";
/// The port of the page.
const PORT: &str = "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0";
/// The password on the page.
const PASSWORD: &str = "the-password-of-1-gateway";
/// What stands for the user's own CSMS on the page.
const CSMS: &str = "ws://csms.example.com:9000";

/// The marked blocks of the page.
fn blocks() -> Vec<String> {
    let page = std::fs::read_to_string(super::root().join("docs/install.md")).expect("the page");
    let parts = page.split(MARK).skip(1);
    parts
        .map(|part| part.split("```").next().expect("a block ends").to_owned())
        .collect()
}

/// A pseudo-terminal in the container under the port's name, and behind it the slave out here. The container is bare: it is
/// lent this machine's socat with its libraries.
fn line(container: &Container, tcp_port: u16) -> Child {
    let socat = which("socat");
    let lent = container.path("/opt/socat");
    std::fs::create_dir_all(&lent).expect("a folder");
    let told = Command::new("ldd").arg(&socat).output().expect("ldd");
    let mut loader = String::new();
    let words = text(&told.stdout).to_owned();
    for path in words
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(Path::new)
    {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        if name.starts_with("ld-linux") {
            loader = format!("/opt/socat/{name}");
        }
        std::fs::copy(path, lent.join(name)).expect("copied");
    }
    std::fs::copy(&socat, lent.join("socat")).expect("copied");
    container.run(&["mkdir", "-p", "/dev/serial/by-id"]);
    let child = Command::new("nsenter")
        .args(["--all", "--target", &container.init().to_string()])
        .args([&loader, "--library-path", "/opt/socat", "/opt/socat/socat"])
        .arg(format!("pty,raw,echo=0,link={PORT},perm=0660,group=dialout"))
        .arg(format!("TCP:127.0.0.1:{tcp_port}"))
        .stdin(Stdio::null())
        .spawn()
        .expect("nsenter starts");
    container.await_that("the port is there", || {
        container.output(&["test", "-e", PORT]).status.success()
    });
    child
}

fn which(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program));
    found
        .into_iter()
        .find(|path| path.exists())
        .expect("`make setup` installs it")
}

fn evse(status: &Value) -> &Value {
    &status["charge_points"][0]["station"]["evses"][0]
}

/// The verbs that a person types find the secret that the service is handed.
fn the_secret_is_found(container: &Container) {
    let said = container.output(&["retrovolt", "check-config"]);
    let words = text(&said.stdout);
    assert!(said.status.success() && !words.contains("credential"), "{words}");
    let said = container.output(&["retrovolt", "doctor", "--csms"]);
    // The clock of a container may be doubtful; a login is not.
    let words = format!("{}{}", text(&said.stdout), text(&said.stderr));
    assert!([Some(0), Some(75)].contains(&said.status.code()), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_install_page_leads_to_a_charge_that_a_csms_sees() {
    let mut slave = Slave::start(pymodbus(&["--tcp", "--framer", "rtu"])).await;
    let csms = Csms::start().await.expect("a CSMS");
    csms.set_password(Some(PASSWORD.to_owned()));
    let container = Container::boot("page");
    container.write("/usr/local/bin/sudo", "#!/bin/sh\nexec \"$@\"\n");
    container.run(&["chmod", "0755", "/usr/local/bin/sudo"]);
    container.run(&["mkdir", "-p", "/root/unpacked"]);
    let name = format!("/root/unpacked/retrovolt_{NOW}_amd64.deb");
    std::fs::copy(package(NOW), container.path(&name)).expect("copied");
    let mut line = line(&container, slave.port);

    let blocks = blocks();
    assert!(blocks.len() >= 7, "{blocks:#?}");
    assert!(blocks.iter().any(|block| block.contains(PASSWORD)));
    for block in &blocks {
        if block.contains("retrovolt status") {
            container.until("both devices answer and the CSMS accepts", |s| {
                up(s, "devices") == 2 && online(s) == 1
            });
        }
        let own = block.replace(CSMS, &format!("ws://{}", csms.address()));
        let script = format!("set -e\ncd /root/unpacked\nexport PATH=/usr/local/bin:$PATH\n{own}");
        let said = container.output(&["bash", "-c", &script]);
        let words = format!("{}{}", text(&said.stdout), text(&said.stderr));
        assert!(
            said.status.success(),
            "{block}\nended with {}:\n{words}\n{}",
            said.status,
            container.journal()
        );
        if block.contains("retrovolt scan") {
            let found = container.run(&["cat", "/root/unpacked/found.toml"]);
            for profile in ["heidelberg-energy-control", "eastron-sdm630"] {
                assert!(found.contains(profile), "{found}");
            }
        }
    }

    the_secret_is_found(&container);
    slave.say("plug").await;
    container.until("the vehicle is seen", |s| evse(s)["status"] == "Preparing");
    let start = json!({ "connectorId": 1, "idTag": "CARD" });
    let answer = csms.call(CP, "RemoteStartTransaction", start).await;
    assert_eq!(answer.expect("an answer")["status"], "Accepted");
    slave.wrote(0, "WRITE 1 261 160").await;
    container.until("current flows", |s| evse(s)["power"].as_i64() > Some(10_000_000));
    slave.say("unplug").await;
    container.until("the session is over and told", |s| {
        sessions(s) == 0 && waiting(s) == 0
    });
    let verdict = csms.verdict();
    assert!(
        verdict.is_clean() && (verdict.begun, verdict.ended) == (1, 1),
        "{verdict:#?}"
    );
    let _ = line.kill();
    let _ = line.wait();
}
