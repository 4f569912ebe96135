//! Checksums of rows: SQLite notices a broken page structure, not a flipped bit inside a value.

/// FNV-1a over the parts, each closed by its length so that no two splits of the same bytes agree.
/// Every step is a bijection of the state, so a change of a single byte never goes unseen.
pub(super) fn sum(parts: &[&[u8]]) -> i64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut state: u64 = 0xcbf2_9ce4_8422_2325;
    let mut eat = |byte: u8| state = (state ^ u64::from(byte)).wrapping_mul(PRIME);
    for part in parts {
        part.iter().copied().for_each(&mut eat);
        (part.len() as u64).to_le_bytes().into_iter().for_each(&mut eat);
    }
    i64::from_le_bytes(state.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn every_flipped_bit_and_every_moved_border_is_seen() {
        let text = b"{\"kind\":\"began\"}".to_vec();
        let right = sum(&[b"cp", &text]);
        for bit in 0..text.len() * 8 {
            let mut flipped = text.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(sum(&[b"cp", &flipped]), right, "bit {bit}");
        }
        assert_ne!(sum(&[b"ab", b"c"]), sum(&[b"a", b"bc"]));
    }
}
