use crate::record::{body, head};
use crate::{Meter, Result};
use memlife_core::record::{Body, Compression, ExpiryOrigin, Kind, ReclaimClass, Record};
use memlife_core::resolver::{Mint, Resolver, native};
use memlife_core::store::{Anchor, Change, Expiry, Guard, Op, Placement, Write};
use memlife_core::{Context, Hlc, Key, Ledger, ReplicaId, Stamp, Timestamp, Ttl, decide};
use std::sync::Arc;

const NOW: Timestamp = Timestamp::from_ms(1_790_000_001_000);
const REPLICAS: u64 = 64;

/// A stored counter, decoded and shown.
pub(crate) fn state_read(meter: &mut impl Meter) -> Result {
    let (counter, body) = stored_counter()?;
    let head = head()?;
    meter.measure(|| &body, |body| Ok(counter.read(&head, body, usize::MAX)?))
}

/// A stored counter, decoded, added to and encoded.
pub(crate) fn state_change(meter: &mut impl Meter) -> Result {
    let (counter, body) = stored_counter()?;
    let mint = mint(REPLICAS / 2, 9_000);
    meter.measure(|| &body, |body| Ok(counter.change(Some(body), &Op::Add(1), &mint)?))
}

/// A plain put over what is there.
pub(crate) fn decide_put(meter: &mut impl Meter) -> Result {
    let key = Key::new("session/agent17/k1234")?;
    let (head, body) = (head()?, body(250, Compression::DEFAULT)?);
    let write = Write::new(key.clone(), Guard::Any, Change::Op(Op::Put(body.clone())), placement()?);
    let current = Record { key, head, body: Some(body) };
    meter.measure(
        || Ledger { seq: 200_000, clock: current.head.stamp.time, grace_ms: 0 },
        |mut ledger| {
            let replica = current.head.stamp.replica;
            let mut context = Context { wall: NOW, replica, body_limit: 1 << 20, ledger: &mut ledger };
            Ok(decide(Some(&current), &write, &mut context)?)
        },
    )
}

fn stored_counter() -> Result<(&'static dyn Resolver, Body)> {
    let counter = native(&Kind::Counter).ok_or("no counter is built in")?;
    let mut body = None;
    for replica in 1..=REPLICAS {
        let add = Op::Add(300 * replica as i64);
        body = counter.change(body.as_ref(), &add, &mint(replica, 1_000 + replica))?.body;
    }
    Ok((counter, body.ok_or("an addition leaves a state")?))
}

fn mint(replica: u64, seq: u64) -> Mint<'static> {
    let replica = ReplicaId(replica);
    let stamp = Stamp::new(Hlc::new(NOW), replica);
    // The states are to be decoded, whatever was decompressed lately.
    Mint { seq, stamp, replica, writer: None, compression: Compression::NONE, max_siblings: 16 }
}

fn placement() -> Result<Arc<Placement>> {
    let ttl = Ttl::from_ms(3_600_000)?;
    Ok(Arc::new(Placement {
        rule: "session/*".into(),
        kind: Kind::Lww,
        class: ReclaimClass::Lazy,
        expiry: Expiry::After(ttl),
        origin: ExpiryOrigin::Rule,
        rule_ttl: Some(ttl),
        anchor: Anchor::Write,
        compression: Compression::DEFAULT,
        max_siblings: 16,
    }))
}
