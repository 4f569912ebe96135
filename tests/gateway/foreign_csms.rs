//! A whole session against CSMSs we did not write: boot, authorise, remote start, meter values, limit, an outage of the
//! link, a restart of the gateway, remote stop.

use crate::rig::Rig;
use crate::site::{Point, Site};
use crate::uploads::certificate;
use retrovolt::sim::EvSpec;
use retrovolt::sim::status::{online, sessions, waiting};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

const CP: &str = "TEST-1";

const PASSWORD: &str = "a-password-of-the-csms";

/// What differs between the CSMSs.
struct Csms {
    script: &'static str,
    path: &'static str,
    version: &'static str,
    /// 0: anybody; 1: a password that it checks; 2: the same over TLS.
    profile: u8,
    /// The rig prints every CALL of the charge point with its payload.
    transparent: bool,
}

fn strict(version: &'static str) -> Csms {
    Csms {
        script: "strict_csms.py",
        path: "/ocpp/{id}",
        version,
        profile: 0,
        transparent: true,
    }
}

/// Has profiles 0 to 2; looks at no client certificate, so there is no 3.
fn ocpp_csms(profile: u8) -> Csms {
    Csms {
        script: "ocpp_csms_rig.py",
        path: "/{id}",
        version: "1.6",
        profile,
        transparent: false,
    }
}

/// Takes nobody without a password, and TLS comes from the server it ships with: profiles 1 and 2. No 3 either.
fn arthexis(version: &'static str, profile: u8) -> Csms {
    Csms {
        script: "arthexis_rig.py",
        path: "/ws/ocpp/{id}/",
        version,
        profile,
        transparent: true,
    }
}

impl Csms {
    /// Starts it; `folder` has its certificate and the trust directory of the gateway.
    async fn start(&self, folder: &Path) -> Rig {
        let pem = (self.profile == 2).then(|| certificate(folder).display().to_string());
        let args: Vec<String> = match self.script {
            "strict_csms.py" => Vec::new(),
            "ocpp_csms_rig.py" => [PASSWORD.to_owned()].into_iter().chain(pem).collect(),
            _ => {
                let point = format!("{CP}:{}:{PASSWORD}", self.version);
                let tls = pem.map(|pem| format!("tls={pem}"));
                tls.into_iter().chain([point]).collect()
            }
        };
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        Rig::start(self.script, &args).await
    }

    /// The hardware and a gateway that shows this password.
    async fn site(&self, port: u64, folder: &Path, password: &str) -> Site {
        let (scheme, host) = if self.profile == 2 {
            ("wss", "localhost")
        } else {
            ("ws", "127.0.0.1")
        };
        let point = Point {
            id: CP,
            url: format!("{scheme}://{host}:{port}{}", self.path),
            version: self.version,
            auth: "remote",
        };
        std::fs::create_dir_all(folder.join("trust.d")).expect("a folder");
        let trust = format!("trust_dir = \"{}/trust.d\"\n", folder.display());
        let security = if self.profile > 0 {
            format!("security = \"basic\"\npassword = \"{password}\"\n")
        } else {
            String::new()
        };
        Site::with(&point, &trust, &security).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_with_the_strict_csms_in_1_6() {
    session(&strict("1.6")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_with_the_strict_csms_in_2_0_1() {
    session(&strict("2.0.1")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_with_ocpp_csms() {
    session(&ocpp_csms(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_with_ocpp_csms_over_tls() {
    session(&ocpp_csms(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_with_arthexis_in_1_6() {
    session(&arthexis("1.6", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_with_arthexis_in_1_6_over_tls() {
    session(&arthexis("1.6", 2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_with_arthexis_in_2_0_1() {
    session(&arthexis("2.0.1", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_with_arthexis_in_2_0_1_over_tls() {
    session(&arthexis("2.0.1", 2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_csmss_refuse_a_wrong_password_and_the_gateway_says_so() {
    for csms in [ocpp_csms(1), ocpp_csms(2), arthexis("1.6", 2)] {
        let folder = TempDir::new().expect("a folder");
        let mut rig = csms.start(folder.path()).await;
        let mut site = csms.site(rig.port, folder.path(), "another-password-0001").await;
        site.gateway.start().expect("the gateway starts");
        rig.await_line(0, "a refusal", |line| line["refused"] == CP).await;
        let detail = |s: &Value| s["charge_points"][0]["links"][0]["link"]["detail"].to_string();
        site.until("the refusal is told", |s| {
            let detail = detail(s);
            online(s) == 0 && (detail.contains("401") || detail.contains("403"))
        })
        .await;
        assert!(
            site.gateway
                .stop(crate::site::PATIENCE)
                .await
                .expect("it ends")
                .success()
        );
    }
}

async fn session(csms: &Csms) {
    let folder = TempDir::new().expect("a folder");
    let mut rig = csms.start(folder.path()).await;
    let mut site = csms.site(rig.port, folder.path(), PASSWORD).await;
    site.gateway.start().expect("the gateway starts");
    site.until("the charge point is accepted", |s| online(s) == 1)
        .await;

    site.world.plug("wallbox", EvSpec::default()).expect("a charger");
    site.until("the vehicle is seen", |s| evse(s)["status"] == "Preparing")
        .await;
    let mark = rig.mark();
    remote_start(&mut rig, csms).await;
    site.until("the session runs", |s| {
        sessions(s) == 1 && evse(s)["status"] == "Charging"
    })
    .await;
    let tx = transaction(&mut rig, csms, mark).await;

    set_limit(&mut rig, csms, 10).await;
    site.register("wallbox", 261, |raw| raw == 100).await;

    let before = site.world.energy("meter").expect("a meter");
    rig.order(&json!({ "reach": "refuse" })).await;
    site.until("the outage is seen and rows wait", |s| {
        online(s) == 0 && (3..u64::MAX).contains(&waiting(s))
    })
    .await;
    assert!(
        site.world.energy("meter").expect("a meter") > before,
        "charging stopped with the link"
    );
    rig.order(&json!({ "reach": "up" })).await;
    site.until("the link is back and the queue is empty", |s| {
        online(s) == 1 && waiting(s) == 0
    })
    .await;

    site.gateway.kill().await.expect("a kill");
    site.gateway.start().expect("the gateway starts again");
    site.until("the session goes on after the restart", |s| {
        online(s) == 1 && sessions(s) == 1
    })
    .await;
    site.register("wallbox", 261, |raw| raw == 100).await;

    let stop = if csms.version == "1.6" {
        rig.call(CP, "RemoteStopTransaction", json!({ stop_key(csms): tx }))
            .await
    } else {
        rig.call(CP, "RequestStopTransaction", json!({ stop_key(csms): tx }))
            .await
    };
    assert_eq!(stop["payload"]["status"], "Accepted", "{stop}");
    site.until("the session has ended and is delivered", |s| {
        sessions(s) == 0 && waiting(s) == 0
    })
    .await;
    site.register("wallbox", 261, |raw| raw == 0).await;
    if csms.transparent {
        in_order_and_once(&rig, csms);
    }
    let end = site.gateway.stop(crate::site::PATIENCE).await.expect("it ends");
    assert!(end.success(), "{end}");
    assert_eq!(rig.violations(), Vec::<Value>::new());
}

fn evse(status: &Value) -> &Value {
    &status["charge_points"][0]["station"]["evses"][0]
}

async fn remote_start(rig: &mut Rig, csms: &Csms) {
    let answer = match (csms.version, csms.script) {
        ("1.6", "ocpp_csms_rig.py") => {
            rig.call(
                CP,
                "RemoteStartTransaction",
                json!({ "connector_id": 1, "id_tag": "CARD-1" }),
            )
            .await
        }
        ("1.6", _) => {
            rig.call(
                CP,
                "RemoteStartTransaction",
                json!({ "connectorId": 1, "idTag": "CARD-1" }),
            )
            .await
        }
        _ => {
            let token = json!({ "idToken": "CARD-1", "type": "Central" });
            let payload = json!({ "evseId": 1, "remoteStartId": 7, "idToken": token });
            rig.call(CP, "RequestStartTransaction", payload).await
        }
    };
    assert_eq!(answer["payload"]["status"], "Accepted", "{answer}");
}

fn stop_key(csms: &Csms) -> &'static str {
    if csms.script == "ocpp_csms_rig.py" {
        "transaction_id"
    } else {
        "transactionId"
    }
}

/// The id of the transaction as the CSMS knows it.
async fn transaction(rig: &mut Rig, csms: &Csms, mark: usize) -> Value {
    if csms.script == "ocpp_csms_rig.py" {
        let event = rig
            .await_line(mark, "a transaction", |v| {
                v["event"].as_str().is_some_and(|e| e.contains("Transaction"))
            })
            .await;
        return find_number(&event);
    }
    if csms.version == "1.6" {
        let start = rig.heard(mark, CP, "StartTransaction", |_| true).await;
        assert_eq!(start["payload"]["idTag"], "CARD-1");
        return start["answer"]["transactionId"].clone();
    }
    let start = rig
        .heard(mark, CP, "TransactionEvent", |p| p["eventType"] == "Started")
        .await;
    assert_eq!(start["payload"]["idToken"]["idToken"], "CARD-1");
    assert_eq!(start["payload"]["transactionInfo"]["remoteStartId"], 7);
    start["payload"]["transactionInfo"]["transactionId"].clone()
}

/// `ocpp-csms` tells a transaction as the text of its dataclass: `...transaction_id=123...` or a field.
fn find_number(event: &Value) -> Value {
    let text = event.to_string();
    let digits = text.split("transaction_id").nth(1).map(|rest| {
        rest.chars()
            .skip_while(|c| !c.is_ascii_digit())
            .take_while(char::is_ascii_digit)
            .collect::<String>()
    });
    digits
        .and_then(|d| d.parse::<i64>().ok())
        .map_or_else(|| panic!("no transaction id in {event}"), Value::from)
}

async fn set_limit(rig: &mut Rig, csms: &Csms, amps: u32) {
    let answer = if csms.version == "1.6" {
        let schedule = json!({ "chargingRateUnit": "A", "chargingSchedulePeriod": [{ "startPeriod": 0, "limit": amps }] });
        let profile = json!({
            "chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Relative", "chargingSchedule": schedule,
        });
        let payload = if csms.script == "ocpp_csms_rig.py" {
            json!({ "connector_id": 1, "cs_charging_profiles": profile })
        } else {
            json!({ "connectorId": 1, "csChargingProfiles": profile })
        };
        rig.call(CP, "SetChargingProfile", payload).await
    } else {
        let schedule = json!({
            "id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{ "startPeriod": 0, "limit": amps }],
        });
        let profile = json!({
            "id": 1, "stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Relative", "chargingSchedule": [schedule],
        });
        rig.call(
            CP,
            "SetChargingProfile",
            json!({ "evseId": 1, "chargingProfile": profile }),
        )
        .await
    };
    assert_eq!(answer["payload"]["status"], "Accepted", "{answer}");
}

/// Begin first, end last, both once; registers never fall; 2.0.1 sequence numbers without a gap.
fn in_order_and_once(rig: &Rig, csms: &Csms) {
    let heard: Vec<Value> = rig
        .since(0)
        .into_iter()
        .filter(|v| v["cp"] == CP && !v["call"].is_null())
        .collect();
    if csms.version == "1.6" {
        let of = |action: &str| heard.iter().filter(|v| v["call"] == action).collect::<Vec<_>>();
        let (starts, stops) = (of("StartTransaction"), of("StopTransaction"));
        assert_eq!((starts.len(), stops.len()), (1, 1), "one begin and one end");
        assert!(!of("MeterValues").is_empty(), "no meter values");
        assert!(stops[0]["payload"]["meterStop"].as_i64() > starts[0]["payload"]["meterStart"].as_i64());
        assert_eq!(stops[0]["payload"]["reason"], "Remote");
    } else {
        let events: Vec<&Value> = heard
            .iter()
            .filter(|v| v["call"] == "TransactionEvent")
            .map(|v| &v["payload"])
            .collect();
        let mut numbers: Vec<i64> = events.iter().filter_map(|p| p["seqNo"].as_i64()).collect();
        numbers.dedup();
        assert_eq!(
            numbers,
            (0..i64::try_from(numbers.len()).expect("few")).collect::<Vec<_>>()
        );
        assert_eq!(events.first().map(|p| &p["eventType"]), Some(&json!("Started")));
        assert_eq!(events.last().map(|p| &p["eventType"]), Some(&json!("Ended")));
        assert!(
            events.iter().any(|p| p["offline"] == true),
            "nothing was marked offline"
        );
    }
}
