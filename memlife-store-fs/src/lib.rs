//! memlife's store in a folder of readable JSON files.
#![allow(dead_code)]

mod directory;
mod document;
mod error;
mod files;
mod name;
mod original;
mod staging;
