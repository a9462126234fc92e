//! A Redis store behind `open`.
#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use memlife::store::Durability;
use memlife::{ErrorKind, OpenOptions};
use memlife_testkit::RedisServer;

#[tokio::test]
async fn a_url_opens_a_store_that_others_share() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let url = format!("{}?prefix=team", server.url());
    let (one, two) = (memlife::open(&url).await.unwrap(), memlife::open(&url).await.unwrap());
    one.put("notes/a", "shared").await.unwrap();
    assert_eq!(two.get::<String>("notes/a").await.unwrap().as_deref(), Some("shared"));
    let asked = OpenOptions::new().durability(Durability::Disk);
    assert_eq!(memlife::open_with(&url, asked).await.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn a_plain_program_opens_one_too() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let memory = memlife::blocking::open(&server.url()).unwrap();
    memory.put("notes/a", &1).unwrap();
    assert_eq!(memory.get::<u32>("notes/a").unwrap(), Some(1));
}
