//! U4: whatever is wrong with the way to a CSMS is named first, in time, with the next step, and without a secret.

use crate::rig::{CP, Door, Plan, soon};
use crate::tls::{Authority, GOOD, Noon, acceptor};
use futures_util::future::{BoxFuture, join_all};
use futures_util::{FutureExt, StreamExt};
use retrovolt::domain::{ClockQuality, CpId, Security, Verdict};
use retrovolt::ocpp::FLOOR_UNIX_MS;
use retrovolt::uplink::doctor::{Cause, Gateway, Report, Subject, examine};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// The doctor's promise.
const IN_TIME: Duration = Duration::from_secs(15);
/// By the clock of [`Noon`].
const TODAY: i64 = 1_795_500_000_000;
const PASSWORD: &str = "c4nary-password";
const TOKEN: &str = "c4nary-token";

fn subject(url: &str) -> Subject {
    let mut csms = Plan::to(url).csms;
    csms.security = Security::Basic {
        password: PASSWORD.to_owned(),
    };
    csms.connect_timeout = Duration::from_secs(15);
    Subject {
        csms,
        cp: CpId::new(CP),
        trust_dir: None,
        state_dir: None,
        clock: Arc::new(Noon(ClockQuality::Ntp)),
        machine_unix_ms: TODAY,
        gateway: Gateway::Absent,
    }
}

fn at(door: &Door) -> Subject {
    subject(&format!("{}?token={TOKEN}", door.url()))
}

/// A fault, what it is to be called, and the examination of it.
type Fault = (&'static str, Cause, BoxFuture<'static, Report>);

fn fault<F>(name: &'static str, cause: Cause, examined: F) -> Fault
where
    F: Future<Output = Report> + Send + 'static,
{
    (name, cause, examined.boxed())
}

/// The door answers with this status line.
fn status(name: &'static str, line: &'static str, cause: Cause) -> Fault {
    fault(name, cause, async move {
        let door = Door::open().await;
        tokio::join!(examine(at(&door)), door.refuse(line)).0
    })
}

/// The door upgrades with this sub-protocol, says this last word and goes away.
fn upgrade(
    name: &'static str,
    cause: Cause,
    protocol: Option<&'static str>,
    word: Option<(u16, &'static str)>,
) -> Fault {
    fault(name, cause, async move {
        let door = Door::open().await;
        let served = async {
            let mut socket = door.upgrade(protocol).await;
            if let Some((code, reason)) = word {
                let frame = CloseFrame {
                    code: code.into(),
                    reason: reason.into(),
                };
                // The doctor may have left by then.
                let _ = socket.close(Some(frame)).await;
            }
        };
        tokio::join!(examine(at(&door)), served).0
    })
}

/// The door does this with the TCP connection.
fn tcp<W>(name: &'static str, cause: Cause, tls: bool, with: fn(TcpStream) -> W) -> Fault
where
    W: Future<Output = ()> + Send + 'static,
{
    fault(name, cause, async move {
        let door = Door::open().await;
        let subject = if tls {
            subject(&format!("wss://localhost:{}/{CP}", door.port()))
        } else {
            at(&door)
        };
        let report = tokio::spawn(examine(subject));
        let served = tokio::spawn(with(door.tcp().await));
        let report = report.await.expect("no panic");
        served.abort();
        report
    })
}

/// A certificate of this authority for this name and these years, judged on `today`.
fn certificate(
    name: &'static str,
    cause: Cause,
    host: &'static str,
    years: (i32, i32),
    trusted: bool,
) -> Fault {
    fault(name, cause, async move {
        let (door, dir, ours) = (
            Door::open().await,
            TempDir::new().expect("a folder"),
            Authority::new("Ours"),
        );
        let theirs = Authority::new("Theirs");
        let known = if trusted { &ours } else { &theirs };
        std::fs::write(dir.path().join("ours.pem"), &known.pem).expect("a file");
        let acceptor = acceptor(&ours.server(host, years), None);
        let mut subject = subject(&format!("wss://localhost:{}/{CP}", door.port()));
        subject.trust_dir = Some(dir.path().to_owned());
        let served = async {
            soon("a handshake", acceptor.accept(door.tcp().await))
                .await
                .is_ok()
        };
        tokio::join!(examine(subject), served).0
    })
}

fn names_and_ports() -> Vec<Fault> {
    vec![
        fault("bad URL", Cause::BadUrl, examine(subject("http://h/CP1"))),
        fault(
            "unknown name",
            Cause::NameUnknown,
            examine(subject("ws://csms.invalid/CP1")),
        ),
        fault("nobody listens", Cause::Refused, async {
            let door = Door::open().await;
            let subject = at(&door);
            drop(door);
            examine(subject).await
        }),
        fault("packets vanish", Cause::TcpSilent, async {
            // A listener whose queue is full takes no more connections, and says nothing.
            let socket = TcpSocket::new_v4().expect("a socket");
            socket
                .bind("127.0.0.1:0".parse().expect("an address"))
                .expect("a port");
            let listener = socket.listen(1).expect("it listens");
            let address = listener.local_addr().expect("bound");
            let crowd =
                (0..8).map(|_| tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)));
            let crowd = join_all(crowd).await;
            assert!(crowd.iter().any(Result::is_err), "the queue is not full");
            examine(subject(&format!("ws://{address}/{CP}"))).await
        }),
    ]
}

fn tls_and_clock() -> Vec<Fault> {
    vec![
        certificate("unknown authority", Cause::TlsChain, "localhost", GOOD, false),
        certificate("expired", Cause::TlsExpired, "localhost", (2021, 2026), true),
        certificate("another name", Cause::TlsName, "csms.example", GOOD, true),
        certificate("not valid yet", Cause::Clock, "localhost", (2079, 2080), true),
        fault("clock before the build", Cause::Clock, async {
            let (door, dir, ours) = (
                Door::open().await,
                TempDir::new().expect("a folder"),
                Authority::new("Ours"),
            );
            std::fs::write(dir.path().join("ours.pem"), &ours.pem).expect("a file");
            let acceptor = acceptor(&ours.server("localhost", (2021, 2026)), None);
            let mut subject = subject(&format!("wss://localhost:{}/{CP}", door.port()));
            subject.trust_dir = Some(dir.path().to_owned());
            subject.machine_unix_ms = FLOOR_UNIX_MS - 1;
            let served = async {
                soon("a handshake", acceptor.accept(door.tcp().await))
                    .await
                    .is_ok()
            };
            tokio::join!(examine(subject), served).0
        }),
        fault("wants a certificate of ours", Cause::ClientCertificate, async {
            let (door, dir, ours) = (
                Door::open().await,
                TempDir::new().expect("a folder"),
                Authority::new("Ours"),
            );
            std::fs::write(dir.path().join("ours.pem"), &ours.pem).expect("a file");
            let acceptor = acceptor(&ours.server("localhost", GOOD), Some(&ours));
            let mut subject = subject(&format!("wss://localhost:{}/{CP}", door.port()));
            subject.trust_dir = Some(dir.path().to_owned());
            let served = async {
                soon("a handshake", acceptor.accept(door.tcp().await))
                    .await
                    .is_ok()
            };
            tokio::join!(examine(subject), served).0
        }),
        fault("our key is unusable", Cause::OwnFiles, async {
            let (door, dir) = (Door::open().await, TempDir::new().expect("a folder"));
            let (certificate, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
            std::fs::write(&certificate, &Authority::new("Ours").pem).expect("a file");
            std::fs::write(&key, PASSWORD).expect("a file");
            let mut subject = subject(&format!("wss://localhost:{}/{CP}", door.port()));
            subject.csms.security = Security::Client { certificate, key };
            examine(subject).await
        }),
        tcp(
            "a plain server behind wss",
            Cause::NotTls,
            true,
            |mut tcp| async move {
                let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
                let _ = tcp.read(&mut [0; 1024]).await;
            },
        ),
        tcp("TLS never answered", Cause::TlsSilent, true, hold),
    ]
}

/// Takes everything and says nothing.
async fn hold(mut tcp: TcpStream) {
    let mut sink = [0; 1024];
    while tcp.read(&mut sink).await.is_ok_and(|n| n > 0) {}
}

fn upgrades() -> Vec<Fault> {
    vec![
        status("401", "401 Unauthorized", Cause::Unauthorized),
        status("403", "403 Forbidden", Cause::Forbidden),
        status("404", "404 Not Found", Cause::NotFound),
        status("a redirect", "302 Found", Cause::HttpStatus),
        upgrade("no sub-protocol", Cause::NoSubprotocol, None, None),
        upgrade(
            "another sub-protocol",
            Cause::WrongSubprotocol,
            Some("ocpp2.0.1"),
            None,
        ),
        upgrade(
            "closed with 1008",
            Cause::WrongIdentity,
            Some("ocpp1.6"),
            Some((1008, "unknown")),
        ),
        upgrade(
            "closed with 1000",
            Cause::WrongIdentity,
            Some("ocpp1.6"),
            Some((1000, "")),
        ),
        upgrade("dropped", Cause::Dropped, Some("ocpp1.6"), None),
        tcp("upgrade never answered", Cause::SilentServer, false, hold),
        tcp("no WebSocket", Cause::NotWebSocket, false, |mut tcp| async move {
            let _ = tcp.write_all(b"SSH-2.0-OpenSSH\r\n\r\n").await;
            let _ = tcp.read(&mut [0; 1024]).await;
        }),
        fault("nothing answers after the upgrade", Cause::NoPong, async {
            let door = Door::open().await;
            let served = async {
                // Held and never read, so no ping is answered.
                let socket = door.upgrade(Some("ocpp1.6")).await;
                hold(socket.into_inner()).await;
            };
            let report = examine(at(&door));
            tokio::select! {
                report = report => report,
                () = async { served.await; std::future::pending().await } => unreachable!("never"),
            }
        }),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_injected_fault_is_named_first_and_in_time() {
    let faults: Vec<Fault> = [names_and_ports(), tls_and_clock(), upgrades()]
        .into_iter()
        .flatten()
        .collect();
    assert!(faults.len() >= 10);
    let timed = faults.into_iter().map(|(name, cause, examined)| async move {
        let begin = Instant::now();
        let report = soon(name, examined).await;
        (name, cause, report, begin.elapsed())
    });
    let mut wrong = Vec::new();
    for (name, cause, report, took) in join_all(timed).await {
        let first = report.checks.iter().find(|check| check.result == report.result);
        let named =
            report.cause == Some(cause) && first.is_some_and(|c| c.cause == Some(cause) && c.next.is_some());
        let text = serde_json::to_string(&report).expect("JSON");
        let kept = !text.contains("c4nary");
        if !named || !kept || took >= IN_TIME {
            wrong.push(format!("{name} ({took:?}): expected {cause:?}: {report:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_good_csms_is_good_and_hears_no_ocpp() {
    let door = Door::open().await;
    let served = async {
        let mut socket = door.upgrade(Some("ocpp1.6")).await;
        let mut heard = Vec::new();
        while let Some(Ok(message)) = soon("the end", socket.next()).await {
            heard.push(message);
        }
        heard
    };
    let (report, heard) = tokio::join!(examine(at(&door)), served);
    assert_eq!(
        (report.result, report.cause),
        (Verdict::Good, None),
        "{report:#?}"
    );
    let checks: Vec<&str> = report.checks.iter().map(|check| check.check).collect();
    assert_eq!(checks, ["clock", "url", "dns", "tcp", "upgrade", "alive"]);
    assert!(
        heard
            .iter()
            .all(|m| matches!(m, Message::Ping(_) | Message::Close(_))),
        "{heard:?}"
    );
    assert!(report.url.ends_with("/ocpp/CP1?..."), "{}", report.url);
}

fn link(connected: bool, registration: &str, detail: &str) -> Gateway {
    Gateway::Link {
        connected,
        registration: registration.to_owned(),
        waiting_for: (registration == "none").then(|| "BootNotification".to_owned()),
        detail: detail.to_owned(),
    }
}

#[tokio::test]
async fn a_gateway_that_is_connected_is_not_pushed_out() {
    for (gateway, verdict, cause) in [
        (link(true, "accepted", ""), Verdict::Good, None),
        (
            link(true, "pending", ""),
            Verdict::Warning,
            Some(Cause::NotAccepted),
        ),
        (link(true, "none", ""), Verdict::Warning, Some(Cause::NotAccepted)),
        (
            Gateway::Unknown("permission denied".to_owned()),
            Verdict::Warning,
            Some(Cause::GatewayUnknown),
        ),
    ] {
        let door = Door::open().await;
        let mut subject = at(&door);
        subject.gateway = gateway;
        let served = async {
            let mut heard = Vec::new();
            let mut tcp = door.tcp().await;
            soon("the end", tcp.read_to_end(&mut heard))
                .await
                .expect("an orderly end");
            heard
        };
        let (report, heard) = tokio::join!(examine(subject), served);
        assert_eq!((report.result, report.cause), (verdict, cause), "{report:#?}");
        assert!(heard.is_empty(), "not a byte of an upgrade");
        let upgrade = report.checks.iter().find(|check| check.check == "upgrade");
        assert_eq!(upgrade.map(|check| check.result), Some(Verdict::Skipped));
    }
}

#[tokio::test]
async fn a_gateway_that_is_away_is_a_warning_and_its_own_words_are_told() {
    let door = Door::open().await;
    let mut subject = at(&door);
    subject.gateway = link(false, "none", "closed with 1001: a CALL stayed without an answer");
    let served = async {
        let mut socket = door.upgrade(Some("ocpp1.6")).await;
        while let Some(Ok(_)) = soon("the end", socket.next()).await {}
    };
    let (report, ()) = tokio::join!(examine(subject), served);
    assert_eq!(
        (report.result, report.cause),
        (Verdict::Warning, Some(Cause::GatewayOffline))
    );
    let told = report.checks.last().expect("checks");
    assert!(told.evidence.contains("stayed without an answer"), "{told:?}");
}
