//! Data lines of IEC 62056-21 and P1 telegrams: `code(value)(value)...`, several in a line, a value on the next line.

use super::code::ObisCode;
use super::item::{Content, Item};

/// Most values of one telegram.
const MOST_ITEMS: usize = 512;
/// Most brackets behind one code.
const MOST_TEXTS: usize = 32;

/// Forgets bytes in which no readout begins, but for the last one: a `/` may be next, and whether it starts a line
/// depends on what is before it. A `/` that is the last one starts none, and must not seem to.
pub(in crate::device) fn keep_last(raw: &mut Vec<u8>) {
    raw.drain(..raw.len().saturating_sub(1));
    if raw.first() == Some(&b'/') {
        raw[0] = 0;
    }
}

/// The first such byte, from `from` on, at the start of a line.
pub(in crate::device) fn line_start(raw: &[u8], wanted: u8, from: usize) -> Option<usize> {
    let starts = |at: usize| at == 0 || matches!(raw[at - 1], b'\n' | b'\r');
    (from..raw.len()).find(|at| raw[*at] == wanted && starts(*at))
}

/// Takes the data sets of one line. A line that begins with a bracket continues the code before it.
/// `false`: it is no data line.
pub(in crate::device) fn line(line: &str, items: &mut Vec<Item>) -> bool {
    let mut rest = line.trim();
    while !rest.is_empty() {
        let Some(open) = rest.find('(') else { return false };
        let Some(length) = rest[open..].find(')') else {
            return false;
        };
        let text = &rest[open + 1..open + length];
        if text.contains('(') {
            return false;
        }
        let code = rest[..open].trim();
        rest = rest[open + length + 1..].trim_start();
        if code.is_empty() {
            match items.last_mut() {
                Some(Item {
                    content: Content::Texts(texts),
                    ..
                }) if texts.len() < MOST_TEXTS => texts.push(text.to_owned()),
                _ => return false,
            }
            continue;
        }
        let Some(code) = ObisCode::parse(code).filter(|_| items.len() < MOST_ITEMS) else {
            return false;
        };
        items.push(Item {
            code,
            content: Content::Texts(vec![text.to_owned()]),
        });
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Decimal;
    use crate::device::obis::Unit;

    #[test]
    fn several_values_sets_and_lines_belong_together() {
        let mut items = Vec::new();
        assert!(line("1.8.1(000001.5*kWh)(0101)2.8.0(7*Wh)", &mut items));
        assert!(line("0-1:24.3.0(090212160000)(00)(m3)", &mut items));
        assert!(line("(00001.001)", &mut items));
        assert!(line("", &mut items));
        assert_eq!(items.len(), 3);
        assert_eq!(
            items[0].number(),
            Some((Decimal::new(15, -1), Some(Unit::KiloWattHour)))
        );
        assert_eq!(items[1].number(), Some((Decimal::new(7, 0), Some(Unit::Wh))));
        let Content::Texts(texts) = &items[2].content else {
            panic!()
        };
        assert_eq!(texts, &["090212160000", "00", "m3", "00001.001"]);
    }

    #[test]
    fn what_is_no_data_line_is_told() {
        for text in [
            "(5)",
            "1.8.0",
            "1.8.0(5",
            "1.8.0 5)",
            "x(5)",
            "1.8.0((5))",
            "1.8.0(5)x",
        ] {
            assert!(!line(text, &mut Vec::new()), "{text:?}");
        }
    }
}
