//! What `make dist` does around the compiler: bill of materials, packages, archives, sums, the judge of binaries. The scripts
//! are those of a release; a small program of this machine stands for what the cross compiler would make.

use crate::sandbox::{Said, Sandbox, root, said};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

const GATEWAY: &str = env!("CARGO_BIN_EXE_retrovolt");
const TARGETS: [&str; 3] = [
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "armv7-unknown-linux-gnueabihf",
];

fn bill(targets: &[&str]) -> String {
    let mut command = Command::new("python3");
    command.arg(root().join("deploy/debian/sbom.py")).arg("0.0.1");
    let output = command
        .args(targets)
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output()
        .expect("python3 starts");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    String::from_utf8(output.stdout).expect("text")
}

/// Checksums of Cargo.lock by name and version.
fn lock() -> BTreeMap<(String, String), Option<String>> {
    let text = std::fs::read_to_string(root().join("Cargo.lock")).expect("Cargo.lock");
    let lock: toml::Table = text.parse().expect("TOML");
    let word = |entry: &toml::Value, key: &str| entry.get(key).and_then(|v| v.as_str()).map(str::to_owned);
    lock["package"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|entry| {
            let name = word(entry, "name").expect("a name");
            (
                (name, word(entry, "version").expect("a version")),
                word(entry, "checksum"),
            )
        })
        .collect()
}

/// Names of the packages a table of Cargo.toml asks for.
fn asked_for(table: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let manifest: toml::Table = text.parse().expect("TOML");
    let table = manifest[table].as_table().expect("a table");
    table
        .iter()
        .map(|(key, value)| {
            value
                .get("package")
                .and_then(|v| v.as_str())
                .unwrap_or(key)
                .to_owned()
        })
        .collect()
}

fn every_edge_has_two_ends(bom: &Value, refs: &BTreeSet<&str>) {
    for edge in bom["dependencies"].as_array().expect("edges") {
        let ends = edge["dependsOn"]
            .as_array()
            .expect("a list")
            .iter()
            .chain([&edge["ref"]]);
        for end in ends {
            assert!(
                refs.contains(end.as_str().expect("a reference")),
                "{end} is no component"
            );
        }
    }
}

#[test]
fn the_bill_of_materials_tells_what_is_in_the_binary_and_nothing_else() {
    let text = bill(&TARGETS);
    assert_eq!(text, bill(&TARGETS), "the same input gives the same bytes");
    for folder in [root().to_str().expect("text"), "file://"] {
        assert!(!text.contains(folder), "names {folder}");
    }
    let bom: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (&bom["bomFormat"], &bom["specVersion"]),
        (&"CycloneDX".into(), &"1.5".into())
    );
    assert_eq!(bom["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
    let lock = lock();
    let mut names = BTreeSet::new();
    let mut refs = BTreeSet::from([bom["metadata"]["component"]["bom-ref"]
        .as_str()
        .expect("a reference")]);
    for component in bom["components"].as_array().expect("components") {
        let word = |key: &str| component[key].as_str().unwrap_or_default().to_owned();
        let licence = &component["licenses"][0];
        let licence = licence["expression"]
            .as_str()
            .or(licence["license"]["id"].as_str());
        assert!(
            licence.is_some_and(|text| !text.is_empty() && !text.contains('/')),
            "{component}"
        );
        assert!(["required", "excluded"].contains(&&*word("scope")), "{component}");
        assert!(
            refs.insert(component["bom-ref"].as_str().expect("a reference")),
            "twice: {component}"
        );
        names.insert(word("name"));
        if word("purl").starts_with("pkg:cargo/") {
            let locked = lock.get(&(word("name"), word("version")));
            let checksum = component["hashes"][0]["content"].as_str();
            assert_eq!(locked.map(Option::as_deref), Some(checksum), "{component}");
        }
    }
    every_edge_has_two_ends(&bom, &refs);
    let wanted = asked_for("dependencies");
    let missing: Vec<_> = wanted.difference(&names).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for name in ["sqlite", "rust-std", "libsqlite3-sys"] {
        assert!(names.contains(name), "{name}");
    }
    for name in asked_for("dev-dependencies").difference(&wanted) {
        assert!(!names.contains(name), "{name} is only for tests");
    }
    assert!(!names.contains("cc"), "cc only builds");
}

/// By the validator of a package of the CycloneDX project, which carries the published schema.
#[test]
fn the_bill_of_materials_keeps_to_its_schema() {
    let sandbox = Sandbox::new();
    sandbox.file("bom.json", &bill(&TARGETS));
    sandbox.file(
        "broken.json",
        &bill(&TARGETS).replace("\"required\"", "\"perhaps\""),
    );
    let validated = |name: &str| {
        let script = "import sys\n\
            from cyclonedx.schema import SchemaVersion\n\
            from cyclonedx.validation.json import JsonStrictValidator\n\
            error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read())\n\
            sys.exit(f'invalid: {error.data.message}' if error else 0)";
        let python = root().join(".lab/deploy/venv/bin/python");
        said(Command::new(python).args(["-c", script]).arg(sandbox.path(name)))
    };
    let good = validated("bom.json");
    assert_eq!(good.code, 0, "{}", good.text);
    let broken = validated("broken.json");
    assert!(
        broken.code == 1 && broken.text.starts_with("invalid: "),
        "{}",
        broken.text
    );
}

/// `deploy/dist` with a program of this machine in the place of every binary, from whatever is here: what somebody is at
/// work on as well. lintian is to overlook that the program is not of the processor that a package for ARM says.
fn release(sandbox: &Sandbox, out: &str, targets: &str) -> Said {
    sandbox.program("build", "echo /bin/true");
    sandbox.program("judge", "echo judged $1");
    let lintian = said(Command::new("sh").args(["-c", "command -v lintian"]));
    let lintian = lintian.text.trim();
    sandbox.program(
        "bin/lintian",
        &format!(
            "for deb; do :; done; echo linted ${{deb##*/}}
exec {lintian} --suppress-tags binary-from-other-architecture \"$@\""
        ),
    );
    let mut command = sandbox.command(root().join("deploy/dist"));
    command
        .env("CROSS_BUILD", sandbox.path("build"))
        .env("CROSS_JUDGE", sandbox.path("judge"))
        .env("OUT", sandbox.path(out))
        .env("SPEAKER", GATEWAY)
        .env("COMPRESS", "-Zgzip -z1")
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .env("DIRTY", "1")
        .env("TARGETS", targets);
    said(&mut command)
}

/// What is built where nobody says which.
fn all_targets() -> Vec<String> {
    let script = std::fs::read_to_string(root().join("deploy/dist")).expect("the script");
    let list = script
        .split("${TARGETS:-")
        .nth(1)
        .and_then(|rest| rest.split('}').next());
    let words = list.expect("a default").split_whitespace();
    words.map(str::to_owned).collect()
}

#[test]
fn a_release_has_a_package_or_an_archive_for_each_of_six_targets() {
    let sandbox = Sandbox::new();
    let targets = all_targets();
    let done = release(&sandbox, "dist", &targets.join(" "));
    assert_eq!(done.code, 0, "{}", done.text);
    for target in &targets {
        assert!(done.text.contains(&format!("judged {target}\n")), "{}", done.text);
    }
    let version = env!("CARGO_PKG_VERSION");
    let mut wanted = BTreeSet::from(["SHA256SUMS".to_owned(), format!("retrovolt-{version}.cdx.json")]);
    for (processor, libc, arch) in [
        ("x86_64", "musl", "amd64"),
        ("aarch64", "musl", "arm64"),
        ("armv7", "musleabihf", "armhf"),
    ] {
        wanted.insert(format!(
            "retrovolt-{version}-{processor}-unknown-linux-{libc}.tar.gz"
        ));
        let package = format!("retrovolt_{version}-1_{arch}.deb");
        assert!(
            done.text.contains(&format!("linted {package}\n")),
            "{}",
            done.text
        );
        let deb = sandbox.path("dist").join(&package);
        let field = said(
            Command::new("dpkg-deb")
                .arg("--field")
                .arg(deb)
                .arg("Architecture"),
        );
        assert_eq!(field.text.trim(), arch);
        wanted.insert(package);
    }
    let found = std::fs::read_dir(sandbox.path("dist")).expect("a folder");
    let found = found.map(|entry| {
        entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned()
    });
    assert_eq!(found.collect::<BTreeSet<_>>(), wanted);
}

/// `deploy/dist` in a repository of its own, with only these programs beside the shell.
fn begun(sandbox: &Sandbox, programs: &[&str], dirty: &str) -> Said {
    for program in programs {
        let found = said(Command::new("sh").args(["-c", &format!("command -v {program}")]));
        let _ = std::os::unix::fs::symlink(found.text.trim(), sandbox.path(&format!("only/{program}")));
    }
    let mut command = Command::new("/bin/bash");
    command
        .arg(sandbox.path("repository/deploy/dist"))
        .env_clear()
        .env("PATH", sandbox.path("only"))
        .env("HOME", sandbox.path(""))
        .env("DIRTY", dirty)
        .env("CROSS_BUILD", sandbox.path("no-build"));
    said(&mut command)
}

#[test]
fn what_is_not_committed_or_not_judged_is_no_release() {
    let sandbox = Sandbox::new();
    let script = std::fs::read_to_string(root().join("deploy/dist")).expect("the script");
    sandbox.program("repository/deploy/dist", "");
    sandbox.file("repository/deploy/dist", &script);
    sandbox.file("repository/Cargo.toml", "version = \"0.0.1\"\n");
    sandbox.program("no-build", "echo no compiler here >&2; exit 3");
    std::fs::create_dir_all(sandbox.path("only")).expect("a folder");
    let git = |args: &[&str]| {
        let mut git = sandbox.command("git");
        git.current_dir(sandbox.path("repository")).args(args);
        let done = said(git.env("HOME", sandbox.path("")));
        assert_eq!(done.code, 0, "{args:?}: {}", done.text);
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&[
        "-c",
        "user.name=T",
        "-c",
        "user.email=t@example.com",
        "commit",
        "-qm",
        "All",
    ]);

    let tools = [
        "dirname", "git", "sed", "head", "rm", "mkdir", "mktemp", "realpath", "tail", "sh",
    ];
    let judged = begun(&sandbox, &tools, "");
    assert_eq!(judged.code, 69, "{}", judged.text);
    assert!(judged.text.contains("there is no lintian"), "{}", judged.text);
    sandbox.program("only/lintian", "");
    let clean = begun(&sandbox, &tools, "");
    assert_eq!(clean.code, 3, "it comes as far as the compiler: {}", clean.text);
    assert!(clean.text.contains("no compiler here"), "{}", clean.text);

    sandbox.file("repository/src/new.rs", "");
    let dirty = begun(&sandbox, &tools, "");
    assert_eq!(dirty.code, 65, "{}", dirty.text);
    assert!(
        dirty.text.contains("?? src/") && dirty.text.contains("DIRTY=1"),
        "{}",
        dirty.text
    );
    assert_eq!(begun(&sandbox, &tools, "1").code, 3);
}

/// The folder of a package or an archive under another name.
fn fleet_runs_from(sandbox: &Sandbox, share: &std::path::Path) {
    sandbox.program("bin/systemctl", "exit 0");
    let image = sandbox.path("image").display().to_string();
    for manager in ["apt", "rauc", "swupdate", "mender", "thin-edge"] {
        let done = said(
            sandbox
                .command(share.join("updates/install"))
                .args([manager, &image]),
        );
        assert_eq!(done.code, 0, "{manager}: {}", done.text);
    }
    let done = said(sandbox.command(share.join("provision/install")).arg(&image));
    assert_eq!(done.code, 0, "{}", done.text);
    for name in ["check", "rauc-hook", "first-boot"] {
        assert!(
            sandbox.path("image/usr/lib/retrovolt").join(name).exists(),
            "{name}"
        );
    }
    let enrol = share.join("enrol");
    let mut enrolled = sandbox.command(enrol.join("enrol"));
    enrolled.args([enrol.join("template.toml"), enrol.join("inventory.csv")]);
    enrolled.arg(sandbox.path("fleet")).args(["--retrovolt", GATEWAY]);
    let done = said(&mut enrolled);
    assert_eq!(done.code, 0, "{}", done.text);
    assert!(share.join("ansible/site.yml").exists());
}

/// What the documents name, unpacked from the archive and from the package.
fn fleet_runs_from_both(sandbox: &Sandbox, archive: &str, made: &[String; 3]) {
    for (how, into) in [("tar", "archive"), ("dpkg-deb", "package")] {
        std::fs::create_dir(sandbox.path(into)).expect("a folder");
        let mut unpack = Command::new(how);
        let unpack = match how {
            "tar" => unpack
                .arg("-xzf")
                .arg(sandbox.path("dist").join(&made[0]))
                .arg("-C"),
            _ => unpack.arg("-x").arg(sandbox.path("dist").join(&made[2])),
        };
        let done = said(unpack.arg(sandbox.path(into)));
        assert_eq!(done.code, 0, "{}", done.text);
    }
    let other = Sandbox::new();
    fleet_runs_from(&other, &sandbox.path("archive").join(archive));
    let other = Sandbox::new();
    fleet_runs_from(&other, &sandbox.path("package/usr/share/retrovolt"));
}

fn the_sums_hold(sandbox: &Sandbox) {
    let mut check = Command::new("sha256sum");
    let checked = said(
        check
            .args(["--check", "--strict", "SHA256SUMS"])
            .current_dir(sandbox.path("dist")),
    );
    assert_eq!(checked.code, 0, "{}", checked.text);
}

#[test]
fn a_release_is_whole_and_the_same_bytes_again() {
    let sandbox = Sandbox::new();
    let two = "x86_64-unknown-linux-gnu.2.31 x86_64-unknown-linux-musl";
    let done = release(&sandbox, "dist", two);
    assert_eq!(done.code, 0, "{}", done.text);
    assert!(
        done.text.contains("judged x86_64-unknown-linux-musl"),
        "{}",
        done.text
    );
    let version = env!("CARGO_PKG_VERSION");
    let archive = format!("retrovolt-{version}-x86_64-unknown-linux-musl");
    let wanted = [
        format!("{archive}.tar.gz"),
        format!("retrovolt-{version}.cdx.json"),
        format!("retrovolt_{version}-1_amd64.deb"),
    ];
    let sums = sandbox.text("dist/SHA256SUMS");
    let told: Vec<&str> = sums.lines().filter_map(|line| line.split("  ").nth(1)).collect();
    assert_eq!(told, wanted);
    the_sums_hold(&sandbox);

    let listed = said(
        Command::new("tar")
            .arg("-tzf")
            .arg(sandbox.path("dist").join(&wanted[0])),
    );
    for name in [
        "retrovolt",
        "systemd/retrovolt.service",
        "udev/60-retrovolt.rules",
        "LICENSE-MIT",
        "THIRD-PARTY.txt",
        "sbom.cdx.json",
    ] {
        let line = format!("{archive}/{name}");
        assert!(
            listed.text.lines().any(|l| l == line),
            "{line} is missing in:\n{}",
            listed.text
        );
    }
    let inside = said(
        Command::new("dpkg-deb")
            .arg("--contents")
            .arg(sandbox.path("dist").join(&wanted[2])),
    );
    assert!(
        inside.text.contains("/usr/share/doc/retrovolt/sbom.cdx.json.gz"),
        "{}",
        inside.text
    );

    fleet_runs_from_both(&sandbox, &archive, &wanted);

    let again = release(&sandbox, "again", two);
    assert_eq!(again.code, 0, "{}", again.text);
    assert_eq!(sums, sandbox.text("again/SHA256SUMS"));
}

#[test]
fn a_binary_that_is_no_release_is_refused_with_the_reason() {
    let judge = |target: &str, binary: &str| {
        said(Command::new(root().join("deploy/cross/judge")).args([target, binary]))
    };
    let debug = judge("x86_64-unknown-linux-gnu.2.31", GATEWAY);
    assert_eq!(debug.code, 1, "{}", debug.text);
    assert!(
        debug.text.contains(": names ") || debug.text.contains(": is not stripped"),
        "{}",
        debug.text
    );
    let dynamic = judge("x86_64-unknown-linux-musl", "/bin/true");
    assert_eq!(dynamic.code, 1, "{}", dynamic.text);
    assert!(
        dynamic.text.contains("is not static, it needs libc.so.6"),
        "{}",
        dynamic.text
    );
}
