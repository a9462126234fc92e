//! The functions that every call of memlife goes through, one by one and with fixed inputs.
//!
//! `cargo bench -p memlife-hot` tells their times; `scripts/instructions` holds them to the instructions that they
//! took before.

mod key;
mod lattice;
mod policy;
mod record;
mod text;
mod value;
mod write;

use std::error::Error;

/// Why a function could not be measured.
pub type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// What one measures with.
pub trait Meter {
    /// Measures `call`, without `prepare`, which makes what it takes, and without dropping what it answers.
    ///
    /// # Errors
    /// The first error of `call`: an error is not what is to be measured.
    fn measure<I, O>(&mut self, prepare: impl FnMut() -> I, call: impl FnMut(I) -> Result<O>) -> Result;
}

/// Has one function measured.
pub type Hot<M> = fn(&mut M) -> Result;

/// All of them, by their names.
pub fn functions<M: Meter>() -> Vec<(&'static str, Hot<M>)> {
    vec![
        ("key_parse", key::parse),
        ("key_parse_beyond_ascii", key::parse_beyond_ascii),
        ("policy_of_5_rules", policy::of_5_rules),
        ("policy_of_200_rules", policy::of_200_rules),
        ("value_write", value::write),
        ("value_check", value::check),
        ("value_read", value::read),
        ("head_encode", record::head_encode),
        ("head_decode", record::head_decode),
        ("body_pack", record::body_pack),
        ("body_check", record::body_check),
        ("zstd_pack", record::zstd_pack),
        ("zstd_open", record::zstd_open),
        ("zstd_open_again", record::zstd_open_again),
        ("gzip_pack", record::gzip_pack),
        ("gzip_open", record::gzip_open),
        ("register_join", lattice::register_join),
        ("multi_value_join", lattice::multi_value_join),
        ("counter_join", lattice::counter_join),
        ("or_set_join", lattice::or_set_join),
        ("state_read", write::state_read),
        ("state_change", write::state_change),
        ("decide_put", write::decide_put),
    ]
}
