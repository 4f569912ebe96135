//! The payload of Sparkplug B 3.0.0 (6.4) on the wire: proto2, by its field numbers.
//!
//! * proto2 has presence: 0 and `false` are written, so every field is an `Option`;
//! * fields are written in the order of their numbers, as every encoder of the field does;
//! * what is not named here (metadata, data sets, templates, extensions) is skipped when read. Nothing nests deeper than
//!   a property of a metric, so foreign bytes cannot make a reader recurse.

use prost::{DecodeError, Message};

/// Longest payload that is read, bytes: commands are short, and what is read is many times as large in memory.
pub const LONGEST: usize = 64 * 1024;

/// Most metrics in a payload that is read.
pub const MOST_METRICS: usize = 1024;

/// Why bytes are no payload.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Longer than [`LONGEST`].
    #[error("{0} bytes are more than a payload may have here ({LONGEST})")]
    Long(usize),
    /// More than [`MOST_METRICS`].
    #[error("more metrics than a payload may have here ({MOST_METRICS})")]
    Many,
    /// Not protobuf, or not of this shape.
    #[error("no Sparkplug B payload: {0}")]
    Damaged(#[from] DecodeError),
}

/// A payload.
#[derive(Clone, PartialEq, Message)]
pub struct Payload {
    /// When it was sent, Unix milliseconds.
    #[prost(uint64, optional, tag = "1")]
    pub timestamp: Option<u64>,
    /// What it says.
    #[prost(message, repeated, tag = "2")]
    pub metrics: Vec<Metric>,
    /// Its place among the messages of the node, 0 to 255.
    #[prost(uint64, optional, tag = "3")]
    pub seq: Option<u64>,
    /// Names a schema; not used here.
    #[prost(string, optional, tag = "4")]
    pub uuid: Option<String>,
    /// Anything else; not used here.
    #[prost(bytes = "vec", optional, tag = "5")]
    pub body: Option<Vec<u8>>,
}

/// One metric.
#[derive(Clone, PartialEq, Message)]
pub struct Metric {
    /// Its name; absent where the alias stands for it.
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// A number for its name.
    #[prost(uint64, optional, tag = "2")]
    pub alias: Option<u64>,
    /// When it was sampled, Unix milliseconds.
    #[prost(uint64, optional, tag = "3")]
    pub timestamp: Option<u64>,
    /// Number of its type.
    #[prost(uint32, optional, tag = "4")]
    pub datatype: Option<u32>,
    /// Of the past: it is no news of the present.
    #[prost(bool, optional, tag = "5")]
    pub is_historical: Option<bool>,
    /// Not to be stored.
    #[prost(bool, optional, tag = "6")]
    pub is_transient: Option<bool>,
    /// It has no value.
    #[prost(bool, optional, tag = "7")]
    pub is_null: Option<bool>,
    /// Unit, range, quality.
    #[prost(message, optional, tag = "9")]
    pub properties: Option<PropertySet>,
    /// Its value.
    #[prost(oneof = "Value", tags = "10, 11, 12, 13, 14, 15, 16")]
    pub value: Option<Value>,
}

/// The value of a metric.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Value {
    /// Int8 to Int32 (two's complement), `UInt8` to `UInt32`.
    #[prost(uint32, tag = "10")]
    Int(u32),
    /// Int64 (two's complement), `UInt64`, `DateTime`; of some writers also `UInt32`.
    #[prost(uint64, tag = "11")]
    Long(u64),
    /// Float.
    #[prost(float, tag = "12")]
    Float(f32),
    /// Double.
    #[prost(double, tag = "13")]
    Double(f64),
    /// Boolean.
    #[prost(bool, tag = "14")]
    Boolean(bool),
    /// String, Text, UUID.
    #[prost(string, tag = "15")]
    String(String),
    /// Bytes, arrays, File.
    #[prost(bytes = "vec", tag = "16")]
    Bytes(Vec<u8>),
}

/// Properties of a metric: keys and values by place.
#[derive(Clone, PartialEq, Message)]
pub struct PropertySet {
    /// What they are called.
    #[prost(string, repeated, tag = "1")]
    pub keys: Vec<String>,
    /// What they are.
    #[prost(message, repeated, tag = "2")]
    pub values: Vec<PropertyValue>,
}

/// Value of a property.
#[derive(Clone, PartialEq, Message)]
pub struct PropertyValue {
    /// Number of its type.
    #[prost(uint32, optional, tag = "1")]
    pub datatype: Option<u32>,
    /// It has no value.
    #[prost(bool, optional, tag = "2")]
    pub is_null: Option<bool>,
    /// Its value.
    #[prost(oneof = "Property", tags = "3, 4, 5, 6, 7, 8")]
    pub value: Option<Property>,
}

/// What a property says.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Property {
    /// Int8 to Int32, `UInt8` to `UInt32`.
    #[prost(uint32, tag = "3")]
    Int(u32),
    /// Int64, `UInt64`, `DateTime`.
    #[prost(uint64, tag = "4")]
    Long(u64),
    /// Float.
    #[prost(float, tag = "5")]
    Float(f32),
    /// Double.
    #[prost(double, tag = "6")]
    Double(f64),
    /// Boolean.
    #[prost(bool, tag = "7")]
    Boolean(bool),
    /// String, Text.
    #[prost(string, tag = "8")]
    String(String),
}

impl Payload {
    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    /// Reads foreign bytes.
    ///
    /// # Errors
    /// If they are too many or no payload.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        if bytes.len() > LONGEST {
            return Err(Unreadable::Long(bytes.len()));
        }
        let payload = Self::decode(bytes)?;
        if payload.metrics.len() > MOST_METRICS {
            return Err(Unreadable::Many);
        }
        Ok(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Option<u64> = Some(1_700_000_000_000);

    fn hex(text: &str) -> Vec<u8> {
        let pair = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(pair).collect()
    }

    fn metric(name: &str, datatype: u32, value: Option<Value>) -> Metric {
        Metric {
            name: Some(name.to_owned()),
            timestamp: T,
            datatype: Some(datatype),
            is_null: value.is_none().then_some(true),
            value,
            ..Metric::default()
        }
    }

    fn aliased(alias: u64, metric: Metric) -> Metric {
        Metric {
            alias: Some(alias),
            ..metric
        }
    }

    fn only_alias(alias: u64, value: Value) -> Metric {
        Metric {
            alias: Some(alias),
            timestamp: T,
            value: Some(value),
            ..Metric::default()
        }
    }

    fn payload(seq: Option<u64>, metrics: Vec<Metric>) -> Payload {
        Payload {
            timestamp: T,
            metrics,
            seq,
            ..Payload::default()
        }
    }

    /// The vectors of the reference, and what they say.
    fn golden() -> Vec<(&'static str, Payload)> {
        let bd_seq = || metric("bdSeq", 4, Some(Value::Long(3)));
        let rebirth = metric("Node Control/Rebirth", 11, Some(Value::Boolean(false)));
        let device = vec![
            aliased(1, metric("Meter/Power", 9, Some(Value::Float(7200.5)))),
            aliased(2, metric("Meter/Energy Import", 8, Some(Value::Long(1_234_567)))),
            aliased(3, metric("Temperature", 3, Some(Value::Int(4_294_967_291)))),
            aliased(4, metric("Vehicle/SoC", 9, None)),
        ];
        vec![
            (
                "0880d095ffbc3112120a0562645365711880d095ffbc3120045803",
                payload(None, vec![bd_seq()]),
            ),
            (
                "0880d095ffbc3112120a0562645365711880d095ffbc312004580312210a144e6f646520436f6e74726f6c2f526562697274681880d095ffbc31200b70001800",
                payload(Some(0), vec![bd_seq(), rebirth]),
            ),
            (
                "0880d095ffbc31121d0a0b4d657465722f506f77657210011880d095ffbc312009650004e14512240a134d657465722f456e6572677920496d706f727410021880d095ffbc3120085887ad4b121e0a0b54656d706572617475726510031880d095ffbc31200350fbffffff0f121a0a0b56656869636c652f536f4310041880d095ffbc31200938011801",
                payload(Some(1), device),
            ),
            (
                "0880d095ffbc31120e10011880d095ffbc3165000000001802",
                payload(Some(2), vec![only_alias(1, Value::Float(0.0))]),
            ),
            (
                "0880d095ffbc31120b10071880d095ffbc315810",
                payload(None, vec![only_alias(7, Value::Long(16))]),
            ),
        ]
    }

    #[test]
    fn the_golden_vectors_are_written_and_read_byte_by_byte() {
        for (bytes, payload) in golden() {
            assert_eq!(payload.to_bytes(), hex(bytes), "{payload:?}");
            assert_eq!(Payload::from_bytes(&hex(bytes)).unwrap(), payload);
        }
    }

    /// Every proper beginning of a payload is either another payload or none; no bytes are read twice.
    #[test]
    fn what_is_cut_off_or_too_much_is_refused() {
        let bytes = hex(golden()[2].0);
        for cut in 0..bytes.len() {
            if let Ok(part) = Payload::from_bytes(&bytes[..cut]) {
                assert_eq!(part.to_bytes(), bytes[..cut]);
            }
        }
        assert!(matches!(
            Payload::from_bytes(&vec![0; LONGEST + 1]),
            Err(Unreadable::Long(_))
        ));
        // Metrics of no bytes.
        let many = [0x12, 0x00].repeat(MOST_METRICS + 1);
        assert!(matches!(Payload::from_bytes(&many), Err(Unreadable::Many)));
    }

    /// Metadata (8), a data set (17), a template (18), an extension (19) and what no version knows yet.
    #[test]
    fn what_is_not_named_here_is_skipped() {
        let metric = [
            0x42, 0x02, 0x10, 0x05, 0x8a, 0x01, 0x00, 0x92, 0x01, 0x00, 0x9a, 0x01, 0x00, 0x0a, 0x01, 0x41,
        ];
        let length = u8::try_from(metric.len()).unwrap();
        let bytes = [&[0x12, length], metric.as_slice(), &[0xfa, 0x01, 0x00]].concat();
        let read = Payload::from_bytes(&bytes).unwrap();
        assert_eq!(read.metrics[0].name.as_deref(), Some("A"));
        assert_eq!(read.metrics[0].value, None);
    }
}
