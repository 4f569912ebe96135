//! Modbus TCP and RTU over TCP told apart, over real sockets.

use super::*;
use crate::bus::port::{Exchange, Fault, Line, tcp};
use crate::device::{Pdu, ReadFc, Reply};
use crate::domain::Framing;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

const READ: Pdu = Pdu::Read {
    fc: ReadFc::HoldingRegisters,
    addr: 7,
    count: 1,
};

/// What a server does with the bytes of a connection until it hangs up.
#[derive(Clone, Copy)]
enum Server {
    /// Answers RTU frames; other bytes are noise on its line.
    Rtu,
    /// Answers Modbus TCP and hangs up on anything else.
    Mbap,
    /// Says nothing.
    Deaf,
    /// Hangs up.
    Rude,
    /// Answers RTU frames, and hangs up some time after anything else.
    Slow,
}

/// The client's patience.
const TIMEOUT: Duration = Duration::from_millis(100);
/// When a slow server hangs up: well after that.
const SLOW: Duration = Duration::from_millis(150);

async fn serve(server: Server, mut stream: TcpStream) -> Option<()> {
    let mut buf = [0; 64];
    loop {
        let count = stream.read(&mut buf).await.ok().filter(|count| *count > 0)?;
        let request = &buf[..count];
        let answer = match server {
            Server::Rtu | Server::Slow
                if frame::crc16(&request[..count - 2]).to_le_bytes() == request[count - 2..] =>
            {
                sealed(vec![request[0], 3, 2, 0, request[0]])
            }
            Server::Mbap if request[2..4] == [0, 0] => {
                vec![
                    request[0], request[1], 0, 0, 0, 5, request[6], 3, 2, 0, request[6],
                ]
            }
            Server::Rtu | Server::Deaf => continue,
            Server::Slow => {
                tokio::time::sleep(SLOW).await;
                return None;
            }
            Server::Mbap | Server::Rude => return None,
        };
        stream.write_all(&answer).await.ok()?;
    }
}

async fn listen(server: Server) -> BusSetup {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(server, stream));
        }
    });
    BusSetup {
        id: BusId::new("bus"),
        link: Link::Tcp {
            host: "127.0.0.1".into(),
            port,
        },
        protocol: Protocol::Modbus,
        framing: Framing::Auto,
        min_gap: Duration::ZERO,
        timeout: TIMEOUT,
        reopen_wait: Duration::from_secs(1),
        devices: Vec::new(),
    }
}

async fn open(setup: &BusSetup, known: Option<Framing>) -> Line {
    let Link::Tcp { host, port } = &setup.link else {
        panic!()
    };
    let wire = tcp::connect(host, *port).await.unwrap();
    Line::new(setup, known, wire, Timer::system().unwrap())
}

async fn ask(line: &mut Line, unit: u8) -> Result<Reply, Fault> {
    let urgent = Notify::new();
    let what = Exchange {
        unit,
        pdu: &READ,
        timeout: TIMEOUT,
        gap: Duration::ZERO,
        urgent: &urgent,
    };
    line.exchange(what).await
}

#[tokio::test]
async fn rtu_behind_a_serial_server_is_found_and_serves_several_units() {
    let setup = listen(Server::Rtu).await;
    let mut line = open(&setup, None).await;
    let mut failures = 0;
    while let Err(fault) = ask(&mut line, 1).await {
        assert!(!matches!(fault, Fault::Lost(_)), "{fault}");
        failures += 1;
        assert!(failures < 5);
    }
    assert_eq!(line.known(), Some(Framing::Rtu));
    for unit in [1, 2, 9] {
        assert_eq!(
            ask(&mut line, unit).await.unwrap(),
            Reply::Registers(vec![unit.into()])
        );
    }
    let mut again = open(&setup, line.known()).await;
    assert!(
        ask(&mut again, 3).await.is_ok(),
        "what was found once is not looked for again"
    );
}

#[tokio::test]
async fn modbus_tcp_is_found_at_once() {
    let setup = listen(Server::Mbap).await;
    let mut line = open(&setup, None).await;
    assert_eq!(ask(&mut line, 5).await.unwrap(), Reply::Registers(vec![5]));
    assert_eq!(line.known(), Some(Framing::Tcp));
    // A wrong guess costs a connection, no more.
    let mut line = open(
        &BusSetup {
            framing: Framing::Rtu,
            ..setup.clone()
        },
        None,
    )
    .await;
    assert!(matches!(ask(&mut line, 5).await, Err(Fault::Lost(_))));
}

#[tokio::test]
async fn who_answers_neither_is_tried_in_turn_and_who_hangs_up_is_lost() {
    let setup = listen(Server::Deaf).await;
    let mut line = open(&setup, None).await;
    for _ in 0..9 {
        assert!(matches!(ask(&mut line, 1).await, Err(Fault::Timeout(_))));
        assert_eq!(line.known(), None);
    }
    let setup = listen(Server::Rude).await;
    let mut line = open(&setup, None).await;
    assert!(matches!(ask(&mut line, 1).await, Err(Fault::Yielded)));
    assert!(matches!(ask(&mut line, 1).await, Err(Fault::Yielded)));
    assert!(matches!(ask(&mut line, 1).await, Err(Fault::Lost(_))));
}

#[tokio::test]
async fn who_hangs_up_after_the_time_out_is_tried_in_the_other_framing() {
    let setup = listen(Server::Slow).await;
    for pause in [SLOW * 3, Duration::from_millis(1)] {
        let mut line = open(&setup, None).await;
        assert!(matches!(ask(&mut line, 1).await, Err(Fault::Timeout(_))));
        // The idle port is watched, and the watch broken off whenever there is something else to do.
        let end = Instant::now() + SLOW * 3;
        while Instant::now() < end {
            let lost = tokio::time::timeout(pause, line.watch()).await;
            assert!(lost.is_err(), "{lost:?}");
        }
        assert_eq!(ask(&mut line, 1).await.unwrap(), Reply::Registers(vec![1]));
        assert_eq!(line.known(), Some(Framing::Rtu));
    }
}

#[tokio::test]
async fn who_hangs_up_late_on_either_framing_is_lost() {
    let setup = listen(Server::Slow).await;
    let mut line = open(&setup, None).await;
    let refused = tokio::time::timeout(SLOW, line.watch()).await;
    assert!(refused.is_err(), "nothing was asked yet");
}

#[tokio::test]
async fn a_serial_server_that_falls_silent_is_connected_anew() {
    let setup = BusSetup {
        framing: Framing::Rtu,
        ..listen(Server::Deaf).await
    };
    let mut line = open(&setup, None).await;
    for _ in 0..3 {
        assert!(matches!(ask(&mut line, 1).await, Err(Fault::Timeout(_))));
    }
    assert!(matches!(ask(&mut line, 1).await, Err(Fault::Lost(_))));
}
