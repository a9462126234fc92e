use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use memlife_core::record::{Body, Codec, Compression, Content, Record};
use memlife_core::resolver;
use memlife_core::{Encoding, Error, ErrorKind, Result, Timestamp, Value};

/// How values that are only shown are compressed beside a compressed state: as the original did.
const SHOWN: Compression = Compression { codec: Codec::Gzip, level: 6, threshold_bytes: 1, dictionary: 0 };

/// Values beside the newest are shown while they fit in this; their state holds them all.
pub(super) const MAX_SHOWN_BYTES: usize = 1 << 20;

/// A record's values as text.
pub(super) struct Shown {
    pub(super) value: String,
    pub(super) compressed: bool,
    pub(super) encoding: &'static str,
    /// The values beside the newest, newest first.
    pub(super) others: Vec<(String, Timestamp)>,
    pub(super) state: Option<String>,
}

impl Shown {
    pub(super) fn of(record: &Record, body: &Body) -> Result<Self> {
        let Content::Value(encoding) = body.content() else { return Shown::of_state(record, body) };
        let compressed = body.codec() != Codec::None;
        let value = match encoding {
            Encoding::Json if !compressed => json(&body.payload())?.to_owned(),
            _ => base64_text(&body.payload()),
        };
        let encoding = match encoding {
            Encoding::Json => "json",
            Encoding::Bytes => "base64",
        };
        Ok(Shown { value, compressed, encoding, others: Vec::new(), state: None })
    }

    fn of_state(record: &Record, body: &Body) -> Result<Self> {
        let limit = body.raw_len();
        let held = resolver::native(&record.head.kind).map(|kind| kind.read(&record.head, body, limit));
        // What a program's own strategy keeps is shown by nobody but that program.
        let held = held.transpose()?.unwrap_or_default();
        let small = body.codec() != Codec::None;
        let mut values = Vec::with_capacity(held.len());
        let mut bytes = 0;
        for held in &held {
            let (text, compressed) = shown(&held.value, small)?;
            bytes += text.len();
            if bytes > MAX_SHOWN_BYTES && !values.is_empty() {
                break;
            }
            values.push(((text, compressed), held.stamp.at()));
        }
        let mut values = values.into_iter();
        let ((value, compressed), _) =
            values.next().unwrap_or_else(|| (("null".to_owned(), false), Timestamp::EPOCH));
        let others = values.map(|((value, _), at)| (value, at)).collect();
        let state = Some(BASE64_STANDARD.encode(body.payload()));
        Ok(Shown { value, compressed, encoding: "", others, state })
    }
}

/// A value to be looked at, and whether it is compressed.
fn shown(value: &Value, small: bool) -> Result<(String, bool)> {
    if value.encoding == Encoding::Bytes {
        return Ok((base64_text(&value.bytes), false));
    }
    let text = json(&value.bytes)?;
    if small {
        let packed = Body::of_value(value, SHOWN)?;
        if packed.codec() == Codec::Gzip {
            return Ok((base64_text(&packed.payload()), true));
        }
    }
    Ok((text.to_owned(), false))
}

fn json(bytes: &[u8]) -> Result<&str> {
    let invalid = || Error::new(ErrorKind::Invalid, "the value is not JSON: give it as plain bytes");
    let text = std::str::from_utf8(bytes).map_err(|error| invalid().because(error))?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| invalid().because(error))?;
    Ok(text)
}

fn base64_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4 + 2);
    text.push('"');
    BASE64_STANDARD.encode_string(bytes, &mut text);
    text.push('"');
    text
}
