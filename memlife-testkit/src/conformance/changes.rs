//! The latest change of each key and every removal, after a cursor.

use crate::draft::{delete, erase, put, touch, ttl};
use crate::{Session, Subject};
use memlife_core::store::{Cause, Changes, Cursor, Expiry, Feed, FeedItem, Retouch, Want};
use std::sync::Arc;
use std::time::Duration;

fn seq(item: &FeedItem) -> u64 {
    match item {
        FeedItem::Record(record) => record.head.seq,
        FeedItem::Removed(removal) => removal.seq,
    }
}

/// Items come in the order of their `seq`, over pages.
pub async fn items_come_in_the_order_of_seq(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for i in 0..30 {
        s.apply(put(&format!("k/{}", (i * 7) % 30), "1")).await;
        if i % 4 == 0 {
            s.apply(erase(&format!("k/{}", (i * 7) % 30), Cause::Evicted)).await;
        }
    }
    let items = s.feed(&Cursor::default()).await;
    let seqs: Vec<u64> = items.iter().map(seq).collect();
    assert!(seqs.is_sorted_by(|earlier, later| earlier < later), "{seqs:?}");
    assert_eq!(seqs.len(), 30);
}

/// Of each key only the latest state is told.
pub async fn only_the_latest_state_is_told(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let cursor = s.head_cursor().await;
    for json in ["1", "2", "3"] {
        s.apply(put("a", json)).await;
        s.apply(put("b", json)).await;
    }
    s.apply(put("a", "4")).await;
    assert_eq!(s.news(&cursor).await, ["b=3", "a=4"]);
}

/// The empty cursor is the beginning.
pub async fn the_empty_cursor_is_the_beginning(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    s.apply(put("b", "2")).await;
    assert_eq!(s.news(&Cursor::default()).await, ["a=1", "b=2"]);
}

/// No cursor is from now on.
pub async fn no_cursor_is_from_now_on(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    let page = s.feed_page(None, 10).await;
    assert!(page.items.is_empty());
    s.apply(put("b", "2")).await;
    assert_eq!(s.news(&page.next).await, ["b=2"]);
}

/// Deletions, expiries unseen, removals and re-creations are told.
pub async fn every_end_is_told(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for key in ["deleted", "evicted", "purged", "recreated"] {
        s.apply(put(key, "1")).await;
    }
    s.apply(put("expired", "1").ttl_ms(10)).await;
    let cursor = s.head_cursor().await;
    s.pass(10);
    s.apply(delete("deleted")).await;
    s.apply(erase("expired", Cause::Expired).if_due()).await;
    s.apply(erase("evicted", Cause::Evicted)).await;
    s.apply(erase("purged", Cause::Purged)).await;
    s.apply(erase("recreated", Cause::Purged)).await;
    s.apply(put("recreated", "2")).await;
    let expected = [
        "deleted deleted",
        "expired removed: expired",
        "evicted removed: evicted",
        "purged removed: purged",
        "recreated removed: purged",
        "recreated=2",
    ];
    assert_eq!(s.news(&cursor).await, expected);
}

/// A touch is told; what changed nothing is not.
pub async fn touches_are_told(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    let cursor = s.head_cursor().await;
    s.apply(touch("a", Retouch::Set(Expiry::After(ttl(1_000))))).await;
    s.unchanged(touch("a", Retouch::Refresh(ttl(1_000)))).await;
    s.refused(put("a", "2").if_absent()).await;
    assert_eq!(s.news(&cursor).await, ["a=1"]);
}

/// A consumer that stops after any item goes on with the next one.
pub async fn a_consumer_goes_on_where_it_stopped(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for i in 0..10 {
        s.apply(put(&format!("k/{i}"), "1")).await;
    }
    s.apply(erase("k/3", Cause::Purged)).await;
    let all: Vec<u64> = s.feed(&Cursor::default()).await.iter().map(seq).collect();
    let mut one_by_one = Vec::new();
    let mut cursor = Cursor::default();
    for _ in 0..all.len() {
        let page = s.feed_page(Some(cursor), 1).await;
        one_by_one.extend(page.items.iter().map(seq));
        // A cursor is text between two runs of a program.
        cursor = page.next.to_string().parse().unwrap();
    }
    assert_eq!(one_by_one, all);
    assert!(s.feed(&cursor).await.is_empty());
}

/// At the head there is nothing, and the cursor stays good.
pub async fn the_head_is_empty_and_stays_good(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    let head = s.head_cursor().await;
    let page = s.feed_page(Some(head), 10).await;
    assert!(page.items.is_empty());
    s.apply(put("b", "1")).await;
    assert_eq!(s.news(&page.next).await, ["b=1"]);
}

/// A cursor from another store is a gap, and the gap's cursor goes on from here.
pub async fn a_foreign_cursor_is_a_gap(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    let mut foreign = s.head_cursor().await;
    for part in &mut foreign.parts {
        part.incarnation ^= 1;
    }
    let feed = Feed { after: Some(foreign), limit: 10, wait: Duration::ZERO, want: Want::Head };
    let Changes::Gap(cursor) = s.store().changes(&feed).await.unwrap() else { panic!("no gap") };
    s.apply(put("b", "1")).await;
    assert_eq!(s.news(&cursor).await, ["b=1"]);
}

/// A cursor carries the store's incarnation.
pub async fn a_cursor_carries_the_incarnation(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let cursor = s.head_cursor().await;
    let incarnation = s.store().info().incarnation;
    assert!(!cursor.parts.is_empty());
    assert!(cursor.parts.iter().all(|part| part.incarnation == incarnation));
}

/// Who waits is woken by a write, long before the wait is over.
pub async fn a_wait_ends_with_the_first_change(subject: &dyn Subject) {
    let session = Arc::new(Session::open(subject).await);
    let feed = Feed {
        after: Some(session.head_cursor().await),
        limit: 10,
        wait: Duration::from_secs(30),
        want: Want::Whole,
    };
    let store = session.store().clone();
    let waiting = tokio::spawn(async move { store.changes(&feed).await.unwrap() });
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(!waiting.is_finished(), "there was nothing to tell yet");
    session.apply(put("a", "1")).await;
    let woken = tokio::time::timeout(Duration::from_secs(10), waiting).await;
    let Changes::Page(page) = woken.expect("woken within 10 s").unwrap() else { panic!("a gap") };
    assert_eq!(page.items.len(), 1);
}

/// A wait that nothing ends comes back empty, about when it should.
pub async fn a_wait_without_changes_ends_empty(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let after = Some(s.head_cursor().await);
    let feed = Feed { after, limit: 10, wait: Duration::from_millis(60), want: Want::Head };
    let begun = tokio::time::Instant::now();
    let Changes::Page(page) = s.store().changes(&feed).await.unwrap() else { panic!("a gap") };
    assert!(page.items.is_empty());
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(50), "came back after {waited:?}");
    assert!(waited < Duration::from_secs(10), "came back after {waited:?}");
}

/// Who asks with news at hand does not wait.
pub async fn news_at_hand_are_not_waited_for(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let after = Some(s.head_cursor().await);
    s.apply(put("a", "1")).await;
    let feed = Feed { after, limit: 10, wait: Duration::from_secs(30), want: Want::Head };
    let answer = tokio::time::timeout(Duration::from_secs(10), s.store().changes(&feed)).await;
    let Changes::Page(page) = answer.expect("at once").unwrap() else { panic!("a gap") };
    assert_eq!(page.items.len(), 1);
}

/// memlife's own keys are not told, neither their changes nor their removals.
pub async fn system_keys_are_not_told(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    let cursor = s.head_cursor().await;
    s.apply(put("x", "1").to_system_key("peers")).await;
    s.apply(erase("x", Cause::Purged).to_system_key("peers")).await;
    s.apply(put("a", "1")).await;
    assert_eq!(s.news(&cursor).await, ["a=1"]);
}

/// Heads come without bodies where heads are wanted.
pub async fn a_feed_gives_what_is_wanted(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    s.apply(put("a", "1")).await;
    for (want, has_body) in [(Want::Head, false), (Want::Whole, true)] {
        let feed = Feed { after: Some(Cursor::default()), limit: 10, wait: Duration::ZERO, want };
        let Changes::Page(page) = s.store().changes(&feed).await.unwrap() else { panic!("a gap") };
        let [FeedItem::Record(record)] = &page.items[..] else { panic!("{:?}", page.items) };
        assert_eq!(record.body.is_some(), has_body);
    }
}

/// A cursor, a scan, then the feed: together they tell every key, though it is written meanwhile.
pub async fn a_scan_and_the_feed_tell_everything(subject: &dyn Subject) {
    let s = Session::open(subject).await;
    for i in 0..20 {
        s.apply(put(&format!("k/{i:02}"), "1")).await;
    }
    let cursor = s.head_cursor().await;
    let first = s.store().scan(&memlife_core::store::Scan { limit: 10, ..Default::default() }).await.unwrap();
    s.apply(put("k/00", "2")).await;
    s.apply(put("k/99", "2")).await;
    s.apply(erase("k/01", Cause::Purged)).await;
    s.scan(memlife_core::store::Scan { after: first.next, ..Default::default() }).await;
    assert_eq!(s.news(&cursor).await, ["k/00=2", "k/99=2", "k/01 removed: purged"]);
}
