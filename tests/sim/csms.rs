//! The CSMS, with a bare WebSocket client in place of a charge point.

use futures_util::{SinkExt, StreamExt};
use retrovolt::sim::csms::{BootAnswer, CallError, Csms, Kind, Loss, Reach, Side};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

const SOON: Duration = Duration::from_secs(10);

struct Cp {
    socket: WebSocketStream<TcpStream>,
    next: u32,
}

async fn connect(csms: &Csms, protocol: &str) -> Result<Cp, Error> {
    let mut request = csms.url("CP1").into_client_request()?;
    request.headers_mut().insert(
        "sec-websocket-protocol",
        protocol.parse().expect("a header value"),
    );
    let stream = TcpStream::connect(csms.address()).await?;
    Ok(Cp {
        socket: client_async(request, stream).await?.0,
        next: 0,
    })
}

impl Cp {
    async fn send(&mut self, frame: Value) {
        self.socket
            .send(Message::text(frame.to_string()))
            .await
            .expect("an open link");
    }

    async fn receive(&mut self) -> Option<Value> {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => serde_json::from_str(text.as_str()).ok(),
            _ => None,
        }
    }

    async fn call(&mut self, action: &str, payload: Value) -> Option<Value> {
        self.next += 1;
        let id = format!("m{}", self.next);
        self.send(json!([2, id, action, payload])).await;
        let answer = self.receive().await?;
        assert_eq!(answer[1], json!(id));
        Some(answer)
    }
}

fn start(second: u32) -> Value {
    json!({ "connectorId": 1, "idTag": "TAG", "meterStart": 10, "timestamp": format!("2026-01-01T00:00:{second:02}Z") })
}

#[tokio::test]
async fn a_session_is_answered_recorded_and_judged() {
    let csms = Csms::start().await.unwrap();
    csms.set_boot(BootAnswer::Pending(7));
    csms.set_token("BAD", "Blocked");
    let mut cp = connect(&csms, "ocpp1.6").await.unwrap();
    let boot = cp.call("BootNotification", json!({})).await.unwrap();
    assert_eq!(
        (&boot[2]["status"], &boot[2]["interval"]),
        (&json!("Pending"), &json!(7))
    );
    assert_eq!(
        cp.call("Authorize", json!({ "idTag": "BAD" })).await.unwrap()[2]["idTagInfo"]["status"],
        "Blocked"
    );
    let begun = cp.call("StartTransaction", start(1)).await.unwrap();
    assert_eq!(
        begun[2],
        json!({ "transactionId": 1, "idTagInfo": { "status": "Accepted" } })
    );
    assert_eq!(csms.verdict().open, ["CP1/1"]);
    let stop = json!({ "transactionId": 1, "meterStop": 20, "timestamp": "2026-01-01T00:00:09Z" });
    cp.call("StopTransaction", stop).await.unwrap();
    assert_eq!(
        cp.call("NoSuchThing", json!({})).await.unwrap()[2],
        "NotImplemented"
    );
    let verdict = csms.verdict();
    assert_eq!((verdict.events, verdict.ended, verdict.malformed), (2, 1, 1));
    assert!(verdict.open.is_empty());
}

#[tokio::test]
async fn a_call_to_the_charge_point_is_awaited() {
    let csms = Csms::start().await.unwrap();
    let offline = csms.call("CP1", "Reset", json!({})).await;
    assert_eq!(offline, Err(CallError::Offline("CP1".into())));
    let mut cp = connect(&csms, "ocpp2.0.1").await.unwrap();
    let opened = csms
        .wait(0, SOON, |f| matches!(f.kind, Kind::Opened { .. }))
        .await
        .expect("a link");
    assert_eq!(
        opened.kind,
        Kind::Opened {
            protocol: "ocpp2.0.1".into()
        }
    );
    let answer_both = async {
        let first = cp.receive().await.unwrap();
        assert_eq!(first[2], "Reset");
        cp.send(json!([3, first[1], { "status": "Accepted" }])).await;
        let second = cp.receive().await.unwrap();
        cp.send(json!([4, second[1], "NotSupported", "no", {}])).await;
    };
    let ask_both = async {
        let accepted = csms.call("CP1", "Reset", json!({ "type": "Immediate" })).await;
        assert_eq!(accepted, Ok(json!({ "status": "Accepted" })));
        let refused = csms.call("CP1", "UnlockConnector", json!({})).await;
        assert!(matches!(refused, Err(CallError::Refused { code, .. }) if code == "NotSupported"));
    };
    tokio::join!(answer_both, ask_both);
}

#[tokio::test]
async fn a_lost_answer_excuses_the_repeat() {
    let csms = Csms::start().await.unwrap();
    csms.lose_answer("StartTransaction", Loss::Cut);
    let mut cp = connect(&csms, "ocpp1.6").await.unwrap();
    assert_eq!(cp.call("StartTransaction", start(1)).await, None);
    let mut cp = connect(&csms, "ocpp1.6").await.unwrap();
    assert_eq!(
        cp.call("StartTransaction", start(1)).await.unwrap()[2]["transactionId"],
        1
    );
    let verdict = csms.verdict();
    assert_eq!(
        (verdict.events, verdict.repeats_excused, verdict.doubled),
        (1, 1, 0)
    );
    assert!(verdict.is_clean());
}

#[tokio::test]
async fn it_can_be_cut_refuse_hang_and_ask_for_a_password() {
    let csms = Csms::start().await.unwrap();
    let mut cp = connect(&csms, "ocpp1.6").await.unwrap();
    let mark = csms.mark();
    csms.cut();
    assert_eq!(cp.receive().await, None);
    csms.wait(mark, SOON, |f| f.kind == Kind::Closed)
        .await
        .expect("the end of the link");
    assert!(!csms.is_connected("CP1"));
    csms.set_reach(Reach::Refuse);
    assert!(connect(&csms, "ocpp1.6").await.is_err());
    csms.set_reach(Reach::Hang);
    let mut cp = connect(&csms, "ocpp1.6").await.unwrap();
    cp.send(json!([2, "x", "Heartbeat", {}])).await;
    let heard = csms
        .wait(mark, SOON, |f| f.call("Heartbeat").is_some())
        .await
        .expect("the CALL");
    assert!(heard.lost && heard.from == Side::ChargePoint);
    csms.set_reach(Reach::Up);
    csms.set_password(Some("secret".into()));
    assert!(matches!(connect(&csms, "ocpp1.6").await, Err(Error::Http(r)) if r.status() == 401));
    csms.set_password(None);
    assert!(matches!(connect(&csms, "ocpp9").await, Err(Error::Http(r)) if r.status() == 400));
}
