//! A secret that only the service is handed: what verbs beside it make of that.

use super::*;
use retrovolt::config::Credentials;
use std::process::{Command, Output};

/// No machine hands this to a service of this name.
const NAME: &str = "of-a-test-alone";

fn text() -> String {
    with(
        "version = \"1.6\"\n",
        &format!("version = \"1.6\"\nsecurity = \"basic\"\npassword_credential = \"{NAME}\"\n"),
    )
}

/// The site on a machine of its own: a folder below it is the root.
fn site(needed: bool) -> Site {
    let mut site = Site::new(&text());
    let root = site.path("root");
    site.options.credentials = Credentials::OfService { root, needed };
    site
}

fn password(site: &Site) -> String {
    match &site.good().setup.charge_points[0].csms[0].security {
        Security::Basic { password } => password.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_verb_finds_the_credential_of_the_service() {
    for needed in [false, true] {
        let site = site(needed);
        site.write(
            "root/etc/systemd/system/retrovolt.service.d/credentials.conf",
            format!("[Service]\nLoadCredential={NAME}:/etc/retrovolt/secrets/{NAME}\n"),
        );
        let source = site.write(
            &format!("root/etc/retrovolt/secrets/{NAME}"),
            "of the file, 123\n",
        );
        assert_eq!(password(&site), "of the file, 123");
        assert_eq!(site.good().secret_files, [source], "the doctor looks after it");
        // What the service was handed may be older than the file; it is what it uses.
        site.write(&format!("root/run/credentials/retrovolt.service/{NAME}"), CANARY);
        assert_eq!(password(&site), CANARY);
        let ours = site
            .issues()
            .into_iter()
            .filter(|issue| issue.key.contains("credential"));
        assert_eq!(ours.count(), 0);
    }
}

#[test]
fn what_is_handed_to_nobody_is_a_warning_where_it_is_not_needed() {
    let told = |issues: Vec<Issue>| {
        let mut ours = issues
            .into_iter()
            .filter(|issue| issue.key == "charge_point.csms.password_credential");
        let issue = ours.next().expect("it is told");
        assert!(
            issue
                .problem
                .contains(&format!("nothing hands the credential '{NAME}'")),
            "{issue}"
        );
        assert!(
            issue.suggestion.contains(&format!("LoadCredential={NAME}:")),
            "{issue}"
        );
        assert!(ours.next().is_none(), "once");
        issue.severity
    };
    let spared = site(false);
    assert_eq!(told(spared.issues()), Severity::Warning);
    assert!(password(&spared).is_empty());
    let short = spared
        .issues()
        .into_iter()
        .any(|issue| issue.problem == "is short");
    assert!(!short, "nobody knows how long it is");
    let report = site(true).load().expect_err("it is needed");
    assert_eq!(told(report.issues), Severity::Error);
}

#[test]
fn the_gateway_itself_takes_only_what_it_is_handed() {
    let site = Site::new(&text());
    let report = site.load().expect_err("no $CREDENTIALS_DIRECTORY");
    assert!(
        report.to_string().contains("$CREDENTIALS_DIRECTORY is not set"),
        "{report}"
    );
}

/// The verbs as somebody types them, who has no `$CREDENTIALS_DIRECTORY`.
#[test]
fn the_verbs_go_on_without_a_secret_that_they_do_not_need() {
    let site = Site::new(&text());
    let config = site.path("retrovolt.toml").display().to_string();
    let retrovolt = |args: &[&str]| {
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new(env!("CARGO_BIN_EXE_retrovolt"))
            .args(args)
            .env_remove("CREDENTIALS_DIRECTORY")
            .output()
            .expect("it runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (status.code(), text(stdout), text(stderr))
    };
    let (code, out, err) = retrovolt(&["check-config", &config]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(
        out.contains("warning: charge_point.csms.password_credential"),
        "{out}"
    );
    let (_, out, err) = retrovolt(&["doctor", "--machine", "-c", &config]);
    assert!(!out.contains("somebody changed it"), "{out}{err}");
    let (code, out, err) = retrovolt(&["doctor", "--csms", "-c", &config]);
    assert_eq!(code, Some(78), "{out}{err}");
    assert!(err.contains(&format!("LoadCredential={NAME}:")), "{err}");
}
