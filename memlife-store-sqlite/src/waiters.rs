use crate::config::SqliteConfig;
use crate::connection::{self, Role};
use memlife_store_local::{Poll, Waiters};
use rusqlite::Connection;
use std::time::Duration;

/// How often other processes' commits are looked for while somebody waits.
const POLL: Duration = Duration::from_millis(10);

/// Those who wait for a change of this process or another: SQLite tells nobody of a commit, so it is asked.
pub(crate) fn waiters(config: &SqliteConfig) -> Waiters {
    let config = config.clone();
    let begin = move || -> Box<dyn FnMut() -> bool> {
        let connection = connection::open_configured(&config, Role::Read);
        let mut seen = None;
        Box::new(move || {
            let version = connection.as_ref().ok().and_then(|connection| data_version(connection).ok());
            // The first look counts as a change: one may have come before it and after the waiter looked. So
            // does a failed one: the waiter then meets the failure itself.
            let is_changed = version.is_none() || version != seen;
            seen = version;
            is_changed
        })
    };
    Waiters::polling(Poll { every: POLL, begin: Box::new(begin) })
}

/// Changes whenever another connection committed.
fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}
