use super::card::{Frame, Number, TokenForm};
use super::*;
use crate::device::tests::streams::{Bench, links};
use crate::domain::TokenKind;
use proptest::prelude::*;

/// What lay on the reader since the last call, without repetitions; the reader is empty before.
fn tokens(bench: &mut Bench) -> Vec<Option<String>> {
    let mut found = vec![None];
    for effect in bench.take() {
        if let StreamEffect::Observed { observations, .. } = effect {
            for observation in observations {
                if let Observation::Token(token) = observation {
                    found.push(token.map(|token| token.text));
                }
            }
        }
    }
    found.dedup();
    found.remove(0);
    found
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn format() -> CardFormat {
    CardFormat {
        frame: Frame::Line,
        number: Number::Hex,
        digits: Vec::new(),
        xor: false,
        reverse: false,
        bytes: 4,
        token: TokenForm::Hex,
        hold: Duration::from_secs(2),
    }
}

/// A key pressed and let go, as the kernel tells it.
fn key(code: u16) -> Vec<u8> {
    [(1_u16, code, 1_i32), (0, 0, 0), (1, code, 0), (0, 0, 0)]
        .iter()
        .flat_map(|(kind, code, value)| event(*kind, *code, *value))
        .collect()
}

fn event(kind: u16, code: u16, value: i32) -> Vec<u8> {
    let mut bytes = vec![0x5A; keys::EVENT - 8];
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&code.to_ne_bytes());
    bytes.extend_from_slice(&value.to_ne_bytes());
    bytes
}

fn typed(text: &str) -> Vec<u8> {
    let code = |letter: char| match letter {
        '1'..='9' => 2 + u16::try_from(u32::from(letter) - u32::from('1')).unwrap(),
        '0' => 11,
        'A' => 30,
        'B' => 48,
        'C' => 46,
        'D' => 32,
        'E' => 18,
        'F' => 33,
        '\n' => 28,
        ',' => 51,
        other => panic!("{other:?}"),
    };
    text.chars().flat_map(|letter| key(code(letter))).collect()
}

#[test]
fn a_card_on_the_reader_counts_once_and_held_again_again() {
    let mut bench = Bench::shipped("rfid-serial-hex");
    assert_eq!(links(&bench.take()), [(true, None)]);
    for _ in 0..10 {
        bench.bytes(b"04a2b3c4d5e680\r\n");
        bench.pass(300);
    }
    bench.bytes(b"DEADBEEF\n");
    bench.pass(2_500);
    bench.bytes(b"DEADBEEF\r");
    bench.pass(2_500);
    let seen = [
        some("04A2B3C4D5E680"),
        some("DEADBEEF"),
        None,
        some("DEADBEEF"),
        None,
    ];
    assert_eq!(tokens(&mut bench), seen);
    bench.pass(3_500);
    let told = bench.take().len();
    assert!(
        (3..=4).contains(&told),
        "an empty reader is told once a second: {told}"
    );
    bench.input(StreamInput::PortLost);
    bench.input(StreamInput::PortBack);
    assert_eq!(
        links(&bench.take()),
        [(false, Some(DriveError::PortLost)), (true, None)]
    );
}

#[test]
fn a_checksum_that_is_wrong_is_no_card() {
    let mut bench = Bench::shipped("rfid-em4100");
    // 06 ^ 20 ^ 00 ^ 91 ^ 1A = AD.
    bench.bytes(b"noise\x02062000911AAD\r\n\x03");
    assert_eq!(tokens(&mut bench), [some("062000911A")]);
    for wrong in [
        &b"\x0206200911AAD\x03"[..],
        b"\x0206200091 AAD\x03",
        b"\x0206200092 1AAD\x03",
        b"\x02\x03",
        b"\x03",
    ] {
        bench.bytes(wrong);
    }
    bench.bytes(b"\x0206200\x0206200091");
    bench.pass(600);
    bench.bytes(b"1AAD\x03");
    assert!(!tokens(&mut bench).iter().any(Option::is_some));
}

#[test]
fn numbers_are_taken_in_the_form_the_profile_says_and_no_other() {
    let read = |format: &CardFormat, text: &str| format.token(text).map(|token| (token.text, token.kind));
    let hex = format();
    assert_eq!(
        read(&hex, "00deadbeef"),
        Some(("00DEADBEEF".into(), TokenKind::Local))
    );
    assert_eq!(
        read(&hex, "DEADBEEF"),
        Some(("DEADBEEF".into(), TokenKind::Iso14443))
    );
    assert_eq!(
        read(&hex, "E004015012345678"),
        Some(("E004015012345678".into(), TokenKind::Iso15693))
    );
    for text in [
        "",
        "DEADBEE",
        "DEADBEEG",
        "00000000",
        "DE AD BE EF",
        "112233445566778899AABB",
    ] {
        assert_eq!(read(&hex, text), None, "{text:?}");
    }
    let reversed = CardFormat {
        reverse: true,
        ..format()
    };
    assert_eq!(read(&reversed, "01020304").unwrap().0, "04030201");
    let decimal = CardFormat {
        number: Number::Decimal,
        ..format()
    };
    assert_eq!(read(&decimal, "0012345678").unwrap().0, "00BC614E");
    assert_eq!(read(&decimal, "4294967296"), None, "more than its bytes hold");
    assert_eq!(read(&decimal, "12a4"), None);
    assert_eq!(read(&decimal, "+1234"), None);
    let as_read = CardFormat {
        token: TokenForm::AsRead,
        digits: vec![10],
        ..decimal
    };
    assert_eq!(
        read(&as_read, "0012345678"),
        Some(("0012345678".into(), TokenKind::Local))
    );
    assert_eq!(read(&as_read, "12345678"), None, "not so many digits");
    let wiegand = CardFormat {
        number: Number::Wiegand,
        ..format()
    };
    assert_eq!(read(&wiegand, "145,23130").unwrap().0, "915A5A");
    assert_eq!(read(&wiegand, "256,1"), None);
    assert_eq!(read(&wiegand, "1,65536"), None);
}

#[test]
fn a_keyboard_types_cards_however_its_events_are_cut() {
    let mut bench = Bench::shipped("rfid-keyboard");
    for chunk in typed("04A2B3C4D5E680\n").chunks(7) {
        bench.bytes(chunk);
    }
    assert_eq!(tokens(&mut bench), [some("04A2B3C4D5E680")]);
    bench.pass(3_000);
    bench.take();
    // Capital letters with shift, and a key that is held down and repeats.
    let mut bytes = event(1, 42, 1);
    bytes.extend(typed("DEADBEEF"));
    bytes.extend(event(1, 42, 0));
    bytes.extend(event(1, 33, 2));
    bytes.extend(typed("\n"));
    bench.bytes(&bytes);
    assert_eq!(tokens(&mut bench), [some("DEADBEEF")]);
    bench.pass(3_000);
    bench.take();
    let mut bytes = typed("DEADBEEF");
    bytes.extend(key(44)); // Z
    bytes.extend(typed("\n"));
    bench.bytes(&bytes);
    assert_eq!(tokens(&mut bench), []);
    let mut bench = Bench::shipped("rfid-keyboard-decimal");
    bench.bytes(&typed("0012345678\n"));
    bench.bytes(&[key(71), key(82), key(96)].concat());
    assert_eq!(tokens(&mut bench), [some("0012345678"), some("70")]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived_and_a_card_is_still_read(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20), id in 0_usize..4,
    ) {
        let id = ["rfid-serial-hex", "rfid-em4100", "rfid-keyboard", "rfid-serial-decimal"][id];
        let mut bench = Bench::shipped(id);
        for chunk in &chunks {
            bench.bytes(chunk);
        }
        bench.input(StreamInput::PortLost);
        bench.input(StreamInput::PortBack);
        bench.pass(10_000);
        bench.take();
        bench.bytes(&match id {
            "rfid-keyboard" => typed("DEADBEEF\n"),
            "rfid-em4100" => b"\x0206200911AAD\x0206200\x0206200911A3F\x020620009 1A\x0206200091 1AAD\x03\x0206200" .to_vec(),
            "rfid-serial-hex" => b"DEADBEEF\n".to_vec(),
            _ => b"0012345678\r\n".to_vec(),
        });
        if id != "rfid-em4100" {
            prop_assert_eq!(tokens(&mut bench).iter().filter(|token| token.is_some()).count(), 1);
        }
    }
}
