//! What is kept of a good configuration, and what can be done with it when the files are not good any more.

use super::Site;
use super::mistakes::GOOD;
use retrovolt::config::{self, Loaded, Report};
use retrovolt::domain::Security;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

impl Site {
    fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Loads, and keeps what was loaded.
    fn kept(&self) -> Loaded {
        let loaded = self.good();
        std::fs::create_dir_all(self.state()).expect("a folder");
        loaded.keepsake.keep(&self.state()).expect("kept");
        loaded
    }

    fn last_good(&self) -> Option<Result<Loaded, Report>> {
        config::last_good(&self.path("retrovolt.toml"), &self.options, &self.state())
    }

    fn recovered(&self) -> Loaded {
        let found = self.last_good().expect("one is kept");
        found.unwrap_or_else(|report| panic!("{}", report.human()))
    }
}

/// The text with a state directory of the site's own.
fn rooted(site: &Site, text: &str) -> String {
    text.replacen("/var/lib/retrovolt", &site.state().display().to_string(), 1)
}

fn site(text: &str) -> Site {
    let site = Site::new("");
    site.write("retrovolt.toml", rooted(&site, text));
    site
}

#[test]
fn every_way_to_say_something_comes_back_the_same() {
    let site = site(GOOD)
        .dropin("10-more.toml", "[gateway]\ntrust_dir = \"../trust\"\n")
        .env("RETROVOLT__GATEWAY__INHIBIT_SHUTDOWN", "2h")
        .env("RETROVOLT__CHARGE_POINT__0__EVSE__0__PHASES", "1")
        .env("RETROVOLT__BUS__0__TIMEOUT", "700ms")
        .env("RETROVOLT__CHARGE_POINT__0__CSMS__0__TAGS", "*, !04A1FF*");
    std::fs::create_dir_all(site.path("trust")).expect("a folder");
    std::fs::create_dir_all(site.path("conf.d")).expect("a folder");
    let before = site.kept();
    site.write("retrovolt.toml", "[gatewy\n");
    assert_eq!(site.recovered().setup, before.setup);
}

#[test]
fn it_is_for_its_owner_alone_and_is_written_only_when_it_changes() {
    let site = site(GOOD);
    site.kept();
    let file = site.path("state/last-good/retrovolt.toml");
    let mode = |path: &std::path::Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&site.path("state/last-good")), mode(&file)), (0o700, 0o600));
    let written = || file.metadata().expect("there").modified().expect("a time");
    let first = written();
    site.kept();
    assert_eq!(written(), first, "flash is spared");
    assert!(!std::fs::read_to_string(&file).expect("text").contains("[gatewy"));
}

#[test]
fn a_secret_is_not_kept_but_looked_up_where_it_stood() {
    let basic = "security = \"basic\"\npassword = \"canary-c4nary-01\"\n";
    let good = GOOD.replacen("url = \"", &format!("{basic}url = \""), 1);
    let site = site(&good);
    site.kept();
    let kept = std::fs::read_to_string(site.path("state/last-good/retrovolt.toml")).expect("text");
    assert!(!kept.contains("c4nary"), "{kept}");

    let bad = rooted(&site, &good).replacen("[[bus]]", "[[buss]]", 1);
    site.write("retrovolt.toml", &bad);
    let password = |loaded: &Loaded| match &loaded.setup.charge_points[0].csms[0].security {
        Security::Basic { password } => password.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(password(&site.recovered()), "canary-c4nary-01");
    // Nowhere to be found: that is said, and nothing runs with a made-up password.
    site.write("retrovolt.toml", "nothing");
    let report = site
        .last_good()
        .expect("one is kept")
        .expect_err("it has no password");
    assert!(
        report.human().contains("password: is missing"),
        "{}",
        report.human()
    );
}

#[test]
fn it_brings_the_profiles_of_the_site_along() {
    let text = include_str!("../../config/devices/heidelberg/energy-control.toml");
    let own = text.replace("id = \"heidelberg-energy-control\"", "id = \"own-box\"");
    assert_ne!(own, text);
    let site = site(&GOOD.replace("heidelberg-energy-control", "own-box"));
    site.write("devices.d/own.toml", &own);
    site.kept();
    for broken in ["format = 99\n", ""] {
        site.write("devices.d/own.toml", broken);
        assert!(site.load().is_err(), "the profile is needed");
        let found = site.recovered();
        assert!(found.library.get("own-box").is_some());
    }
    // The next good one takes the old profiles away.
    site.write(
        "devices.d/own.toml",
        own.replace("format = 1\n", "# changed\nformat = 1\n"),
    );
    site.kept();
    let folder = std::fs::read_dir(site.path("state/last-good")).expect("a folder");
    assert_eq!(folder.flatten().filter(|entry| entry.path().is_dir()).count(), 1);
}

#[test]
fn one_of_another_file_is_not_taken() {
    let site = site(GOOD);
    assert!(site.last_good().is_none(), "none yet");
    site.kept();
    let other = site.write("other.toml", "");
    assert!(config::last_good(&other, &site.options, &site.state()).is_none());
}

#[test]
fn where_the_state_is_can_be_read_from_a_file_that_is_wrong_elsewhere() {
    let text = "[gateway]\nstate_dir = \"/var/lib/retrovolt\"\nsocket = \"here.sock\"\n[gatewy\n";
    let site = site(text);
    let found = config::whereabouts(&site.path("retrovolt.toml"), &site.options);
    assert_eq!(
        (found.state_dir, found.socket),
        (site.state(), site.path("here.sock"))
    );
    let nothing = config::whereabouts(&site.path("missing.toml"), &site.options);
    assert_eq!(nothing.state_dir, PathBuf::from("/var/lib/retrovolt"));
    assert_eq!(nothing.socket, PathBuf::from("/run/retrovolt/ctl.sock"));
    let site = site.env("RETROVOLT__GATEWAY__STATE_DIR", "/elsewhere");
    let found = config::whereabouts(&site.path("missing.toml"), &site.options);
    assert_eq!(found.state_dir, PathBuf::from("/elsewhere"));
}
