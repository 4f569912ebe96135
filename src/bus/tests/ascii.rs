//! ASCII frames: the standard's, and ABL's dialect with its published frames.

use super::super::frame::{Answer, FrameError, ascii};
use super::*;
use crate::bus::port::{Exchange, Fault, Line};
use crate::device::{Pdu, ReadFc, Reply};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

fn read(addr: u16, count: u16) -> Pdu {
    Pdu::Read {
        fc: ReadFc::HoldingRegisters,
        addr,
        count,
    }
}

fn write(addr: u16, value: u16) -> Pdu {
    Pdu::WriteMulti {
        addr,
        values: vec![value],
    }
}

#[test]
fn the_published_requests_are_made_byte_by_byte() {
    let cases = [
        (read(0x01, 2), ":010300010002F9"),
        (read(0x04, 1), ":010300040001F7"),
        (read(0x03, 1), ":010300030001F8"),
        (read(0x2E, 5), ":0103002E0005C9"),
        (read(0x33, 3), ":010300330003C6"),
        (write(0x14, 0x00A6), ":0110001400010200A632"),
        (write(0x14, 0x03E8), ":0110001400010203E8ED"),
        (write(0x05, 0xE0E0), ":01100005000102E0E027"),
        (write(0x05, 0xA1A1), ":01100005000102A1A1A5"),
        (read(0x0F, 5), ":0103000F0005E8"),
        (read(0x50, 8), ":010300500008A4"),
        (write(0x13, 0x010B), ":01100013000102010BCD"),
    ];
    for (pdu, text) in cases {
        assert_eq!(
            ascii::encode(1, &pdu).unwrap(),
            format!("{text}\r\n").into_bytes()
        );
    }
}

#[test]
fn the_published_answers_are_taken() {
    let registers = |pdu: Pdu, text: &str| match ascii::decode(1, &pdu, text.as_bytes()) {
        Ok(Answer::Reply(Reply::Registers(registers))) => registers,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(registers(read(1, 2), ">01030401011237AD"), [0x0101, 0x1237]);
    assert_eq!(registers(read(4, 1), ">01030204F402"), [0x04F4]);
    assert_eq!(registers(read(3, 1), ">0103020327D0"), [0x0327]);
    // These two were published with another checksum than their bytes have (1F and EC).
    for wrong in [">01030A2EC3810A0064006400001F", ">0103063380C30A0A00EC"] {
        assert!(matches!(
            ascii::open(wrong.as_bytes()),
            Err(FrameError::Crc { .. })
        ));
    }
    assert_eq!(
        registers(read(0x2E, 5), ">01030A2EC3810A006400640000AE"),
        [0x2EC3, 0x810A, 100, 100, 0]
    );
    assert_eq!(
        registers(read(0x33, 3), ">0103063380C30A0A006C"),
        [0x3380, 0xC30A, 0x0A00]
    );
    let confirmed = ascii::decode(1, &write(0x14, 0xA6), b">011000140001DA");
    assert_eq!(confirmed, Ok(Answer::Reply(Reply::Written)));
    assert_eq!(
        ascii::decode(1, &write(0x14, 0xA6), b">0190046B"),
        Ok(Answer::Exception(4))
    );
    assert_eq!(
        registers(read(4, 1), ":01030204f402"),
        [0x04F4],
        "small letters, the standard's begin"
    );
}

#[test]
fn what_is_wrong_is_told() {
    let told = |line: &[u8]| ascii::decode(1, &read(4, 1), line).unwrap_err();
    assert_eq!(told(b">01030204F403"), FrameError::Crc { got: 3, want: 2 });
    assert_eq!(told(b">02030204F401"), FrameError::Unit { got: 2, want: 1 });
    assert_eq!(told(b">01030204G402"), FrameError::Digits);
    assert!(matches!(told(b">0103"), FrameError::Short { .. }));
    assert!(matches!(told(b"01030204F402"), FrameError::Short { .. }));
    assert!(matches!(told(b">01030204F4020"), FrameError::Short { .. }));
    assert!(matches!(told(b""), FrameError::Short { .. }));
}

struct Bench {
    line: Line,
    far: DuplexStream,
    urgent: Arc<Notify>,
    gap: Duration,
}

fn bench() -> Bench {
    let (near, far) = tokio::io::duplex(4096);
    let setup = BusSetup {
        id: BusId::new("bus"),
        link: serial(38_400),
        protocol: Protocol::Modbus,
        framing: Framing::Ascii,
        min_gap: Duration::ZERO,
        timeout: Duration::from_millis(500),
        reopen_wait: Duration::from_secs(1),
        devices: Vec::new(),
    };
    Bench {
        line: Line::new(&setup, None, Box::new(near), Timer::tokio()),
        far,
        urgent: Arc::default(),
        gap: Duration::ZERO,
    }
}

/// Asks and lets the far end do its part; the answer and what the far end received.
async fn ask<F: Future<Output = DuplexStream>>(
    bench: &mut Bench,
    pdu: Pdu,
    far: impl FnOnce(DuplexStream) -> F,
) -> Result<Reply, Fault> {
    let what = Exchange {
        unit: 1,
        pdu: &pdu,
        timeout: Duration::from_millis(500),
        gap: bench.gap,
        urgent: &bench.urgent,
    };
    let end = std::mem::replace(&mut bench.far, tokio::io::duplex(1).0);
    let (result, end) = tokio::join!(bench.line.exchange(what), far(end));
    bench.far = end;
    result
}

async fn heard(far: &mut DuplexStream) -> String {
    let mut text = String::new();
    while !text.ends_with('\n') {
        text.push(char::from(far.read_u8().await.unwrap()));
    }
    text
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_pieces_between_noise_and_an_echo_is_taken() {
    let mut bench = bench();
    let result = ask(&mut bench, read(4, 1), async |mut far| {
        let request = heard(&mut far).await;
        assert_eq!(request, ":010300040001F7\r\n");
        for piece in [request.as_bytes(), b"\xFF\x00>0103020", b"4", b"F402\r", b"\n"] {
            far.write_all(piece).await.unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        far
    });
    assert_eq!(result.await.unwrap(), Reply::Registers(vec![0x04F4]));
    assert_eq!(bench.line.seen().echoes, 1);
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_sleeps_is_asked_twice_and_read_on_soon() {
    let mut bench = bench();
    let result = ask(&mut bench, read(4, 1), async |mut far| {
        let first = heard(&mut far).await;
        assert_eq!(heard(&mut far).await, first);
        far.write_all(b">01030204F402\r\n").await.unwrap();
        far
    });
    assert_eq!(result.await.unwrap(), Reply::Registers(vec![0x04F4]));
    let held = bench
        .line
        .hold(1, &read(3, 1))
        .expect("held while the first could still be answered");
    assert!(held <= Duration::from_millis(500), "{held:?}");
    tokio::time::advance(held).await;
    let result = ask(&mut bench, read(3, 1), async |mut far| {
        assert_eq!(
            heard(&mut far).await,
            ":010300030001F8\r\n",
            "no proof is asked for"
        );
        far.write_all(b">0103020327D0\r\n").await.unwrap();
        far
    });
    assert_eq!(result.await.unwrap(), Reply::Registers(vec![0x0327]));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_twice_while_a_stop_waits() {
    let mut bench = bench();
    let urgent = bench.urgent.clone();
    let result = ask(&mut bench, read(4, 1), async move |mut far| {
        heard(&mut far).await;
        urgent.notify_one();
        let more = tokio::time::timeout(Duration::from_millis(400), far.read_u8()).await;
        assert!(more.is_err(), "the line is left to the stop");
        far
    });
    assert!(matches!(result.await, Err(Fault::Timeout(_))));
    assert!(
        bench.line.hold(1, &read(3, 1)).is_some(),
        "an answer may still come"
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_try_that_gives_way_leaves_the_first_in_mind() {
    let mut bench = bench();
    bench.gap = Duration::from_secs(1);
    let urgent = bench.urgent.clone();
    let result = ask(&mut bench, read(4, 1), async move |mut far| {
        heard(&mut far).await;
        // The first is given up after half a second, and the second waits for a second of silence.
        tokio::time::sleep(Duration::from_millis(700)).await;
        urgent.notify_one();
        far
    });
    assert!(matches!(result.await, Err(Fault::Yielded)));
    assert_eq!(bench.line.seen().sent, 1);
    assert!(
        bench.line.hold(1, &read(3, 1)).is_some(),
        "an answer may still come"
    );
}

#[tokio::test(start_paused = true)]
async fn damage_and_silence_are_told_apart() {
    let mut bench = bench();
    let result = ask(&mut bench, read(4, 1), async |mut far| {
        heard(&mut far).await;
        far.write_all(b">01030204F403\r\n").await.unwrap();
        far
    });
    assert!(matches!(
        result.await,
        Err(Fault::Garbled(FrameError::Crc { .. }))
    ));
    let result = ask(&mut bench, read(4, 1), async |mut far| {
        heard(&mut far).await;
        heard(&mut far).await;
        far
    });
    assert!(matches!(result.await, Err(Fault::Timeout(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_line_is_survived_and_a_right_one_is_its_bytes(bytes in prop::collection::vec(any::<u8>(), 0..80), body in prop::collection::vec(any::<u8>(), 3..60)) {
        let _ = ascii::open(&bytes);
        let mut text = String::from(":");
        for byte in body.iter().chain([&ascii::lrc(&body)]) {
            text.push_str(&format!("{byte:02X}"));
        }
        prop_assert_eq!(ascii::open(text.as_bytes()), Ok(body));
    }
}
