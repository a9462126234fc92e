use crate::Session;
use crate::draft::{Draft, json_body, ttl};
use memlife_core::record::{Compression, Kind, ReclaimClass, Record};
use memlife_core::store::{Cause, Change, Expiry, Guard, Locator, Op, Reply, Retouch, Want, Write};
use memlife_core::{Key, Timestamp};
use proptest::prelude::*;
use proptest::sample::select;

/// Few, so that writes meet; some are prefixes of others as text only.
pub(super) const KEYS: [&str; 7] = ["a", "a/b", "a/bc", "a/b/c", "b/x/1", "b/x/2", "é"];
/// The place of a key of memlife's own among the keys.
const SYSTEM: usize = KEYS.len();

/// One step of a sequence.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Write(Vec<Plan>),
    /// Writes to another replica.
    WriteElsewhere(Plan),
    /// Joins what the other replica holds of this plan's key.
    Join(Plan),
    Sweep(ReclaimClass),
    Pass(u64),
    Back(u64),
    Reopen,
}

/// A write before it is known what it meets.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub key: usize,
    pub change: Planned,
    pub guard: PlannedGuard,
    pub kind: Kind,
    pub expiry: PlannedExpiry,
    pub class: ReclaimClass,
    pub rule: &'static str,
    pub writer: Option<&'static str>,
    pub packed: bool,
    pub reply: Reply,
}

#[derive(Clone, Debug)]
pub(super) enum Planned {
    Put(&'static str),
    /// So many milliseconds from now.
    PutAt(&'static str, i64),
    Assign(&'static str),
    Add(i64),
    Delete,
    SetExpiry(Option<u64>),
    Extend(u64),
    Shorten(u64),
    Refresh(u64),
    Restamp,
    Replace(Option<&'static str>),
    Erase(Cause),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum PlannedGuard {
    Any,
    Absent,
    Visible,
    PresentVersion,
    StaleVersion,
    Due,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum PlannedExpiry {
    Never,
    Caller(u64),
    /// At so many milliseconds from now.
    At(i64),
    Rule(u64),
    KeepOrRule(u64),
}

const VALUES: [&str; 4] = ["1", "-3", "70", "\"text\""];
const LARGEST: &str = "9223372036854775807";
/// Long enough to be compressed.
const LONG: &str =
    "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"";

fn value() -> impl Strategy<Value = &'static str> {
    prop_oneof![9 => select(&VALUES[..]), 1 => Just(LONG)]
}

fn span() -> impl Strategy<Value = u64> {
    select(&[1, 2, 10, 100, 1_000, 5_000][..])
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => Just(Kind::Lww),
        4 => Just(Kind::MultiValue),
        4 => Just(Kind::Counter),
        1 => Just(Kind::Custom("own".into())),
    ]
}

fn plain_change() -> impl Strategy<Value = Planned> {
    prop_oneof![
        6 => value().prop_map(Planned::Put),
        2 => value().prop_map(Planned::Assign),
        3 => (-5..100_i64).prop_map(Planned::Add),
        3 => Just(Planned::Delete),
        2 => proptest::option::of(span()).prop_map(Planned::SetExpiry),
        1 => select(&Cause::ALL[..]).prop_map(Planned::Erase),
    ]
}

fn any_change() -> impl Strategy<Value = Planned> {
    prop_oneof![
        12 => plain_change(),
        2 => (value(), -6_000..70_000_i64).prop_map(|(json, ms)| Planned::PutAt(json, ms)),
        1 => Just(Planned::Add(i64::MAX)),
        1 => Just(Planned::Put(LARGEST)),
        1 => span().prop_map(Planned::Extend),
        1 => span().prop_map(Planned::Shorten),
        2 => span().prop_map(Planned::Refresh),
        2 => Just(Planned::Restamp),
        1 => proptest::option::of(value()).prop_map(Planned::Replace),
    ]
}

fn plain_guard() -> impl Strategy<Value = PlannedGuard> {
    prop_oneof![4 => Just(PlannedGuard::Any), 1 => Just(PlannedGuard::Absent), 1 => Just(PlannedGuard::Visible)]
}

fn any_guard() -> impl Strategy<Value = PlannedGuard> {
    prop_oneof![
        6 => plain_guard(),
        1 => Just(PlannedGuard::PresentVersion),
        1 => Just(PlannedGuard::StaleVersion),
        1 => Just(PlannedGuard::Due),
    ]
}

fn expiry() -> impl Strategy<Value = PlannedExpiry> {
    prop_oneof![
        2 => Just(PlannedExpiry::Never),
        2 => span().prop_map(PlannedExpiry::Caller),
        1 => (-1_000..5_000_i64).prop_map(PlannedExpiry::At),
        2 => span().prop_map(PlannedExpiry::Rule),
        1 => span().prop_map(PlannedExpiry::KeepOrRule),
    ]
}

fn plan(
    change: impl Strategy<Value = Planned>,
    guard: impl Strategy<Value = PlannedGuard>,
    kind: impl Strategy<Value = Kind>,
    keys: usize,
) -> impl Strategy<Value = Plan> {
    let class = select(&[ReclaimClass::Lazy, ReclaimClass::Scheduled, ReclaimClass::Manual][..]);
    let rule = select(&["one/**", "two/**", ""][..]);
    let writer = select(&[None, Some("ann"), Some("bob")][..]);
    let reply = select(&[Reply::Outcome, Reply::Head, Reply::Whole][..]);
    let place = (class, rule, writer, any::<bool>(), reply);
    (0..keys, change, guard, kind, expiry(), place).prop_map(|(key, change, guard, kind, expiry, place)| {
        let (class, rule, writer, packed, reply) = place;
        Plan { key, change, guard, kind, expiry, class, rule, writer, packed, reply }
    })
}

fn time() -> impl Strategy<Value = Step> {
    prop_oneof![3 => span().prop_map(Step::Pass), 1 => select(&[1, 500, 3_600_000][..]).prop_map(Step::Back)]
}

fn sweep() -> impl Strategy<Value = Step> {
    select(&ReclaimClass::ALL[..4]).prop_map(Step::Sweep)
}

/// Every sort of step.
pub(super) fn any_step() -> impl Strategy<Value = Step> {
    let plan = || plan(any_change(), any_guard(), kind(), SYSTEM + 1);
    prop_oneof![
        10 => proptest::collection::vec(plan(), 1..4).prop_map(Step::Write),
        3 => plan().prop_map(Step::WriteElsewhere),
        3 => plan().prop_map(Step::Join),
        3 => time(),
        // A day, so that tombstones fall due.
        1 => Just(Step::Pass(memlife_core::KEEP_MS)),
        2 => sweep(),
        1 => Just(Step::Reopen),
    ]
}

/// The steps whose effect on what users see can be told from a map of values.
pub(super) fn plain_step() -> impl Strategy<Value = Step> {
    let kind = select(&[Kind::Lww, Kind::MultiValue, Kind::Counter][..]);
    let plan = plan(plain_change(), plain_guard(), kind, KEYS.len());
    prop_oneof![
        10 => plan.prop_map(|plan| Step::Write(vec![plan])),
        3 => time(),
        2 => sweep(),
    ]
}

pub(super) fn moved(now: Timestamp, ms: i64) -> Timestamp {
    if ms < 0 { now.minus_ms(ms.unsigned_abs()) } else { now.plus_ms(ms.unsigned_abs()) }
}

impl Plan {
    /// The most values a put leaves beside each other in a sequence.
    pub(super) const MAX_SIBLINGS: u32 = 3;

    pub(super) fn key(&self) -> Key {
        match KEYS.get(self.key) {
            Some(key) => Key::new(key).unwrap(),
            None => Key::system("sweeps/1").unwrap(),
        }
    }

    /// The join of a record from elsewhere, under this plan's guard and rule.
    pub(super) async fn join(&self, theirs: &Record, reference: &Session) -> Write {
        Write { change: Change::Join(Box::new(theirs.clone())), ..self.write(reference).await }
    }

    /// The write, with versions as the reference has them now.
    pub(super) async fn write(&self, reference: &Session) -> Write {
        let current = reference.fetch(&self.key(), Want::Head).await;
        let version = current.map_or(1, |record| record.head.version);
        let guard = match self.guard {
            PlannedGuard::Any => Guard::Any,
            PlannedGuard::Absent => Guard::Absent,
            PlannedGuard::Visible => Guard::Visible,
            PlannedGuard::PresentVersion => Guard::Version(version),
            PlannedGuard::StaleVersion => Guard::Version(version.saturating_sub(1)),
            PlannedGuard::Due => Guard::Due(Locator(0)),
        };
        let draft = Draft::on(self.key(), self.change(reference.now()))
            .guard(guard)
            .kind(self.kind.clone())
            .class(self.class)
            .rule(self.rule)
            .max_siblings(Plan::MAX_SIBLINGS)
            .reply(self.reply);
        let draft = if self.packed { draft.compression(PACKED) } else { draft };
        let draft = match self.writer {
            Some(writer) => draft.writer(writer),
            None => draft,
        };
        self.expire(draft, reference.now()).build()
    }

    fn expire(&self, draft: Draft, now: Timestamp) -> Draft {
        match self.expiry {
            PlannedExpiry::Never => draft,
            PlannedExpiry::Caller(ms) => draft.ttl_ms(ms),
            PlannedExpiry::At(ms) => draft.until(moved(now, ms)),
            PlannedExpiry::Rule(ms) => draft.rule_ttl_ms(ms),
            PlannedExpiry::KeepOrRule(ms) => draft.rule_ttl_ms(ms).keep_ttl(),
        }
    }

    fn change(&self, now: Timestamp) -> Change {
        let after = |ms| Expiry::After(ttl(ms));
        match self.change {
            Planned::Put(json) => Change::Op(Op::Put(self.body(json))),
            Planned::PutAt(json, ms) => Change::Op(Op::PutAt(self.body(json), moved(now, ms))),
            Planned::Assign(json) => Change::Op(Op::Assign(self.body(json))),
            Planned::Add(amount) => Change::Op(Op::Add(amount)),
            Planned::Delete => Change::Op(Op::Delete),
            Planned::SetExpiry(ms) => Change::Touch(Retouch::Set(ms.map_or(Expiry::Never, after))),
            Planned::Extend(ms) => Change::Touch(Retouch::Extend(after(ms))),
            Planned::Shorten(ms) => Change::Touch(Retouch::Shorten(after(ms))),
            Planned::Refresh(ms) => Change::Touch(Retouch::Refresh(ttl(ms))),
            Planned::Restamp => Change::Restamp,
            Planned::Replace(json) => {
                let body = json.map(|json| self.body(json));
                let siblings = u32::from(body.is_some());
                Change::Replace { kind: Kind::Lww, body, siblings, stamp: None }
            }
            Planned::Erase(cause) => Change::Erase(cause),
        }
    }

    fn body(&self, json: &str) -> memlife_core::record::Body {
        let plain = json_body(json);
        if !self.packed {
            return plain;
        }
        let value = plain.value(1 << 20).unwrap();
        memlife_core::record::Body::of_value(&value, PACKED).unwrap()
    }
}

/// Compresses whatever gets smaller by it.
const PACKED: Compression =
    Compression { codec: memlife_core::record::Codec::Zstd, level: 3, threshold_bytes: 32, dictionary: 0 };
