//! Connections of the CSMS: the upgrade with its sub-protocol, frames in, frames out, the cut.

use super::{CallError, Connected, Frame, Kind, Loss, Reach, Shared, Side, answer};
use base64::Engine;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

/// Sub-protocols spoken, best first.
const SPOKEN: [&str; 2] = ["ocpp2.0.1", "ocpp1.6"];

pub(super) async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let reach = shared.lock().manners.reach;
        let cut = shared.cut.subscribe();
        match reach {
            Reach::Refuse => drop(stream),
            Reach::NoUpgrade => {
                tokio::spawn(hold(stream, cut));
            }
            Reach::Up | Reach::Hang => {
                tokio::spawn(serve(stream, Arc::clone(&shared), cut));
            }
        }
    }
}

/// Keeps a connection open without a word until the cut.
async fn hold(stream: TcpStream, mut cut: watch::Receiver<u64>) {
    let _ = cut.changed().await;
    drop(stream);
}

#[allow(clippy::result_large_err, reason = "the signature is the library's")]
async fn serve(stream: TcpStream, shared: Arc<Shared>, mut cut: watch::Receiver<u64>) {
    // Small frames must not wait for each other: a round trip is measured here.
    let _ = stream.set_nodelay(true);
    let mut agreed = (String::new(), String::new());
    let password = shared.lock().manners.password.clone();
    let upgrade = accept_hdr_async(stream, |request: &Request, response| {
        negotiate(request, response, password.as_deref(), &mut agreed)
    });
    let socket = tokio::select! {
        socket = upgrade => socket,
        _ = cut.changed() => return,
    };
    let Ok(socket) = socket else { return };
    let (cp, protocol) = agreed;
    let (send, outbox) = mpsc::channel(64);
    let link = {
        let mut guard = shared.lock();
        let state = &mut *guard;
        let link = state.next_link;
        state.next_link += 1;
        state.links.insert(cp.clone(), Connected { link, send });
        let kind = Kind::Opened {
            protocol: protocol.clone(),
        };
        shared.record(
            state,
            Frame::now(&cp, link, Side::ChargePoint, String::new(), kind),
        );
        link
    };
    let talk = Talk {
        shared: Arc::clone(&shared),
        cp: cp.clone(),
        protocol,
        link,
    };
    talk.run(socket, outbox, cut).await;
    let mut guard = shared.lock();
    let state = &mut *guard;
    if state.links.get(&cp).is_some_and(|c| c.link == link) {
        state.links.remove(&cp);
        // Whoever awaits an answer learns that it will not come.
        state.pending.clear();
    }
    shared.record(
        state,
        Frame::now(&cp, link, Side::ChargePoint, String::new(), Kind::Closed),
    );
}

#[allow(clippy::result_large_err, reason = "the signature is the library's")]
fn negotiate(
    request: &Request,
    mut response: Response,
    password: Option<&str>,
    agreed: &mut (String, String),
) -> Result<Response, ErrorResponse> {
    let refuse = |status: StatusCode| {
        let mut response = ErrorResponse::new(None);
        *response.status_mut() = status;
        response
    };
    let text = |name: &str| {
        request
            .headers()
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    };
    let cp = request
        .uri()
        .path()
        .rsplit('/')
        .find(|part| !part.is_empty())
        .unwrap_or_default();
    if let Some(password) = password {
        let wanted = base64::engine::general_purpose::STANDARD.encode(format!("{cp}:{password}"));
        if text("authorization") != format!("Basic {wanted}") {
            return Err(refuse(StatusCode::UNAUTHORIZED));
        }
    }
    let offered = text("sec-websocket-protocol");
    let chosen = SPOKEN
        .into_iter()
        .find(|p| offered.split(',').any(|o| o.trim() == *p));
    let Some(chosen) = chosen.filter(|_| !cp.is_empty()) else {
        return Err(refuse(StatusCode::BAD_REQUEST));
    };
    response
        .headers_mut()
        .insert("sec-websocket-protocol", HeaderValue::from_static(chosen));
    *agreed = (cp.to_owned(), chosen.to_owned());
    Ok(response)
}

struct Talk {
    shared: Arc<Shared>,
    cp: String,
    protocol: String,
    link: u64,
}

enum Next {
    Nothing,
    Say { text: String, after: Duration },
    Cut,
}

impl Talk {
    async fn run(
        &self,
        mut socket: WebSocketStream<TcpStream>,
        mut outbox: mpsc::Receiver<String>,
        mut cut: watch::Receiver<u64>,
    ) {
        loop {
            let next = tokio::select! {
                _ = cut.changed() => return,
                Some(text) = outbox.recv() => Next::Say { text, after: Duration::ZERO },
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => self.heard(text.as_str()),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => Next::Nothing,
                    Some(Ok(Message::Binary(_) | Message::Frame(_))) => self.garbage("binary"),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                },
            };
            match next {
                Next::Nothing => {}
                Next::Cut => return,
                Next::Say { text, after } => {
                    if !after.is_zero() {
                        tokio::select! {
                            _ = cut.changed() => return,
                            () = tokio::time::sleep(after) => {}
                        }
                    }
                    if socket.send(Message::Text(Utf8Bytes::from(text))).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn garbage(&self, text: &str) -> Next {
        let kind = Kind::Garbage(text.to_owned());
        let mut state = self.shared.lock();
        self.shared
            .record(&mut state, self.frame(Side::ChargePoint, "", kind));
        Next::Nothing
    }

    fn frame(&self, from: Side, id: &str, kind: Kind) -> Frame {
        Frame::now(&self.cp, self.link, from, id.to_owned(), kind)
    }

    fn heard(&self, text: &str) -> Next {
        let Ok(Value::Array(parts)) = serde_json::from_str::<Value>(text) else {
            return self.garbage(text);
        };
        let at = |i: usize| parts.get(i).and_then(Value::as_str);
        match (parts.first().and_then(Value::as_u64), at(1), parts.len()) {
            (Some(2), Some(id), 4) => match at(2) {
                Some(action) => self.called(id, action, &parts[3]),
                None => self.garbage(text),
            },
            (Some(3), Some(id), 3) => {
                self.answered(
                    id,
                    Kind::Result {
                        payload: parts[2].clone(),
                    },
                    Ok(parts[2].clone()),
                );
                Next::Nothing
            }
            (Some(4), Some(id), 5) => {
                let code = at(2).unwrap_or_default().to_owned();
                let description = at(3).unwrap_or_default().to_owned();
                let refused = CallError::Refused {
                    code: code.clone(),
                    description,
                };
                self.answered(id, Kind::Error { code }, Err(refused));
                Next::Nothing
            }
            _ => self.garbage(text),
        }
    }

    fn answered(&self, id: &str, kind: Kind, answer: Result<Value, CallError>) {
        let mut guard = self.shared.lock();
        let state = &mut *guard;
        self.shared.record(state, self.frame(Side::ChargePoint, id, kind));
        if let Some(waiting) = state.pending.remove(id) {
            // Whoever asked may have given up waiting.
            let _ = waiting.send(answer);
        }
    }

    fn called(&self, id: &str, action: &str, payload: &Value) -> Next {
        let mut guard = self.shared.lock();
        let state = &mut *guard;
        let hangs = state.manners.reach == Reach::Hang;
        let loss = match state.manners.losses.iter().position(|(a, _)| a == action) {
            Some(at) if !hangs => state.manners.losses.remove(at).map(|(_, loss)| loss),
            _ => None,
        };
        let kind = Kind::Call {
            action: action.to_owned(),
            payload: payload.clone(),
        };
        let mut frame = self.frame(Side::ChargePoint, id, kind);
        let refused = state.manners.refusals.contains(action);
        frame.lost = hangs || refused || loss.is_some();
        self.shared.record(state, frame);
        if hangs {
            return Next::Nothing;
        }
        let answer = if refused {
            Err("InternalError")
        } else {
            answer::answer(
                &self.protocol,
                &self.cp,
                action,
                payload,
                &state.manners,
                &mut state.ledger,
            )
        };
        match loss {
            Some(Loss::Silent) => return Next::Nothing,
            Some(Loss::Cut) => return Next::Cut,
            None => {}
        }
        let (text, kind) = match answer {
            Ok(payload) => (json!([3, id, payload]), Kind::Result { payload }),
            Err(code) => (
                json!([4, id, code, "", {}]),
                Kind::Error {
                    code: code.to_owned(),
                },
            ),
        };
        self.shared.record(state, self.frame(Side::Csms, id, kind));
        Next::Say {
            text: text.to_string(),
            after: state.manners.delay,
        }
    }
}
