use crate::{Meter, Result};
use memlife_core::Key;

const PLAIN: &str = "swarm/agent/state/agent17/k1234";
const BEYOND_ASCII: &str = "wissen/übergabe/größe/agent17/k1234";

pub(crate) fn parse(meter: &mut impl Meter) -> Result {
    meter.measure(|| PLAIN, |text| Ok(Key::new(text)?))
}

pub(crate) fn parse_beyond_ascii(meter: &mut impl Meter) -> Result {
    meter.measure(|| BEYOND_ASCII, |text| Ok(Key::new(text)?))
}
