use crate::text::notes;
use crate::{Meter, Result};
use memlife_core::Value;
use serde::{Deserialize, Serialize};

/// What an agent says of its work: some 250 bytes of JSON.
#[derive(Serialize, Deserialize)]
struct Fact {
    task: u32,
    status: String,
    tags: Vec<String>,
    notes: String,
}

fn fact() -> Fact {
    let tags = ["build", "review"].map(String::from).into();
    Fact { task: 4_711, status: "running".into(), tags, notes: notes(180) }
}

pub(crate) fn write(meter: &mut impl Meter) -> Result {
    let fact = fact();
    meter.measure(|| &fact, |fact| Ok(Value::json(fact)?))
}

pub(crate) fn check(meter: &mut impl Meter) -> Result {
    let text = Value::json(&fact())?.bytes;
    meter.measure(|| text.clone(), |text| Ok(Value::json_text(text)?))
}

pub(crate) fn read(meter: &mut impl Meter) -> Result {
    let value = Value::json(&fact())?;
    meter.measure(|| &value, |value| Ok(value.parse::<Fact>()?))
}
