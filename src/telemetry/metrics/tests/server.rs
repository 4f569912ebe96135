use super::*;
use crate::telemetry::{Easel, Health};
use tokio::net::UnixStream;
use tokio::time::Instant;

struct Fixed;

impl Source for Fixed {
    fn figures(&self) -> BoxFuture<'_, Figures> {
        Box::pin(async {
            Figures {
                version: "1.2.3",
                health: Health {
                    watchdog_ok: true,
                    ..Health::default()
                },
                ..Figures::default()
            }
        })
    }
}

fn exhibit() -> Exhibit {
    let easel = Easel::new(Picture::blank());
    Exhibit {
        picture: easel.view().picture,
        source: Arc::new(Fixed),
    }
}

/// What is answered to these pieces of a request.
async fn answer(pieces: &[&[u8]]) -> String {
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    let talk = async {
        for piece in pieces {
            far.write_all(piece).await.expect("it listens");
        }
        let mut text = String::new();
        far.read_to_string(&mut text).await.expect("text");
        text
    };
    let ((), text) = tokio::join!(guest(near, exhibit()), talk);
    text
}

fn split(answer: &str) -> (&str, &str) {
    answer.split_once("\r\n\r\n").expect("a head and a body")
}

#[tokio::test]
async fn metrics_are_answered_in_the_format_that_is_asked_for() {
    let plain = answer(&[b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"]).await;
    let (head, body) = split(&plain);
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"),
        "{head}"
    );
    assert!(
        head.contains(&format!("Content-Length: {}\r\n", body.len())),
        "{head}"
    );
    assert!(
        body.contains("retrovolt_build_info{version=\"1.2.3\",commit=\"\"} 1\n") && !body.contains("EOF")
    );
    let pieces: [&[u8]; 3] = [
        b"GET /metrics?x=1 HT",
        b"TP/1.0\r\naccept: application/openmetrics-",
        b"text\r\n\r\n",
    ];
    let open = answer(&pieces).await;
    let (head, body) = split(&open);
    assert!(
        head.contains("application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    assert!(body.ends_with("# EOF\n"));
    let head_only = answer(&[b"HEAD /metrics HTTP/1.1\r\n\r\n"]).await;
    let (head, body) = split(&head_only);
    assert!(head.contains("200 OK") && !head.contains("Content-Length: 0") && body.is_empty());
}

#[tokio::test]
async fn anything_else_is_refused_in_words() {
    let many: String = (0..70).map(|n| format!("x{n}: y\r\n")).collect();
    let many = format!("GET /metrics HTTP/1.1\r\n{many}\r\n");
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(MOST_REQUEST_BYTES));
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "404 "),
        ("GET /metricsx HTTP/1.1\r\n\r\n", "404 "),
        ("POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\n", "405 "),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400 "),
        ("\u{16}\u{3}\u{1}hello", "400 "),
        (many.as_str(), "431 "),
        (long.as_str(), "431 "),
    ] {
        let said = answer(&[request.as_bytes()]).await;
        assert!(
            said.starts_with(&format!("HTTP/1.1 {status}")),
            "{request:.40}: {said}"
        );
    }
    let said = answer(&[b"DELETE /metrics HTTP/1.1\r\n\r\n"]).await;
    assert!(said.contains("Allow: GET, HEAD\r\n"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_or_takes_nothing_is_cut_off() {
    let begun = Instant::now();
    // The far end stays open and says half a request.
    let (near, mut far) = tokio::io::duplex(64);
    far.write_all(b"GET /metrics HTTP/1.1\r\n")
        .await
        .expect("it listens");
    guest(near, exhibit()).await;
    assert_eq!(begun.elapsed(), PATIENCE);
    // This one asks, and reads nothing of the answer.
    let (near, mut far) = tokio::io::duplex(64);
    far.write_all(b"GET /metrics HTTP/1.1\r\n\r\n")
        .await
        .expect("it listens");
    guest(near, exhibit()).await;
    assert_eq!(begun.elapsed(), PATIENCE * 2);
    drop(far);
}

async fn ask(path: &Path) -> String {
    let mut stream = UnixStream::connect(path).await.expect("it serves");
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\n\r\n")
        .await
        .expect("it listens");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("text");
    text
}

#[tokio::test]
async fn so_many_guests_are_served_and_the_next_waits_for_a_place() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sock");
    let door = Door::open(&Listen::Unix(path.clone())).await.expect("a socket");
    let exhibit = exhibit();
    let server = tokio::spawn(async move { door.serve(&exhibit).await });
    let mut idle = Vec::new();
    for _ in 0..MOST_CONNECTIONS {
        idle.push(UnixStream::connect(&path).await.expect("a place"));
    }
    let waiting = ask(&path);
    tokio::pin!(waiting);
    assert!(
        timeout(Duration::from_millis(50), &mut waiting).await.is_err(),
        "there is no place"
    );
    idle.pop();
    assert!(waiting.await.contains("200 OK"));
    server.abort();
    assert!(server.await.is_err_and(|end| end.is_cancelled()));
    assert!(!path.exists(), "the socket's file goes with it");
}

#[tokio::test]
async fn a_dead_socket_is_replaced_and_nothing_else_is_touched() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("sub/m.sock");
    let listen = Listen::Unix(path.clone());
    let first = Door::open(&listen).await.expect("a socket");
    let mode = std::fs::metadata(&path)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    let second = Door::open(&listen).await.err().expect("it is taken");
    assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
    // As a killed process leaves it.
    std::mem::forget(first);
    drop(std::os::unix::net::UnixListener::bind(dir.path().join("dead")).expect("a socket"));
    assert!(Door::open(&Listen::Unix(dir.path().join("dead"))).await.is_ok());
    std::fs::write(dir.path().join("file"), "mine").expect("a file");
    let third = Door::open(&Listen::Unix(dir.path().join("file"))).await.err();
    assert_eq!(third.expect("refused").kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(
        std::fs::read_to_string(dir.path().join("file")).expect("it is there"),
        "mine"
    );
}
