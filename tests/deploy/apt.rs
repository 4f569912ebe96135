//! The way of a release through apt: real apt-get and dpkg on a folder that stands for the device, a signed repository as
//! `make-repository` makes it, packages whose gateway is healthy or not.

use crate::sandbox::{Said, Sandbox, root, said};
use std::path::{Path, PathBuf};

/// Where the release that apt installs comes from, and the device.
struct Device {
    sandbox: Sandbox,
    repository: PathBuf,
}

impl Device {
    /// The hooks are installed, nothing else is.
    fn new() -> Self {
        let sandbox = Sandbox::new();
        sandbox.program("bin/systemctl", "exit 0");
        let place = sandbox.path("").display().to_string();
        let place = place.trim_end_matches('/');
        let done = sandbox.run("updates/install", &["apt", place]);
        assert_eq!(done.code, 0, "{}", done.text);
        for folder in [
            "lists/partial",
            "cache/archives/partial",
            "var/lib/dpkg/info",
            "var/lib/dpkg/updates",
            "keys",
            "log",
        ] {
            std::fs::create_dir_all(sandbox.path(folder)).expect("a folder");
        }
        sandbox.file("var/lib/dpkg/status", "");
        let hook = "etc/apt/apt.conf.d/60retrovolt-return";
        sandbox.file(
            hook,
            &sandbox
                .text(hook)
                .replace("/usr/lib/retrovolt", &format!("{place}/usr/lib/retrovolt")),
        );
        sandbox.file("apt.conf", &configuration(place));
        let device = Self {
            repository: sandbox.path("repository"),
            sandbox,
        };
        let key = device.tool(
            "gpg",
            &[
                "--batch",
                "--passphrase",
                "",
                "--quick-generate-key",
                "Retrovolt test",
                "default",
                "default",
                "never",
            ],
        );
        assert_eq!(key.code, 0, "{}", key.text);
        device
    }

    fn tool(&self, program: &str, args: &[&str]) -> Said {
        said(
            self.sandbox
                .command(program)
                .args(args)
                .env("APT_CONFIG", self.sandbox.path("apt.conf"))
                .env("DPKG_ROOT", self.sandbox.path(""))
                .env("DPKG_FORCE", "not-root,script-chrootless")
                .env("GNUPGHOME", self.sandbox.path("keys"))
                .env("RETROVOLT_UPDATES", self.sandbox.path("updates"))
                .env(
                    "RETROVOLT_PIN",
                    self.sandbox.path("etc/apt/preferences.d/90retrovolt-taken-back"),
                ),
        )
    }

    /// A package of this version whose gateway is healthy or not; `preinst` is its script.
    fn package(&self, version: &str, healthy: bool, preinst: &str) -> PathBuf {
        let tree = format!("build-{version}");
        let code = i32::from(!healthy);
        self.sandbox
            .program(&format!("{tree}/usr/bin/retrovolt"), &format!("exit {code}"));
        let control = format!(
            "Package: retrovolt\nVersion: {version}\nArchitecture: all\nMaintainer: Test <test@example.com>\nDescription: test\n"
        );
        self.sandbox.file(&format!("{tree}/DEBIAN/control"), &control);
        if !preinst.is_empty() {
            self.sandbox.program(&format!("{tree}/DEBIAN/preinst"), preinst);
        }
        let deb = self.sandbox.path(&format!("retrovolt-{version}.deb"));
        let tree = self.sandbox.path(&tree).display().to_string();
        let built = self.tool("dpkg-deb", &["--build", &tree, &deb.display().to_string()]);
        assert_eq!(built.code, 0, "{}", built.text);
        deb
    }

    /// Brings a release into the repository and its index onto the device.
    fn publish(&self, deb: &Path) {
        let script = root().join("deploy/updates/apt/make-repository");
        let (folder, deb) = (self.repository.display().to_string(), deb.display().to_string());
        let made = self.tool(&script.display().to_string(), &[&folder, "Retrovolt test", &deb]);
        assert_eq!(made.code, 0, "{}", made.text);
        let key = std::fs::read_to_string(self.repository.join("retrovolt.asc")).expect("a key");
        self.sandbox.file("etc/apt/keyrings/retrovolt.asc", &key);
        let sources =
            std::fs::read_to_string(root().join("deploy/updates/apt/retrovolt.sources")).expect("sources");
        let page = std::fs::read_to_string(root().join("docs/updates.md")).expect("the page");
        assert!(page.contains(&sources), "the page has the same:\n{sources}");
        let sources = sources
            .replace(
                "https://packages.example.com/retrovolt",
                &format!("file:{folder}"),
            )
            .replace(
                "/etc/apt/keyrings",
                &self.sandbox.path("etc/apt/keyrings").display().to_string(),
            );
        self.sandbox
            .file("etc/apt/sources.list.d/retrovolt.sources", &sources);
        let updated = self.tool("apt-get", &["update"]);
        assert!(
            updated.code == 0 && !updated.text.contains("W:"),
            "{}",
            updated.text
        );
    }

    /// Whether the repository is the one that unattended-upgrades is told to take releases from.
    fn is_taken_unattended(&self) -> bool {
        let told = self.sandbox.text("etc/apt/apt.conf.d/52retrovolt-unattended");
        let pattern = told.split("Origins-Pattern { \"").nth(1);
        let pattern = pattern
            .and_then(|rest| rest.split('"').next())
            .expect("a pattern");
        let release = std::fs::read_to_string(self.repository.join("dists/stable/Release")).expect("written");
        pattern.split(',').all(|part| {
            let (name, value) = part.split_once('=').expect("a field and its value");
            let field = format!("{}{}: {value}", name[..1].to_uppercase(), &name[1..]);
            release.lines().any(|line| line == field)
        })
    }

    /// What unattended-upgrades does in the end.
    fn upgrade(&self) {
        let verb: &[&str] = if self.version().is_empty() {
            &["install", "--yes", "retrovolt"]
        } else {
            &["upgrade", "--yes"]
        };
        let done = self.tool("apt-get", verb);
        assert_eq!(done.code, 0, "{}", done.text);
    }

    /// What the service does that the hook starts.
    fn check(&self) -> Said {
        let script = self.sandbox.path("usr/lib/retrovolt/check").display().to_string();
        self.tool(&script, &[])
    }

    fn version(&self) -> String {
        self.tool("dpkg-query", &["-W", "-f", "${Version}", "retrovolt"])
            .text
            .lines()
            .find(|line| !line.contains("no packages"))
            .unwrap_or_default()
            .to_owned()
    }

    fn has(&self, name: &str) -> bool {
        self.sandbox.path(name).exists()
    }
}

fn configuration(place: &str) -> String {
    format!(
        r#"Dir "{place}/";
Dir::Etc "{place}/etc/apt";
Dir::State "{place}/";
Dir::State::status "{place}/var/lib/dpkg/status";
Dir::State::lists "{place}/lists";
Dir::Cache "{place}/cache";
Dir::Log "{place}/log";
Dir::Bin::dpkg "/usr/bin/dpkg";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Sandbox::User "";
DPkg::Use-Pty "0";
"#
    )
}

#[test]
fn a_release_that_does_not_become_healthy_is_taken_back_and_not_taken_again() {
    let device = Device::new();
    device.publish(&device.package("1.0", true, ""));
    assert!(device.is_taken_unattended());
    device.upgrade();
    assert_eq!(device.version(), "1.0");
    assert!(device.has("updates/trial.deb"), "the hook kept it");
    let first = device.check();
    assert_eq!(first.code, 0, "{}", first.text);
    assert!(first.text.contains("1.0 is healthy and kept"), "{}", first.text);
    assert!(device.has("updates/good.deb") && !device.has("updates/trial.deb"));

    device.publish(&device.package("2.0", false, ""));
    device.upgrade();
    assert_eq!(device.version(), "2.0");
    let judged = device.check();
    assert_eq!(judged.code, 1, "the unit shows as failed: {}", judged.text);
    assert!(
        judged
            .text
            .contains("1.0 is back and healthy, 2.0 is not taken again"),
        "{}",
        judged.text
    );
    assert_eq!(device.version(), "1.0");
    assert_eq!(device.tool("retrovolt", &["healthcheck"]).code, 0);
    device.upgrade();
    assert_eq!(device.version(), "1.0", "apt leaves it alone");
    assert_eq!(device.check().code, 0, "nothing is left to judge");

    device.publish(&device.package("3.0", true, ""));
    device.upgrade();
    assert_eq!(device.version(), "3.0", "the next release is taken");
    assert_eq!(device.check().code, 0);
    assert!(!device.has("etc/apt/preferences.d/90retrovolt-taken-back"));
}

#[test]
fn what_cannot_be_put_back_stays_and_is_told() {
    let device = Device::new();
    // As the package does when the ledger has moved on.
    let refuses = "echo 'the ledger has schema 3, this release knows up to 2' >&2; exit 1";
    device.publish(&device.package("1.0", true, ""));
    device.upgrade();
    let kept = device.package("1.0", true, refuses).display().to_string();
    let keep = device
        .sandbox
        .path("usr/lib/retrovolt/keep")
        .display()
        .to_string();
    assert_eq!(
        device.tool(&keep, &[&kept]).code,
        0,
        "as an administrator does it"
    );
    device.publish(&device.package("2.0", false, ""));
    device.upgrade();
    let judged = device.check();
    assert_eq!(judged.code, 1);
    assert!(judged.text.contains("1.0 cannot be put back"), "{}", judged.text);
    assert!(
        judged.text.contains("knows up to 2") || judged.text.contains("pre-installation"),
        "{}",
        judged.text
    );
    assert_eq!(device.version(), "2.0");
    assert_eq!(device.check().code, 0, "it is not tried for ever");
}

#[test]
fn a_gateway_that_was_ill_before_keeps_the_new_release() {
    let device = Device::new();
    device.publish(&device.package("1.0", false, ""));
    device.upgrade();
    assert_eq!(device.check().code, 1);
    device.publish(&device.package("2.0", false, ""));
    device.upgrade();
    let judged = device.check();
    assert!(
        judged.text.contains("neither was what it replaced"),
        "{}",
        judged.text
    );
    assert_eq!((judged.code, device.version().as_str()), (1, "2.0"));
}

#[test]
fn a_release_that_was_not_installed_after_all_is_not_judged() {
    let device = Device::new();
    device.publish(&device.package("1.0", true, ""));
    device.upgrade();
    assert_eq!(device.check().code, 0);
    let other = device.package("2.0", false, "").display().to_string();
    std::fs::copy(other, device.sandbox.path("updates/trial.deb")).expect("copied");
    let judged = device.check();
    assert_eq!(judged.code, 0);
    assert!(judged.text.contains("nothing to judge"), "{}", judged.text);
    assert_eq!(device.version(), "1.0");
}
