use super::END;
use crate::Session;
use memlife_core::record::ReclaimClass;
use memlife_core::store::{Changes, Cursor, Feed, FeedItem, Scan, Want};
use memlife_core::{Key, Timestamp};
use std::fmt::Debug;
use std::time::Duration;

/// Compares everything that can be read of two stores; `after` are the cursors of a consumer of each.
pub(super) async fn differences(
    tested: &Session,
    reference: &Session,
    after: &mut [Cursor; 2],
) -> Result<(), String> {
    same("the clock", tested.clock().await, reference.clock().await)?;
    for system in [false, true] {
        let everything = Scan { system, ..Scan::default() };
        let expected = reference.scan(everything.clone()).await;
        same("the scan", tested.scan(everything).await, expected.clone())?;
        for record in expected {
            let got = tested.fetch(&record.key, Want::Whole).await;
            same("the record", got, Some(record))?;
        }
    }
    for within in ["a", "a/b", "b/x"] {
        same("the keys below a prefix", tested.keys(within).await, reference.keys(within).await)?;
    }
    for class in ReclaimClass::ALL {
        same("the due list", due(tested, class).await, due(reference, class).await)?;
    }
    same("the usage", tested.usage().await, reference.usage().await)?;
    let [tested_cursor, reference_cursor] = after;
    let news = (news(tested, tested_cursor).await?, news(reference, reference_cursor).await?);
    same("the news", news.0, news.1)?;
    let feeds = (feed(tested).await, feed(reference).await);
    same("the feed", feeds.0, feeds.1)
}

fn same<T: PartialEq + Debug>(what: &str, got: T, expected: T) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("{what} is {got:?} and not {expected:?}")) }
}

/// The due list without locators, which are each store's own.
async fn due(session: &Session, class: ReclaimClass) -> Vec<(Timestamp, Key, u32)> {
    let entries = session.due(class, END).await;
    let mut due: Vec<_> =
        entries.into_iter().map(|entry| (entry.reclaim_at, entry.key, entry.stored_len)).collect();
    due.sort();
    due
}

/// The whole feed in words, with the numbers.
async fn feed(session: &Session) -> Vec<String> {
    session.feed(&Cursor::default()).await.iter().map(told).collect()
}

/// What a consumer that reads after every step is told.
async fn news(session: &Session, after: &mut Cursor) -> Result<Vec<String>, String> {
    let query = Feed { after: Some(after.clone()), limit: 1_000, wait: Duration::ZERO, want: Want::Whole };
    match session.store().changes(&query).await {
        Ok(Changes::Page(page)) => {
            *after = page.next;
            Ok(page.items.iter().map(told).collect())
        }
        other => Err(format!("the feed answers {other:?}")),
    }
}

fn told(item: &FeedItem) -> String {
    match item {
        FeedItem::Record(record) => format!("{record:?}"),
        FeedItem::Removed(removal) => format!("{removal:?}"),
    }
}
