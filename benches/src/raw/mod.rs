//! The same work in plain calls of a store's library: what is left is what that library itself costs.

pub mod redb;
pub mod sqlite;
