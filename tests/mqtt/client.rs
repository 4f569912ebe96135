//! The client layer against real brokers.

use super::broker::{Authority, Broker, PATIENCE, as_user, dial, free_port, setup};
use retrovolt::domain::{BrokerSetup, MqttVersion};
use retrovolt::telemetry::client::{Dial, Farewell, LinkError, Message, Qos, WINDOW};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

fn will() -> Message {
    Message::retained("r/gw/status", "offline")
}

async fn refused(setup: BrokerSetup) -> LinkError {
    match dial(setup).connect(None).await {
        Ok(_) => panic!("it let us in"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn messages_arrive_with_their_flags_and_are_receipted() {
    let broker = Broker::open().await;
    let mut there = broker.subscriber(&["-t", "r/#"]).await;
    let dial = dial(broker.setup("gw"));
    let link = dial.connect(Some(&will())).await.unwrap();
    assert_eq!(link.version(), MqttVersion::V5);
    let kept = Message::retained("r/gw/info", "{}");
    let fast = Message {
        qos: Qos::AtMostOnce,
        ..Message::passing("r/gw/fast", "1")
    };
    for message in [&kept, &Message::passing("r/gw/event", "2"), &fast] {
        link.publish(message).unwrap().done().await.unwrap();
    }
    let mut seen = Vec::new();
    for _ in 0..3 {
        let got = there.next().await;
        seen.push((got.topic, got.qos, got.payload));
    }
    let expected = [
        ("r/gw/info", 1, "{}"),
        ("r/gw/event", 1, "2"),
        ("r/gw/fast", 0, "1"),
    ];
    assert_eq!(
        seen,
        expected.map(|(topic, qos, text)| (topic.to_owned(), qos, text.to_owned()))
    );
    let mut late = broker.subscriber(&["-t", "r/#"]).await;
    let got = late.next().await;
    assert!(got.retained && got.topic == "r/gw/info", "{got:?}");
    assert!(
        dial.traffic.sent() > 50 && dial.traffic.received() > 10,
        "{:?}",
        dial.traffic
    );
    link.close(Farewell::Quiet, PATIENCE).await;
    let after = dial.connect(None).await.unwrap();
    after
        .publish(&Message::passing("r/gw/mark", ""))
        .unwrap()
        .done()
        .await
        .unwrap();
    assert_eq!(
        there.next().await.topic,
        "r/gw/mark",
        "a quiet farewell leaves no will"
    );
}

#[tokio::test]
async fn the_will_is_told_when_the_connection_is_cut_or_when_asked_for() {
    let broker = Broker::open().await;
    let mut there = broker.subscriber(&["-t", "r/#"]).await;
    let dial = dial(broker.setup("gw"));
    drop(dial.connect(Some(&will())).await.unwrap());
    assert_eq!(there.next().await.payload, "offline");
    let link = dial.connect(Some(&will())).await.unwrap();
    link.close(Farewell::WithWill, PATIENCE).await;
    assert_eq!(there.next().await.payload, "offline");
}

#[tokio::test]
async fn what_is_subscribed_comes_in_and_retained_messages_are_told_apart() {
    let broker = Broker::open().await;
    broker
        .publish(&["-t", "r/in/old", "-m", "a", "-r", "-q", "1"])
        .await;
    let mut link = dial(broker.setup("gw")).connect(None).await.unwrap();
    link.subscribe("r/in/#").await.unwrap();
    let old = timeout(PATIENCE, link.next()).await.unwrap().unwrap();
    assert!(old.retained && old.topic == "r/in/old");
    let expiry = ["-V", "5", "-D", "publish", "message-expiry-interval", "60"];
    broker
        .publish(&[&["-t", "r/in/new", "-m", "b", "-q", "1"][..], &expiry[..]].concat())
        .await;
    let new = timeout(PATIENCE, link.next()).await.unwrap().unwrap();
    assert_eq!(
        (new.topic.as_str(), &new.payload[..], new.retained),
        ("r/in/new", &b"b"[..], false)
    );
    assert!(
        new.expires_in.is_some_and(|left| left <= Duration::from_secs(60)),
        "{new:?}"
    );
}

#[tokio::test]
async fn a_broker_of_3_1_1_only_is_spoken_to_in_3_1_1() {
    let broker = Broker::nats().await;
    let link = dial(broker.setup("gw")).connect(Some(&will())).await.unwrap();
    assert_eq!(link.version(), MqttVersion::V311);
    link.publish(&Message::retained("r/gw/info", "{}"))
        .unwrap()
        .done()
        .await
        .unwrap();
    let mut other = dial(broker.setup("other")).connect(None).await.unwrap();
    other.subscribe("r/#").await.unwrap();
    let got = timeout(PATIENCE, other.next()).await.unwrap().unwrap();
    assert!(got.retained && got.topic == "r/gw/info");
    drop(link);
    let got = timeout(PATIENCE, other.next()).await.unwrap().unwrap();
    assert_eq!(&got.payload[..], b"offline");
    let five = BrokerSetup {
        version: MqttVersion::V5,
        ..broker.setup("five")
    };
    let error = refused(five).await;
    assert!(
        matches!(error, LinkError::Version { .. } | LinkError::NotSpoken { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn no_broker_and_no_right_are_told_apart() {
    let error = refused(setup(free_port(), "gw")).await;
    assert!(
        matches!(error, LinkError::Nobody { .. }) && error.to_string().contains("listener"),
        "{error}"
    );
    let broker = Broker::mosquitto("allow_anonymous false\npassword_file DIR/passwords\n", |dir| {
        passwords(dir, &[("gw", "right")]);
    })
    .await;
    for setup in [broker.setup("gw"), as_user(broker.setup("gw"), "gw", "wrong")] {
        for version in [MqttVersion::V5, MqttVersion::V311, MqttVersion::Auto] {
            let error = refused(BrokerSetup {
                version,
                ..setup.clone()
            })
            .await;
            assert!(matches!(error, LinkError::NotAuthorised { .. }), "{error}");
            assert!(!error.to_string().contains("wrong"), "{error}");
        }
    }
    assert!(
        dial(as_user(broker.setup("gw"), "gw", "right"))
            .connect(None)
            .await
            .is_ok()
    );
}

/// A password file of mosquitto, made by its own tool.
pub fn passwords(dir: &std::path::Path, users: &[(&str, &str)]) {
    let file = dir.join("passwords");
    std::fs::write(&file, "").unwrap();
    for (user, password) in users {
        let done = std::process::Command::new("mosquitto_passwd")
            .arg("-b")
            .arg(&file)
            .args([user, password])
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(done.success());
    }
}

/// TLS settings that trust one authority, with or without a certificate of our own.
fn trusting(dial: Dial, ca: &std::path::Path, own: Option<(&std::path::Path, &std::path::Path)>) -> Dial {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_file(certificate).unwrap()],
                PrivateKeyDer::from_pem_file(key).unwrap(),
            )
            .unwrap(),
    };
    let config = Arc::new(config);
    Dial {
        setup: BrokerSetup {
            tls: true,
            ..dial.setup.clone()
        },
        tls: Arc::new(move || Ok(Arc::clone(&config))),
        ..dial
    }
}

#[tokio::test]
async fn tls_with_a_foreign_authority_and_without_our_certificate_is_told() {
    let mut made = None;
    let broker = Broker::mosquitto(
        "allow_anonymous true\ncafile DIR/ca.pem\ncertfile DIR/server.pem\nkeyfile DIR/server.key\nrequire_certificate true\nuse_identity_as_username true\n",
        |dir| {
            let authority = Authority::new(dir);
            authority.sign(dir, "server", &["127.0.0.1"]);
            made = Some(authority.sign(dir, "gw", &[]));
        },
    )
    .await;
    let (certificate, key) = made.unwrap();
    let ca = broker.dir.path().join("ca.pem");
    let plain = || dial(broker.setup("gw"));
    let link = trusting(plain(), &ca, Some((&certificate, &key)))
        .connect(None)
        .await
        .unwrap();
    link.publish(&Message::passing("r/x", "1"))
        .unwrap()
        .done()
        .await
        .unwrap();
    let without = trusting(plain(), &ca, None).connect(None).await.err().unwrap();
    assert!(matches!(without, LinkError::OurCertificate { .. }), "{without}");
    let elsewhere = tempfile::tempdir().unwrap();
    Authority::new(elsewhere.path());
    let foreign = trusting(plain(), &elsewhere.path().join("ca.pem"), None);
    let foreign = foreign.connect(None).await.err().unwrap();
    assert!(matches!(foreign, LinkError::Certificate { .. }), "{foreign}");
    let no_tls = refused(broker.setup("gw")).await;
    assert!(matches!(no_tls, LinkError::NotSpoken { .. }), "{no_tls}");
    let open = Broker::open().await;
    let to_plain = trusting(dial(open.setup("gw")), &ca, None)
        .connect(None)
        .await
        .err()
        .unwrap();
    assert!(matches!(to_plain, LinkError::Tls { .. }), "{to_plain}");
}

#[tokio::test]
async fn who_is_thrown_out_by_another_client_with_its_id_is_told_so() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let broker = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        assert!(socket.read(&mut [0; 256]).await.unwrap() > 0);
        // CONNACK of MQTT 5, then DISCONNECT with 0x8E, session taken over.
        socket.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
        socket.write_all(&[0xE0, 2, 0x8E, 0]).await.unwrap();
        socket
    };
    let dial = dial(setup(port, "gw"));
    let (link, _socket) = tokio::join!(dial.connect(None), broker);
    let mut link = link.unwrap();
    let end = timeout(PATIENCE, link.next()).await.unwrap();
    let client_id = "gw".to_owned();
    assert_eq!(end.unwrap_err(), LinkError::TakenOver { client_id });
}

#[tokio::test]
async fn a_broker_that_reads_nothing_holds_nobody_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let hung = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = [0; 64];
        assert!(socket.read(&mut head).await.unwrap() > 0);
        // CONNACK of MQTT 5 without properties, and then nothing more.
        socket.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
        std::future::pending::<()>().await;
    });
    let quick = BrokerSetup {
        keep_alive: Duration::from_secs(1),
        ..setup(port, "gw")
    };
    let mut link = dial(quick).connect(None).await.unwrap();
    let large = Message::passing("r/gw/event", vec![b'x'; 100_000]);
    let mut taken = 0;
    while link.publish(&large).is_ok() {
        taken += 1;
        assert!(taken <= 1_000_000, "nothing bounds what waits");
    }
    assert!(taken <= 2 * usize::from(WINDOW), "{taken}");
    assert_eq!(link.publish(&large).err(), Some(LinkError::Full));
    let end = timeout(PATIENCE, link.next()).await.unwrap();
    assert!(matches!(end, Err(LinkError::Closed { .. })), "{end:?}");
    hung.abort();
}
