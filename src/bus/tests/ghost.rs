use super::*;
use crate::bus::frame::crc16;
use crate::device::ReadFc;

const SECOND: Duration = Duration::from_secs(1);

fn read(addr: u16, count: u16) -> Pdu {
    Pdu::Read {
        fc: ReadFc::InputRegisters,
        addr,
        count,
    }
}

fn answer(unit: u8, count: u8) -> Vec<u8> {
    let mut frame = vec![unit, 4, count * 2];
    frame.resize(3 + usize::from(count) * 2, 1);
    let crc = crc16(&frame);
    frame.extend_from_slice(&crc.to_le_bytes());
    frame
}

#[test]
fn only_what_a_late_answer_would_fit_is_held_back() {
    let mut ghosts = Ghosts::default();
    ghosts.remember(1, &read(0, 2), SECOND, SECOND);
    let hold = |unit, pdu: &Pdu| ghosts.hold(unit, pdu, SECOND);
    assert_eq!(hold(1, &read(40, 2)), Some(SECOND * 2));
    assert_eq!(hold(1, &read(0, 3)), None);
    assert_eq!(hold(2, &read(0, 2)), None);
    assert_eq!(hold(1, &Pdu::WriteSingle { addr: 0, value: 0 }), None);
    assert_eq!(ghosts.hold(1, &read(40, 2), SECOND * 2), None);
}

#[test]
fn the_proof_is_a_read_that_no_ghost_could_answer() {
    let mut ghosts = Ghosts::default();
    assert_eq!(ghosts.proof(1, &read(40, 4)), Ok(None));
    ghosts.remember(1, &read(0, 4), SECOND, SECOND);
    assert_eq!(ghosts.proof(1, &read(40, 4)), Ok(Some(read(40, 2))));
    assert_eq!(ghosts.proof(1, &read(40, 2)), Ok(None));
    assert_eq!(ghosts.proof(2, &read(40, 4)), Ok(None));
    ghosts.remember(1, &read(0, 2), SECOND, SECOND);
    assert_eq!(ghosts.proof(1, &read(40, 4)), Ok(Some(read(40, 3))));
    ghosts.remember(1, &read(0, 3), SECOND, SECOND);
    ghosts.remember(1, &read(0, 1), SECOND, SECOND);
    assert_eq!(ghosts.proof(1, &read(40, 4)), Ok(Some(read(40, 6))));
}

#[test]
fn where_every_shape_is_taken_nothing_is_sent_until_ghosts_are_too_old() {
    let mut ghosts = Ghosts::default();
    for count in 1..=125 {
        ghosts.remember(1, &read(0, count), SECOND, SECOND);
    }
    assert_eq!(ghosts.proof(1, &read(0, 4)), Err(FrameError::Ambiguous));
    ghosts.expire(SECOND * 2 + HAUNT);
    assert_eq!(ghosts.proof(1, &read(0, 4)), Ok(None));
}

#[test]
fn bits_are_told_apart_by_bytes_not_by_bits() {
    let bits = |count| Pdu::Read {
        fc: ReadFc::Coils,
        addr: 0,
        count,
    };
    let mut ghosts = Ghosts::default();
    ghosts.remember(1, &bits(3), SECOND, SECOND);
    assert!(ghosts.hold(1, &bits(8), SECOND).is_some());
    assert_eq!(ghosts.proof(1, &bits(5)), Ok(Some(bits(9))));
}

#[test]
fn a_late_answer_tells_how_late_the_unit_can_be_but_proves_nothing() {
    let mut ghosts = Ghosts::default();
    ghosts.remember(1, &read(0, 2), SECOND, SECOND);
    assert_eq!(ghosts.suspect(&answer(1, 3), SECOND * 3), None);
    let late = ghosts.suspect(&answer(1, 2), SECOND * 3).unwrap();
    assert_eq!((late.unit, late.by), (1, SECOND * 2));
    assert!(ghosts.haunts(1, 4));
}

#[test]
fn a_proof_lays_all_but_those_in_quarantine() {
    let mut ghosts = Ghosts::default();
    ghosts.remember(1, &read(0, 2), SECOND, SECOND);
    ghosts.remember(1, &read(0, 5), SECOND * 2, SECOND * 2);
    ghosts.exorcise(1, SECOND * 3);
    assert_eq!(ghosts.proof(1, &read(0, 2)), Ok(None));
    assert!(ghosts.hold(1, &read(0, 5), SECOND * 3).is_some());
}
