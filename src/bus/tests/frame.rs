use super::*;
use crate::device::ReadFc;
use proptest::prelude::*;

fn read(fc: ReadFc, addr: u16, count: u16) -> Pdu {
    Pdu::Read { fc, addr, count }
}

fn with_crc(body: &[u8]) -> Vec<u8> {
    let mut frame = body.to_vec();
    frame.extend_from_slice(&crc16(body).to_le_bytes());
    frame
}

#[test]
fn requests_are_the_bytes_of_the_standard() {
    let holding = read(ReadFc::HoldingRegisters, 0x006B, 3);
    assert_eq!(encode(&holding).unwrap(), [3, 0, 0x6B, 0, 3]);
    let coil = Pdu::WriteCoil { addr: 0xAC, on: true };
    assert_eq!(encode(&coil).unwrap(), [5, 0, 0xAC, 0xFF, 0]);
    let many = Pdu::WriteMulti {
        addr: 1,
        values: vec![0x000A, 0x0102],
    };
    assert_eq!(encode(&many).unwrap(), [16, 0, 1, 0, 2, 4, 0, 0x0A, 1, 2]);
    let bits = [true, false, true, true, false, false, true, true, true, false];
    let coils = Pdu::WriteCoils {
        addr: 0x13,
        values: bits.to_vec(),
    };
    assert_eq!(encode(&coils).unwrap(), [15, 0, 0x13, 0, 0x0A, 2, 0xCD, 1]);
}

#[test]
fn the_checksum_is_that_of_the_standard() {
    assert_eq!(crc16(&[2, 7]).to_le_bytes(), [0x41, 0x12]);
    let single = Pdu::WriteSingle { addr: 1, value: 3 };
    assert_eq!(
        rtu::encode(0x11, &single).unwrap(),
        [0x11, 6, 0, 1, 0, 3, 0x9A, 0x9B]
    );
}

#[test]
fn quantities_nobody_may_ask_for_are_refused() {
    for count in [0, 126] {
        let error = encode(&read(ReadFc::InputRegisters, 0, count));
        assert_eq!(error, Err(FrameError::Quantity { count: count.into() }));
    }
    assert!(encode(&read(ReadFc::Coils, 0, 2000)).is_ok());
    let values = vec![0; 124];
    assert_eq!(
        encode(&Pdu::WriteMulti { addr: 0, values }),
        Err(FrameError::Quantity { count: 124 })
    );
}

#[test]
fn answers_are_taken_or_the_fault_is_named() {
    let pdu = read(ReadFc::InputRegisters, 8, 1);
    let good = with_crc(&[9, 4, 2, 0, 0x0A]);
    let reply = Answer::Reply(Reply::Registers(vec![10]));
    assert_eq!(rtu::decode(9, &pdu, &good), Ok(reply));
    assert_eq!(
        rtu::decode(9, &pdu, &with_crc(&[9, 0x84, 2])),
        Ok(Answer::Exception(2))
    );

    let fault = |frame: &[u8]| rtu::decode(9, &pdu, frame).unwrap_err();
    assert_eq!(fault(&good[..4]), FrameError::Short { have: 4, need: 5 });
    assert_eq!(
        fault(&with_crc(&[8, 4, 2, 0, 0])),
        FrameError::Unit { got: 8, want: 9 }
    );
    assert_eq!(
        fault(&with_crc(&[9, 3, 2, 0, 0])),
        FrameError::Function { got: 3, want: 4 }
    );
    assert_eq!(
        fault(&with_crc(&[9, 4, 4, 0, 0, 0, 0])),
        FrameError::ByteCount { got: 4, want: 2 }
    );
    assert_eq!(
        fault(&with_crc(&[9, 4, 2, 0, 0, 0])),
        FrameError::Trailing { extra: 1 }
    );
    let mut flipped = good.clone();
    flipped[4] ^= 1;
    assert!(matches!(fault(&flipped), FrameError::Crc { .. }));
}

#[test]
fn a_write_is_confirmed_by_its_own_address_and_value_only() {
    let pdu = Pdu::WriteSingle { addr: 5, value: 60 };
    let fault = |body: &[u8]| decode(&pdu, body);
    assert_eq!(fault(&[6, 0, 5, 0, 60]), Ok(Answer::Reply(Reply::Written)));
    assert_eq!(
        fault(&[6, 0, 6, 0, 60]),
        Err(FrameError::Address { got: 6, want: 5 })
    );
    assert_eq!(
        fault(&[6, 0, 5, 0, 61]),
        Err(FrameError::Value { got: 61, want: 60 })
    );
    let many = Pdu::WriteMulti {
        addr: 5,
        values: vec![1, 2],
    };
    assert_eq!(
        decode(&many, &[16, 0, 5, 0, 1]),
        Err(FrameError::Value { got: 1, want: 2 })
    );
}

#[test]
fn bits_come_lowest_first_and_padding_is_cut() {
    let pdu = read(ReadFc::DiscreteInputs, 0, 10);
    let Ok(Answer::Reply(Reply::Bits(bits))) = decode(&pdu, &[2, 2, 0b0000_0101, 0b1111_1110]) else {
        panic!("not taken");
    };
    assert_eq!(bits.len(), 10);
    assert_eq!(bits.iter().filter(|on| **on).count(), 3);
    assert!(bits[0] && bits[2] && bits[9]);
}

#[test]
fn a_tcp_answer_must_carry_the_transaction_sent() {
    let pdu = read(ReadFc::HoldingRegisters, 0, 1);
    assert_eq!(
        mbap::encode(7, 255, &pdu).unwrap(),
        [0, 7, 0, 0, 0, 6, 255, 3, 0, 0, 0, 1]
    );
    let frame = [0, 6, 0, 0, 0, 5, 255, 3, 2, 0, 1];
    assert_eq!(mbap::frame_len(&frame), Ok(Some(11)));
    let late = mbap::decode(7, 255, &pdu, &frame);
    assert_eq!(late, Err(FrameError::Transaction { got: 6, want: 7 }));
    assert!(mbap::decode(6, 255, &pdu, &frame).is_ok());
    assert_eq!(
        mbap::frame_len(&[0, 6, 0, 1, 0, 5]),
        Err(FrameError::Protocol { got: 1 })
    );
    assert_eq!(
        mbap::frame_len(&[0, 6, 0, 0, 9, 0]),
        Err(FrameError::Length { got: 0x900 })
    );
}

fn any_pdu() -> impl Strategy<Value = Pdu> {
    let fc = (1u8..=4).prop_map(|code| ReadFc::from_code(code).unwrap());
    prop_oneof![
        (fc, any::<u16>(), 1u16..=125).prop_map(|(fc, addr, count)| Pdu::Read { fc, addr, count }),
        any::<(u16, u16)>().prop_map(|(addr, value)| Pdu::WriteSingle { addr, value }),
        any::<(u16, bool)>().prop_map(|(addr, on)| Pdu::WriteCoil { addr, on }),
        (any::<u16>(), prop::collection::vec(any::<u16>(), 1..=123))
            .prop_map(|(addr, values)| Pdu::WriteMulti { addr, values }),
        (any::<u16>(), prop::collection::vec(any::<bool>(), 1..=1968))
            .prop_map(|(addr, values)| Pdu::WriteCoils { addr, values }),
    ]
}

/// The true answer of a device to a request.
fn truth(pdu: &Pdu) -> Vec<u8> {
    match pdu {
        Pdu::Read { .. } => {
            let data = answer_len(pdu) - 2;
            let mut body = vec![pdu.function(), u8::try_from(data).unwrap()];
            body.resize(2 + data, 0x5A);
            body
        }
        _ => encode(pdu).unwrap()[..5].to_vec(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn foreign_bytes_never_panic(pdu in any_pdu(), unit: u8, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&pdu, &bytes);
        let _ = rtu::decode(unit, &pdu, &bytes);
        let _ = rtu::sound(&bytes);
        let _ = mbap::frame_len(&bytes);
        let _ = mbap::decode(1, unit, &pdu, &bytes);
    }

    #[test]
    fn the_true_answer_is_taken_and_its_length_known(pdu in any_pdu(), unit in 1u8..=247) {
        let mut frame = vec![unit];
        frame.extend(truth(&pdu));
        let frame = with_crc(&frame);
        prop_assert_eq!(rtu::answer_bytes(&pdu), frame.len());
        prop_assert_eq!(rtu::sound(&frame), Some(frame.len()));
        prop_assert!(rtu::decode(unit, &pdu, &frame).is_ok());
    }

    #[test]
    fn an_answer_of_another_shape_is_never_taken(asked in any_pdu(), other in any_pdu(), unit in 1u8..=247) {
        let (mine, theirs) = (truth(&asked), truth(&other));
        prop_assume!(mine != theirs);
        prop_assert!(decode(&asked, &theirs).is_err());
        let mut frame = vec![unit];
        frame.extend(&mine);
        prop_assert!(rtu::decode(unit ^ 1, &asked, &with_crc(&frame)).is_err());
    }

    #[test]
    fn up_to_three_flipped_bits_are_always_seen(pdu in any_pdu(), unit in 1u8..=247, flips in prop::collection::btree_set(0usize..64, 1..=3)) {
        let mut frame = vec![unit];
        frame.extend(truth(&pdu));
        let mut frame = with_crc(&frame);
        let bits = frame.len() * 8;
        let flips: std::collections::BTreeSet<_> = flips.into_iter().map(|bit| bit % bits).collect();
        for bit in &flips {
            frame[bit / 8] ^= 1 << (bit % 8);
        }
        prop_assert!(rtu::decode(unit, &pdu, &frame).is_err());
    }
}
