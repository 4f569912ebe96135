//! Every action of OCPP 1.6 that `docs/ocpp.md` claims, over a real socket between the real process and a CSMS that checks
//! each frame with the official JSON schemas.

use crate::rig::{Rig, root};
use crate::secure_csms::Authority;
use crate::site::{PATIENCE, Point, Site};
use crate::updates::{IMAGE, Maker, PAST, handed_over, say};
use crate::uploads::{Files, certificate};
use ocpp_kit::message::Origin;
use ocpp_kit::v1_6::Action;
use retrovolt::sim::EvSpec;
use retrovolt::sim::status::{online, sessions, waiting};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const CP: &str = "TEST-1";
const FUTURE: &str = "2090-01-01T00:00:00Z";

/// What the CSMS has asked so far.
#[derive(Default)]
struct Asked(BTreeSet<String>);

impl Asked {
    /// Asks; the answer is a result and no error.
    async fn ask(&mut self, csms: &mut Rig, action: &str, payload: Value) -> Value {
        let answer = csms.call(CP, action, payload).await;
        assert!(answer["error"].is_null(), "{action}: {answer}");
        self.0.insert(action.to_owned());
        answer["payload"].clone()
    }

    /// Asks and expects this status.
    async fn status(&mut self, csms: &mut Rig, action: &str, payload: Value, wanted: &str) -> Value {
        let answer = self.ask(csms, action, payload).await;
        assert_eq!(answer["status"], wanted, "{action}: {answer}");
        answer
    }

    /// Asks, expects that it is accepted, and awaits the message that follows.
    async fn follows(
        &mut self,
        csms: &mut Rig,
        (action, payload): (&str, Value),
        message: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let mark = csms.mark();
        self.status(csms, action, payload, "Accepted").await;
        csms.heard(mark, CP, message, wanted).await
    }
}

/// The rows of the table of `docs/ocpp.md` in the section of this name, by action: what the second column says.
fn page(section: &str) -> BTreeMap<String, String> {
    let page = std::fs::read_to_string(root().join("docs/ocpp.md")).expect("the page");
    let (_, behind) = page
        .split_once(&format!("\n## {section}\n"))
        .expect("the section");
    let rows = behind.lines().take_while(|line| !line.starts_with("## "));
    let cells = rows.filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let named = cells.filter(|(name, _)| Action::from_wire(name).is_some());
    named
        .map(|(name, rest)| {
            let word = rest.split(" |").next().unwrap_or_default();
            (name.to_owned(), word.to_owned())
        })
        .collect()
}

/// What OCPP 1.6 has for one of the two directions.
fn all_but(origin: Origin) -> BTreeSet<String> {
    let actions = Action::ALL.iter().filter(|action| action.origin() != origin);
    actions.map(|action| action.as_str().to_owned()).collect()
}

async fn settings_and_lists(asked: &mut Asked, csms: &mut Rig) {
    let keys = asked.ask(csms, "GetConfiguration", json!({})).await;
    assert!(
        keys["configurationKey"]
            .as_array()
            .is_some_and(|keys| keys.len() > 40),
        "{keys}"
    );
    for (key, value) in [("AuthorizeRemoteTxRequests", "true"), ("CpoName", "Operator")] {
        let change = json!({"key": key, "value": value});
        asked
            .status(csms, "ChangeConfiguration", change, "Accepted")
            .await;
    }
    let version = asked.ask(csms, "GetLocalListVersion", json!({})).await;
    assert_eq!(version["listVersion"], 0);
    let entry = json!({"idTag": "CARD-L", "idTagInfo": {"status": "Accepted"}});
    let list = json!({"listVersion": 7, "updateType": "Full", "localAuthorizationList": [entry]});
    asked.status(csms, "SendLocalList", list, "Accepted").await;
    let version = asked.ask(csms, "GetLocalListVersion", json!({})).await;
    assert_eq!(version["listVersion"], 7);
    asked.status(csms, "ClearCache", json!({}), "Accepted").await;
    let vendor = json!({"vendorId": "com.example", "messageId": "m", "data": "d"});
    asked
        .status(csms, "DataTransfer", vendor, "UnknownVendorId")
        .await;
}

async fn availability_and_reservation(asked: &mut Asked, csms: &mut Rig) {
    let status = |wanted: &'static str| {
        move |payload: &Value| payload["connectorId"] == 1 && payload["status"] == wanted
    };
    let reserve = json!({"connectorId": 1, "expiryDate": FUTURE, "idTag": "CARD-1", "reservationId": 5});
    for (action, payload, then) in [
        (
            "ChangeAvailability",
            json!({"connectorId": 1, "type": "Inoperative"}),
            "Unavailable",
        ),
        (
            "ChangeAvailability",
            json!({"connectorId": 1, "type": "Operative"}),
            "Available",
        ),
        ("ReserveNow", reserve, "Reserved"),
        ("CancelReservation", json!({"reservationId": 5}), "Available"),
    ] {
        asked
            .follows(csms, (action, payload), "StatusNotification", status(then))
            .await;
    }
    // It is gone, and there is no lock on this charger.
    let gone = json!({"reservationId": 5});
    asked.status(csms, "CancelReservation", gone, "Rejected").await;
    let unlock = json!({"connectorId": 1});
    asked
        .status(csms, "UnlockConnector", unlock, "NotSupported")
        .await;
}

async fn a_session_under_a_limit(asked: &mut Asked, csms: &mut Rig, site: &Site) {
    let periods = json!([{"startPeriod": 0, "limit": 10}]);
    let profile = json!({
        "chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": periods}
    });
    let set = json!({"connectorId": 1, "csChargingProfiles": profile});
    asked.status(csms, "SetChargingProfile", set, "Accepted").await;
    site.world.plug("wallbox", EvSpec::default()).expect("a charger");
    csms.heard(0, CP, "StatusNotification", |p| p["status"] == "Preparing")
        .await;
    let mark = csms.mark();
    let start = (
        "RemoteStartTransaction",
        json!({"connectorId": 1, "idTag": "CARD-1"}),
    );
    asked
        .follows(csms, start, "Authorize", |p| p["idTag"] == "CARD-1")
        .await;
    let start = csms.heard(mark, CP, "StartTransaction", |_| true).await;
    let tx = start["answer"]["transactionId"].clone();
    csms.heard(mark, CP, "MeterValues", |p| p["transactionId"] == tx)
        .await;
    site.register("wallbox", 261, |raw| raw == 100).await;
    let composite = json!({"connectorId": 1, "duration": 60, "chargingRateUnit": "A"});
    let told = asked
        .status(csms, "GetCompositeSchedule", composite, "Accepted")
        .await;
    assert_eq!(
        told["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"]
            .as_f64()
            .expect("a limit"),
        10.0
    );
    let clear = json!({"id": 1});
    asked
        .status(csms, "ClearChargingProfile", clear, "Accepted")
        .await;
    let clear = json!({"id": 1});
    asked.status(csms, "ClearChargingProfile", clear, "Unknown").await;
    site.register("wallbox", 261, |raw| raw == 160).await;
    for message in ["Heartbeat", "MeterValues", "StatusNotification"] {
        let trigger = ("TriggerMessage", json!({"requestedMessage": message}));
        asked.follows(csms, trigger, message, |_| true).await;
    }
    let stop = ("RemoteStopTransaction", json!({"transactionId": tx}));
    asked
        .follows(csms, stop, "StopTransaction", |p| {
            p["transactionId"] == tx && p["reason"] == "Remote"
        })
        .await;
    site.until("the session has ended", |s| sessions(s) == 0 && waiting(s) == 0)
        .await;
}

async fn certificates(asked: &mut Asked, csms: &mut Rig) {
    let (operator, usage) = (Authority::new(), "CentralSystemRootCertificate");
    let install = json!({"certificateType": usage, "certificate": operator.pem});
    asked
        .status(csms, "InstallCertificate", install, "Accepted")
        .await;
    let wanted = json!({"requestedMessage": "SignChargePointCertificate"});
    let request = asked
        .follows(
            csms,
            ("ExtendedTriggerMessage", wanted),
            "SignCertificate",
            |_| true,
        )
        .await;
    let chain = operator.sign(request["payload"]["csr"].as_str().expect("a request"));
    let signed = json!({"certificateChain": chain});
    asked.status(csms, "CertificateSigned", signed, "Accepted").await;
    let which = json!({"certificateType": usage});
    let installed = asked
        .status(csms, "GetInstalledCertificateIds", which, "Accepted")
        .await;
    let delete = json!({"certificateHashData": installed["certificateHashData"][0]});
    asked.status(csms, "DeleteCertificate", delete, "Accepted").await;
}

async fn files(asked: &mut Asked, csms: &mut Rig, site: &Site) {
    let dir = site.gateway.dir().to_owned();
    let served = dir.join("served");
    std::fs::create_dir_all(&served).expect("a folder");
    std::fs::write(served.join("fw.bin"), IMAGE).expect("written");
    let args = [served, certificate(&dir)].map(|path| path.display().to_string());
    let servers = Rig::start("file_servers.py", &[&args[0], &args[1]]).await;
    let at = |path: &str| {
        let port = &servers.since(0)[0]["http"];
        format!("http://op:secret@localhost:{port}/{path}")
    };
    let uploaded = |payload: &Value| payload["status"] == "Uploaded";
    let log = json!({"logType": "SecurityLog", "requestId": 3, "log": {"remoteLocation": at("")}});
    asked
        .follows(csms, ("GetLog", log), "LogStatusNotification", uploaded)
        .await;
    let mark = csms.mark();
    let diagnostics = json!({"location": at("")});
    let answer = asked.ask(csms, "GetDiagnostics", diagnostics).await;
    assert!(answer["fileName"].is_string(), "{answer}");
    csms.heard(mark, CP, "DiagnosticsStatusNotification", uploaded)
        .await;
    let update = json!({"location": at("fw.bin"), "retrieveDate": PAST});
    asked.ask(csms, "UpdateFirmware", update).await;
    let (spool, _) = handed_over(&site.gateway, 1).await;
    say(&spool, 1, &json!({"status": "installed"}));
    csms.heard(mark, CP, "FirmwareStatusNotification", |p| {
        p["status"] == "Installed"
    })
    .await;
}

/// A site that takes signed firmware only, because no site takes both.
async fn signed_firmware(asked: &mut Asked) -> BTreeSet<String> {
    let maker = Maker::new();
    let declared =
        "\n[firmware]\nspool = \"firmware\"\nkind = \"charger\"\nroots_file = \"trust.d/files.pem\"\n";
    let mut files = Files::start(declared).await;
    std::fs::write(files.gateway.dir().join("trust.d/files.pem"), &maker.root).expect("written");
    std::fs::write(files.folder.join("fw.bin"), IMAGE).expect("written");
    let location = files.at("http", "op:secret", "fw.bin");
    let order = maker.order(3, &location, &maker.sign(IMAGE));
    let update = ("SignedUpdateFirmware", order);
    let verified = |payload: &Value| payload["status"] == "SignatureVerified";
    asked
        .follows(
            &mut files.csms,
            update,
            "SignedFirmwareStatusNotification",
            verified,
        )
        .await;
    let heard = heard(&files.csms);
    files.end().await;
    heard
}

/// The messages of the charge point that the CSMS has heard.
fn heard(csms: &Rig) -> BTreeSet<String> {
    let calls = csms.since(0).into_iter().filter(|line| line["cp"] == CP);
    calls
        .filter_map(|line| line["call"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n3_every_action_of_1_6_is_asked_and_heard_over_a_real_socket() {
    let mut csms = Rig::start("strict_csms.py", &[]).await;
    let point = Point {
        id: CP,
        url: format!("ws://127.0.0.1:{}/ocpp/{{id}}", csms.port),
        version: "1.6",
        auth: "remote",
    };
    let firmware = "\n[firmware]\nspool = \"firmware\"\nkind = \"package\"\naccept_unsigned = true\n";
    let security = "security = \"basic\"\npassword = \"a-password-of-the-csms\"\n";
    let mut site = Site::with(&point, firmware, security).await;
    site.gateway.start().expect("the gateway starts");
    site.until("the charge point is accepted", |s| online(s) == 1)
        .await;
    csms.heard(0, CP, "StatusNotification", |p| {
        p["connectorId"] == 1 && p["status"] == "Available"
    })
    .await;

    let mut asked = Asked::default();
    settings_and_lists(&mut asked, &mut csms).await;
    availability_and_reservation(&mut asked, &mut csms).await;
    a_session_under_a_limit(&mut asked, &mut csms, &site).await;
    certificates(&mut asked, &mut csms).await;
    files(&mut asked, &mut csms, &site).await;
    let reset = ("Reset", json!({"type": "Soft"}));
    asked
        .follows(&mut csms, reset, "BootNotification", |_| true)
        .await;
    let mut told = heard(&csms);
    let end = site.gateway.stop(PATIENCE).await.expect("it ends");
    assert!(end.success(), "{end}");
    assert_eq!(csms.violations(), Vec::<Value>::new());
    told.extend(signed_firmware(&mut asked).await);

    let (answered, sent) = (page("From the CSMS"), page("To the CSMS"));
    assert_eq!(
        answered.keys().cloned().collect::<BTreeSet<_>>(),
        all_but(Origin::ChargingStation)
    );
    assert_eq!(
        sent.keys().cloned().collect::<BTreeSet<_>>(),
        all_but(Origin::Csms)
    );
    let claimed = |page: BTreeMap<String, String>| {
        let claimed = page.into_iter().filter(|(_, word)| word != "no");
        claimed.map(|(name, _)| name).collect::<BTreeSet<String>>()
    };
    assert_eq!(asked.0, claimed(answered), "asked, and claimed by the page");
    assert_eq!(told, claimed(sent), "heard, and claimed by the page");
}
