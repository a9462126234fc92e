use crate::text::notes;
use crate::{Meter, Result};
use memlife_core::record::{
    Body, Codec, Compression, Content, ExpiryOrigin, Head, Kind, ReclaimClass, gunzip,
};
use memlife_core::{Encoding, Hlc, Key, ReplicaId, Stamp, Timestamp, Ttl};
use memlife_crdt::Life;

const SMALL: usize = 250;
/// Above every threshold of compression.
const LARGE: usize = 4 << 10;
/// Too large to be kept once it was decompressed, so that every opening decompresses.
const HUGE: usize = 512 << 10;
const LIMIT: usize = 1 << 20;

const GZIP: Compression = Compression { codec: Codec::Gzip, level: 6, threshold_bytes: 1024, dictionary: 0 };

/// The head of a plain entry that lives for an hour.
pub(crate) fn head() -> Result<Head> {
    let stamp = Stamp::new(Hlc::new(Timestamp::from_ms(1_790_000_000_000)), ReplicaId(0x9e37_79b9_7f4a_7c15));
    let ttl = Ttl::from_ms(3_600_000)?;
    Ok(Head {
        kind: Kind::Lww,
        kind_epoch: Hlc::default(),
        alive: true,
        seq: 123_456,
        version: 123_456,
        stamp,
        created_at: stamp.at(),
        life: Life::new(stamp, Some(stamp.at().plus_ms(ttl.ms()))),
        origin: ExpiryOrigin::Rule,
        rule_ttl: Some(ttl),
        keep_until: stamp.at(),
        class: ReclaimClass::Lazy,
        rule: "session/*".into(),
        writer: Some("agent17".into()),
        siblings: 1,
        raw_len: SMALL as u32,
        stored_len: SMALL as u32 + 16,
        codec: Codec::None,
    })
}

pub(crate) fn body(len: usize, how: Compression) -> Result<Body> {
    Ok(Body::pack(Content::Value(Encoding::Json), notes(len).as_bytes(), how)?)
}

pub(crate) fn head_encode(meter: &mut impl Meter) -> Result {
    let (key, head) = (Key::new("session/agent17/k1234")?, head()?);
    meter.measure(|| &head, |head| Ok(head.encode(&key)?))
}

pub(crate) fn head_decode(meter: &mut impl Meter) -> Result {
    let key = Key::new("session/agent17/k1234")?;
    let bytes = head()?.encode(&key)?;
    meter.measure(|| &bytes, |bytes| Ok(Head::decode(&key, bytes)?))
}

pub(crate) fn body_pack(meter: &mut impl Meter) -> Result {
    pack(meter, SMALL, Compression::DEFAULT)
}

pub(crate) fn body_check(meter: &mut impl Meter) -> Result {
    let bytes = body(SMALL, Compression::DEFAULT)?.as_bytes().clone();
    meter.measure(|| bytes.clone(), |bytes| Ok(Body::from_stored(bytes)?))
}

pub(crate) fn zstd_pack(meter: &mut impl Meter) -> Result {
    pack(meter, LARGE, Compression::DEFAULT)
}

pub(crate) fn zstd_open(meter: &mut impl Meter) -> Result {
    open(meter, HUGE, Compression::DEFAULT)
}

/// What was decompressed lately.
pub(crate) fn zstd_open_again(meter: &mut impl Meter) -> Result {
    open(meter, LARGE, Compression::DEFAULT)
}

pub(crate) fn gzip_pack(meter: &mut impl Meter) -> Result {
    pack(meter, LARGE, GZIP)
}

/// What nothing keeps: as it comes from the Python original.
pub(crate) fn gzip_open(meter: &mut impl Meter) -> Result {
    let packed = body(LARGE, GZIP)?.payload();
    meter.measure(|| &packed, |packed| Ok(gunzip(packed, LIMIT)?))
}

fn pack(meter: &mut impl Meter, len: usize, how: Compression) -> Result {
    let raw = notes(len);
    let content = Content::Value(Encoding::Json);
    meter.measure(|| raw.as_bytes(), |raw| Ok(Body::pack(content, raw, how)?))
}

fn open(meter: &mut impl Meter, len: usize, how: Compression) -> Result {
    let body = body(len, how)?;
    meter.measure(|| &body, |body| Ok(body.open(LIMIT)?))
}
