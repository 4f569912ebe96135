//! The test vectors of the protocol notes, byte by byte.

use super::super::codec::{Line, Liner, encode};

fn lines(text: &str) -> Vec<Line> {
    let mut liner = Liner::default();
    text.bytes().filter_map(|byte| liner.push(byte)).collect()
}

fn answer(ok: bool, id: Option<u8>, words: &[&str]) -> Line {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    Line::Answer { ok, id, words }
}

#[test]
fn commands() {
    for wire in [
        "$FE^27",
        "$FS^31",
        "$FD^26",
        "$GS^30",
        "$GG^24",
        "$GU^36",
        "$GE^26",
        "$GV^35",
        "$SC 16 V^65",
        "$SC 6 V^54",
        "$SY 100 6^29",
        "$SY^2E",
        "$SY 165^3C",
        "$F0 1^43",
        "$F0 0^42",
    ] {
        let command = wire.trim_start_matches('$').split('^').next().expect("a command");
        assert_eq!(encode(command, None), format!("{wire}\r").into_bytes());
    }
    assert_eq!(encode("FE", Some(0xA1)), b"$FE :A1^4D\r");
}

#[test]
fn answers() {
    assert_eq!(lines("$OK^20\r"), [answer(true, None, &[])]);
    assert_eq!(lines("$NK^21\r"), [answer(false, None, &[])]);
    assert_eq!(lines("$OK :A1^4A\r"), [answer(true, Some(0xA1), &[])]);
    assert_eq!(lines("$SC 16 V*B7\r"), [], "a command, with the check of old");
    let sum = "$OK 6".bytes().fold(0_u8, |sum, byte| sum.wrapping_add(byte));
    assert_eq!(lines(&format!("$OK 6*{sum:02X}\r")), [answer(true, None, &["6"])]);
}

#[test]
fn what_does_not_fit_counts_for_nothing() {
    assert_eq!(lines("$OK^21\r$OK\r$OK^2\r$^24\r^24\r\r"), []);
    assert_eq!(lines("$OK ^20\r"), [], "a character too many");
    assert_eq!(
        lines("noise $O$OK^20\r\n$OK^20\r"),
        [answer(true, None, &[]), answer(true, None, &[])]
    );
    assert_eq!(
        lines(&format!("${}\r$OK^20\r", "x".repeat(4_000))),
        [answer(true, None, &[])]
    );
    assert_eq!(lines("$OK\u{0}^20\r$\u{e9}^20\r"), []);
    for (at, bit) in (0..6).flat_map(|at| (0..7).map(move |bit| (at, bit))) {
        let mut damaged = b"$OK^20\r".to_vec();
        damaged[at] ^= 1 << bit;
        let mut liner = Liner::default();
        let read = damaged.iter().filter_map(|byte| liner.push(*byte)).count();
        assert_eq!(read, 0, "bit {bit} of byte {at}");
    }
}

#[test]
fn announcements() {
    let check = |text: &str| format!("{text}^{:02X}\r", text.bytes().fold(0, |sum, byte| sum ^ byte));
    assert_eq!(lines(&check("$AB 00 8.2.1")), [Line::Boot]);
    let words = ["03", "03", "24", "0140"].map(str::to_owned).to_vec();
    assert_eq!(lines(&check("$AT 03 03 24 0140")), [Line::State(words)]);
    assert_eq!(lines(&check("$AN 0")), [], "a button");
    assert_eq!(lines(&check("$WF 01")), []);
}
