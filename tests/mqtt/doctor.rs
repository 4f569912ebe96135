//! Whatever is wrong between gateway and broker is named first, in time, with the next step, without a secret, and without a
//! trace on the broker.

#![allow(clippy::too_many_lines, reason = "tables of faults, told in one piece")]

use super::broker::{Authority, Broker, as_user, free_port, setup};
use super::client::passwords;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use retrovolt::domain::{
    BrokerSetup, ClockQuality, HaForm, HaSetup, MqttSetup, MqttVersion, Now, SparkplugSetup, Verdict, Wall,
};
use retrovolt::telemetry::client::MakeTls;
use retrovolt::telemetry::doctor::{Cause, Gateway, Purpose, Report, Subject, examine};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// The doctor's promise.
const IN_TIME: Duration = Duration::from_secs(15);
const PASSWORD: &str = "c4nary-password";
const TODAY: i64 = 1_795_500_000_000;
const FLOOR: i64 = 1_700_000_000_000;

fn tree(broker: BrokerSetup) -> Purpose {
    Purpose::Tree(Box::new(MqttSetup {
        broker,
        prefix: "retrovolt".to_owned(),
        gateway: "gw".to_owned(),
        refresh: Duration::from_secs(60),
        keep_records: Duration::from_secs(86_400),
        flat: false,
        commands: Some(BTreeMap::new()),
        ha: HaSetup {
            form: HaForm::Device,
            ..HaSetup::default()
        },
    }))
}

fn without_ha(mut purpose: Purpose) -> Purpose {
    if let Purpose::Tree(setup) = &mut purpose {
        setup.ha.form = HaForm::Off;
    }
    purpose
}

fn edge(broker: BrokerSetup, host: Option<&str>) -> Purpose {
    Purpose::Edge(Box::new(SparkplugSetup {
        brokers: vec![broker],
        group: "site".to_owned(),
        edge_node: "gw".to_owned(),
        host_id: host.map(str::to_owned),
        aliases: true,
        commands: true,
        retry: (Duration::from_secs(1), Duration::from_secs(60)),
    }))
}

fn subject(setup: BrokerSetup) -> Subject {
    Subject {
        name: "mqtt".to_owned(),
        purpose: tree(setup.clone()),
        setup,
        tls: Arc::new(|| Err("no TLS in this test".to_owned())),
        machine_unix_ms: TODAY,
        floor_unix_ms: FLOOR,
        gateway: Gateway::Absent,
        nonce: 0xC0FF_EE00,
    }
}

/// A fault, what it is to be called, and the examination of it.
type Fault = (&'static str, Cause, BoxFuture<'static, Report>);

fn fault<F>(name: &'static str, cause: Cause, examined: F) -> Fault
where
    F: Future<Output = Report> + Send + 'static,
{
    (name, cause, examined.boxed())
}

/// A server that does this with every connection.
async fn door<W>(with: fn(TcpStream) -> W) -> u16
where
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(with(tcp));
        }
    });
    port
}

/// A broker that is no more than these bytes: each answers one packet of the client, whatever it is.
fn script(name: &'static str, cause: Cause, answers: &'static [&'static [u8]]) -> Fault {
    fault(name, cause, async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                let mut packet = [0; 4096];
                for answer in answers {
                    let Ok(1..) = tcp.read(&mut packet).await else {
                        break;
                    };
                    let _ = tcp.write_all(answer).await;
                }
                // What is said beyond the script is read and not answered.
                while tcp.read(&mut packet).await.is_ok_and(|count| count > 0) {}
            }
        });
        examine(subject(setup(port, "gw"))).await
    })
}

/// Takes everything and says nothing.
async fn hold(mut tcp: TcpStream) {
    let mut sink = [0; 1024];
    while tcp.read(&mut sink).await.is_ok_and(|n| n > 0) {}
}

fn names_and_ports() -> Vec<Fault> {
    vec![
        fault("unknown name", Cause::NameUnknown, async {
            let broker = BrokerSetup {
                host: "broker.invalid".to_owned(),
                ..setup(1883, "gw")
            };
            examine(subject(broker)).await
        }),
        fault("nobody listens", Cause::Refused, async {
            examine(subject(setup(free_port(), "gw"))).await
        }),
        fault("packets vanish", Cause::TcpSilent, async {
            // A listener whose queue is full takes no more connections, and says nothing.
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let listener = socket.listen(1).unwrap();
            let address = listener.local_addr().unwrap();
            let crowd =
                (0..8).map(|_| tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)));
            let crowd = join_all(crowd).await;
            assert!(crowd.iter().any(Result::is_err), "the queue is not full");
            examine(subject(setup(address.port(), "gw"))).await
        }),
        fault("a web server", Cause::NotMqtt, async {
            let port = door(|mut tcp| async move {
                let _ = tcp.read(&mut [0; 1024]).await;
            })
            .await;
            examine(subject(setup(port, "gw"))).await
        }),
        fault("never answered", Cause::SilentBroker, async {
            examine(subject(setup(door(hold).await, "gw"))).await
        }),
    ]
}

struct Noon;

impl retrovolt::domain::Clock for Noon {
    fn now(&self) -> Now {
        Now {
            wall: Wall {
                unix_ms: TODAY,
                quality: ClockQuality::Ntp,
            },
            ..Now::default()
        }
    }
}

/// The gateway's own TLS settings with this authority.
fn trusting(ca: &Path) -> MakeTls {
    let ca = ca.to_owned();
    Arc::new(move || {
        retrovolt::uplink::broker(None, Some(&ca), None, Arc::new(Noon))
            .map(Arc::new)
            .map_err(|error| error.to_string())
    })
}

/// Mosquitto behind TLS with a certificate for these names and years, and whether we trust its authority.
fn tls(name: &'static str, cause: Cause, host: &'static str, years: (i32, i32), trusted: bool) -> Fault {
    fault(name, cause, async move {
        let lines = "allow_anonymous true\ncertfile DIR/server.pem\nkeyfile DIR/server.key\n";
        let broker = Broker::mosquitto(lines, |dir| {
            Authority::new(dir).sign_for(dir, "server", &[host], years);
        })
        .await;
        let elsewhere = tempfile::tempdir().unwrap();
        Authority::new(elsewhere.path());
        let known = if trusted {
            broker.dir.path()
        } else {
            elsewhere.path()
        };
        let mut subject = subject(BrokerSetup {
            tls: true,
            host: "localhost".to_owned(),
            ..broker.setup("gw")
        });
        subject.tls = trusting(&known.join("ca.pem"));
        examine(subject).await
    })
}

/// Years in which [`TODAY`] is.
const GOOD: (i32, i32) = (2020, 2045);

fn tls_and_clock() -> Vec<Fault> {
    let wanted = "allow_anonymous true\ncafile DIR/ca.pem\ncertfile DIR/server.pem\nkeyfile DIR/server.key\nrequire_certificate true\n";
    vec![
        tls("unknown authority", Cause::TlsChain, "localhost", GOOD, false),
        tls("another name", Cause::TlsName, "broker.example", GOOD, true),
        tls("expired", Cause::TlsExpired, "localhost", (2015, 2020), true),
        tls("not valid yet", Cause::Clock, "localhost", (2079, 2080), true),
        fault(
            "wants a certificate of ours",
            Cause::ClientCertificate,
            async move {
                let broker = Broker::mosquitto(wanted, |dir| {
                    Authority::new(dir).sign_for(dir, "server", &["localhost"], GOOD);
                })
                .await;
                let mut subject = subject(BrokerSetup {
                    tls: true,
                    host: "localhost".to_owned(),
                    ..broker.setup("gw")
                });
                subject.tls = trusting(&broker.dir.path().join("ca.pem"));
                examine(subject).await
            },
        ),
        fault("our file is unusable", Cause::OwnFiles, async {
            let port = door(hold).await;
            let mut subject = subject(BrokerSetup {
                tls: true,
                ..setup(port, "gw")
            });
            subject.tls = trusting(Path::new("/nowhere/ca.pem"));
            examine(subject).await
        }),
        fault("TLS to a port without it", Cause::NotTls, async {
            let broker = Broker::open().await;
            let authority = tempfile::tempdir().unwrap();
            Authority::new(authority.path());
            let mut subject = subject(BrokerSetup {
                tls: true,
                ..broker.setup("gw")
            });
            subject.tls = trusting(&authority.path().join("ca.pem"));
            examine(subject).await
        }),
        fault("TLS is wanted and not spoken", Cause::NotMqtt, async {
            let lines = "allow_anonymous true\ncertfile DIR/server.pem\nkeyfile DIR/server.key\n";
            let broker = Broker::mosquitto(lines, |dir| {
                Authority::new(dir).sign_for(dir, "server", &["localhost"], GOOD);
            })
            .await;
            examine(subject(broker.setup("gw"))).await
        }),
        fault("TLS never answered", Cause::TlsSilent, async {
            let authority = tempfile::tempdir().unwrap();
            Authority::new(authority.path());
            let mut subject = subject(BrokerSetup {
                tls: true,
                ..setup(door(hold).await, "gw")
            });
            subject.tls = trusting(&authority.path().join("ca.pem"));
            examine(subject).await
        }),
        fault("clock before the build", Cause::Clock, async {
            let broker = Broker::open().await;
            let mut subject = subject(broker.setup("gw"));
            subject.machine_unix_ms = FLOOR - 1;
            examine(subject).await
        }),
    ]
}

/// A broker that knows the gateway, Home Assistant and a stranger, with this list of rights.
async fn guarded(acl: &'static str, more: &str) -> Broker {
    let lines = format!("allow_anonymous false\npassword_file DIR/passwords\nacl_file DIR/acl\n{more}");
    Broker::mosquitto(&lines, |dir| {
        passwords(dir, &[("gw", PASSWORD), ("root", "r")]);
        std::fs::write(dir.join("acl"), acl).unwrap();
    })
    .await
}

const ALL: &str = "user root\ntopic readwrite #\nuser gw\ntopic readwrite retrovolt/#\ntopic readwrite homeassistant/#\ntopic readwrite spBv1.0/#\n";
const NO_WRITE: &str = "user gw\ntopic read retrovolt/#\ntopic readwrite homeassistant/#\n";
const NO_READ: &str = "user gw\ntopic write retrovolt/#\ntopic readwrite homeassistant/#\n";
const NO_ANNOUNCEMENTS: &str = "user gw\ntopic readwrite retrovolt/#\ntopic read homeassistant/#\n";

fn as_gateway(broker: &Broker, version: MqttVersion) -> BrokerSetup {
    BrokerSetup {
        version,
        ..as_user(broker.setup("gw"), "gw", PASSWORD)
    }
}

/// With these rights, in this version.
fn rights(name: &'static str, cause: Cause, acl: &'static str, version: MqttVersion) -> Fault {
    fault(name, cause, async move {
        let broker = guarded(acl, "").await;
        examine(subject(as_gateway(&broker, version))).await
    })
}

fn doors_and_rights() -> Vec<Fault> {
    vec![
        fault("wrong password", Cause::Login, async {
            let broker = guarded(ALL, "").await;
            examine(subject(as_user(broker.setup("gw"), "gw", "c4nary-wrong"))).await
        }),
        fault("no user", Cause::Login, async {
            let broker = guarded(ALL, "").await;
            examine(subject(broker.setup("gw"))).await
        }),
        fault("MQTT 5 with a broker of 3.1.1", Cause::Version, async {
            let broker = Broker::nats().await;
            let five = BrokerSetup {
                version: MqttVersion::V5,
                ..broker.setup("gw")
            };
            examine(subject(five)).await
        }),
        fault("the prefix of client ids", Cause::ClientId, async {
            let port = door(|mut tcp| async move {
                let _ = tcp.read(&mut [0; 1024]).await;
                let _ = tcp.write_all(&[0x20, 3, 0, 0x85, 0]).await;
            })
            .await;
            examine(subject(setup(port, "gw"))).await
        }),
        rights(
            "not allowed to publish, 5",
            Cause::PublishDenied,
            NO_WRITE,
            MqttVersion::V5,
        ),
        rights(
            "not allowed to publish, 3.1.1",
            Cause::NotDelivered,
            NO_WRITE,
            MqttVersion::V311,
        ),
        rights(
            "not allowed to read, 5",
            Cause::ReadDenied,
            NO_READ,
            MqttVersion::V5,
        ),
        rights(
            "not allowed to read, 3.1.1",
            Cause::NotDelivered,
            NO_READ,
            MqttVersion::V311,
        ),
        rights(
            "not allowed to announce",
            Cause::AnnounceDenied,
            NO_ANNOUNCEMENTS,
            MqttVersion::V5,
        ),
        fault("nothing is kept, 5", Cause::NoRetain, async {
            let broker = guarded(ALL, "retain_available false\n").await;
            examine(subject(as_gateway(&broker, MqttVersion::V5))).await
        }),
        fault("small packets", Cause::SmallPackets, async {
            let broker = guarded(ALL, "max_packet_size 4096\n").await;
            examine(subject(as_gateway(&broker, MqttVersion::V5))).await
        }),
        fault("quality 0 only", Cause::NoReceipts, async {
            let broker = guarded(ALL, "max_qos 0\n").await;
            examine(subject(as_gateway(&broker, MqttVersion::V5))).await
        }),
    ]
}

/// CONNACK of MQTT 5 without properties.
const WELCOME: &[u8] = &[0x20, 3, 0, 0, 0];

fn strange_brokers() -> Vec<Fault> {
    vec![
        // Wildcard Subscription Available = 0 (3.2.2.3.11); then silence.
        script(
            "no wildcards",
            Cause::NoWildcards,
            &[&[0x20, 5, 0, 0, 2, 0x28, 0]],
        ),
        script("subscriptions are not answered", Cause::SilentBroker, &[WELCOME]),
        // SUBACK for packet 1 with 0x87, not authorised; the second is not answered.
        script(
            "not allowed to subscribe",
            Cause::SubscribeDenied,
            &[WELCOME, &[0x90, 4, 0, 1, 0, 0x87]],
        ),
        script(
            "the server is full",
            Cause::ConnectRefused,
            &[&[0x20, 3, 0, 0x97, 0]],
        ),
        // DISCONNECT with 0x8E, session taken over.
        script(
            "thrown out while it is looked at",
            Cause::SubscribeDenied,
            &[WELCOME, &[0xE0, 2, 0x8E, 0]],
        ),
    ]
}

fn hosts_and_gateways() -> Vec<Fault> {
    let beside = |gateway: Gateway| async move {
        let broker = Broker::open().await;
        let mut subject = subject(broker.setup("gw"));
        subject.gateway = gateway;
        examine(subject).await
    };
    let link = |taken_over, short_lived| Gateway::Link {
        online: false,
        detail: "lost".to_owned(),
        taken_over,
        short_lived,
    };
    let host = |said: Option<&'static str>| async move {
        let broker = Broker::open().await;
        if let Some(said) = said {
            broker
                .publish(&["-t", "spBv1.0/STATE/scada", "-r", "-q", "1", "-m", said])
                .await;
        }
        let mut subject = subject(broker.setup("gw"));
        subject.purpose = edge(broker.setup("gw"), Some("scada"));
        examine(subject).await
    };
    vec![
        fault(
            "kicked by another client",
            Cause::ClientIdTaken,
            beside(link(true, 1)),
        ),
        fault(
            "kicked without a word",
            Cause::ClientIdTaken,
            beside(link(false, 3)),
        ),
        fault(
            "the gateway is away",
            Cause::GatewayOffline,
            beside(link(false, 0)),
        ),
        fault(
            "the gateway may not be asked",
            Cause::GatewayUnknown,
            beside(Gateway::Unknown("permission denied".to_owned())),
        ),
        fault("another gateway of that name", Cause::ClientIdTaken, async {
            let broker = Broker::open().await;
            broker
                .publish(&["-t", "retrovolt/gw/status", "-r", "-q", "1", "-m", "online"])
                .await;
            examine(subject(broker.setup("gw"))).await
        }),
        fault("Home Assistant is off", Cause::HomeAssistantOffline, async {
            let broker = Broker::open().await;
            broker
                .publish(&["-t", "homeassistant/status", "-r", "-q", "1", "-m", "offline"])
                .await;
            examine(subject(broker.setup("gw"))).await
        }),
        fault("no primary host", Cause::NoPrimaryHost, host(None)),
        fault(
            "the primary host is off",
            Cause::PrimaryHostOffline,
            host(Some(r#"{"online":false,"timestamp":1}"#)),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_injected_fault_is_named_first_and_in_time() {
    let faults: Vec<Fault> = [
        names_and_ports(),
        tls_and_clock(),
        doors_and_rights(),
        strange_brokers(),
        hosts_and_gateways(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let count = faults.len();
    let timed = faults.into_iter().map(|(name, cause, examined)| async move {
        let begin = Instant::now();
        let report = examined.await;
        (name, cause, report, begin.elapsed())
    });
    let mut wrong = Vec::new();
    for (name, cause, report, took) in join_all(timed).await {
        let first = report.checks.iter().find(|check| check.result == report.result);
        let named = report.cause == Some(cause)
            && first.is_some_and(|c| c.cause == Some(cause) && c.next.as_ref().is_some_and(|n| n.len() > 8));
        let text = serde_json::to_string(&report).unwrap();
        if !named || text.contains("c4nary") || took >= IN_TIME {
            wrong.push(format!("{name} ({took:?}): expected {cause:?}: {report:#?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    println!("{count} faults");
}

#[tokio::test]
async fn a_good_broker_is_good_in_both_versions_and_nothing_stays_there() {
    let broker = guarded(ALL, "").await;
    let mut witness = broker.subscriber(&["-u", "root", "-P", "r", "-t", "#"]).await;
    broker
        .publish(&[
            "-u",
            "root",
            "-P",
            "r",
            "-t",
            "homeassistant/status",
            "-r",
            "-q",
            "1",
            "-m",
            "online",
        ])
        .await;
    for version in [MqttVersion::V5, MqttVersion::V311, MqttVersion::Auto] {
        let report = examine(subject(as_gateway(&broker, version))).await;
        assert_eq!(
            (report.result, report.cause),
            (Verdict::Good, None),
            "{report:#?}"
        );
        let checks: Vec<&str> = report.checks.iter().map(|check| check.check).collect();
        let told = ["clock", "dns", "tcp", "connect"];
        assert!(checks.starts_with(&told), "{checks:?}");
        for check in ["subscribe", "publish", "retain", "announce", "home assistant"] {
            assert!(checks.contains(&check), "{check} in {checks:?}");
        }
        assert!(!serde_json::to_string(&report).unwrap().contains(PASSWORD));
    }
    let mut sparkplug = subject(as_gateway(&broker, MqttVersion::V5));
    sparkplug.purpose = edge(sparkplug.setup.clone(), None);
    let report = examine(sparkplug).await;
    assert_eq!(report.result, Verdict::Good, "{report:#?}");

    // What went over the broker: only on the doctor's own topics, and empty for Home Assistant.
    broker
        .publish(&["-u", "root", "-P", "r", "-t", "end", "-m", "x"])
        .await;
    let mut seen = 0;
    loop {
        let got = witness.next().await;
        match got.topic.as_str() {
            "end" => break,
            "homeassistant/status" => {}
            "retrovolt/gw/doctor/c0ffee00" => seen += 1,
            other => {
                assert_eq!(other, "homeassistant/device/retrovolt_gw_doctor_c0ffee00/config");
                assert_eq!(got.payload, "");
            }
        }
    }
    assert_eq!(seen, 6, "three times published and taken away");
    let mut late = broker.subscriber(&["-u", "root", "-P", "r", "-t", "#"]).await;
    broker
        .publish(&["-u", "root", "-P", "r", "-t", "end", "-m", "x"])
        .await;
    let kept = [late.next().await.topic, late.next().await.topic];
    assert_eq!(kept, ["homeassistant/status", "end"], "nothing else is kept");
}

#[tokio::test]
async fn a_broker_of_3_1_1_only_is_good_and_a_silent_home_assistant_is_no_fault() {
    let broker = Broker::nats().await;
    let report = examine(subject(broker.setup("gw"))).await;
    assert_eq!(
        (report.result, report.cause),
        (Verdict::Good, None),
        "{report:#?}"
    );
    let ha = report
        .checks
        .iter()
        .find(|check| check.check == "home assistant")
        .unwrap();
    assert_eq!(
        (ha.result, ha.cause),
        (Verdict::Skipped, Some(Cause::NoHomeAssistant))
    );
    assert!(
        ha.next.as_ref().is_some_and(|next| next.contains("discovery")),
        "{ha:?}"
    );
    let mut plain = subject(broker.setup("gw"));
    plain.purpose = without_ha(plain.purpose);
    let report = examine(plain).await;
    assert!(
        report.checks.iter().all(|check| check.check != "announce"),
        "{report:#?}"
    );
}
