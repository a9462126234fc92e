//! Behaviours of stores that are one local file, beyond those of every store.
//!
//! Each is given what opens the store at a path. What takes a process of its own runs an ignored test of the same test
//! program: see [`run_child`].

use crate::draft::{add, delete, erase, put, put_bytes};
use crate::{Session, SmallDisk};
use memlife_core::record::ReclaimClass;
use memlife_core::store::{Cause, Changes, Cursor, DueEntry, Feed, FeedItem, Guard, Repair, Scan, Want};
use memlife_core::{ErrorKind, Key, Result, Store};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

const HOUR_MS: u64 = 3_600_000;
/// Where a child that runs one ignored test works; set only in the child.
const CHILD_FOLDER: &str = "MEMLIFE_TEST_FOLDER";

/// Runs the ignored test `name` of this test program in a child, after `setup` in the shell that becomes it.
///
/// # Panics
/// When the test fails.
pub fn run_child(setup: &str, name: &str, folder: &Path) {
    let output = child(setup, name, folder);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("1 passed"), "{}", text(&output.stdout));
}

/// Runs it and does not ask how it ended.
pub fn child(setup: &str, name: &str, folder: &Path) -> Output {
    let program = std::env::current_exe().unwrap();
    let script = format!("{setup}; exec \"$0\" --exact {name} --ignored --nocapture --test-threads 1");
    Command::new("sh").arg("-c").arg(script).arg(program).env(CHILD_FOLDER, folder).output().unwrap()
}

/// The folder of the child; `None` when somebody runs ignored tests by hand.
#[allow(clippy::disallowed_methods, reason = "how the parent tells its child")]
pub fn child_folder() -> Option<PathBuf> {
    std::env::var(CHILD_FOLDER).ok().map(PathBuf::from)
}

/// Bytes that this thread has read.
#[cfg(target_os = "linux")]
pub fn bytes_read() -> u64 {
    let told = fs::read_to_string("/proc/thread-self/io").unwrap();
    told.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}

/// A full disk takes deletes and sweeps, and is written to again once there is space. The name of the store is
/// `name`, and it keeps a reserve of some MiB.
pub async fn a_full_disk_takes_deletes_and_sweeps_and_recovers(
    name: &str,
    open: impl Fn(&Path) -> Result<Arc<dyn Store>>,
) {
    let Some(disk) = SmallDisk::mount(12 << 20) else { return };
    let session = Session::on(open(&disk.path().join(name)).unwrap());
    let mut ballast = fs::File::create(disk.path().join("ballast")).unwrap();
    ballast.write_all(&vec![7; 6 << 20]).unwrap();
    let count = fill(&session, "a").await;
    assert!(count > 100, "{count} entries fit");
    while ballast.write_all(&[7; 4_096]).is_ok() {}
    let count = count + fill(&session, "b").await;
    assert_eq!(session.keys("").await.len(), count, "reads go on");
    session.apply(delete("a/0")).await;
    // One write that does not fit does not fail the deletion beside it.
    let outcomes =
        session.batch(vec![delete("a/1").build(), put_bytes("a/big", &vec![7; 13 << 20]).build()]).await;
    assert!(outcomes[0].is_ok());
    assert_eq!(outcomes[1].as_ref().unwrap_err().kind(), ErrorKind::Full);
    sweep(&session).await;
    // The file has room inside: no restart, no space from outside.
    session.apply(put("a/other", "1")).await;
    drop(ballast);
    fs::remove_file(disk.path().join("ballast")).unwrap();
    for n in 0..200 {
        session.apply(put(&format!("c/{n}"), "1")).await;
    }
    assert_eq!(session.store().verify(Repair::No).await.unwrap().findings, []);
    let reserve = fs::metadata(disk.path().join(format!("{name}-reserve"))).unwrap().len();
    assert!(reserve >= 64 << 10, "the reserve of {reserve} bytes is there again");
}

/// Puts entries until the store is full; how many there are.
async fn fill(session: &Session, folder: &str) -> usize {
    for n in 0..100_000 {
        let noise: Vec<u8> = (0..4_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        match session.try_write(put_bytes(&format!("{folder}/{n}"), &noise).ttl_ms(1_000)).await {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Full, "{error}");
                return n;
            }
        }
    }
    panic!("the disk does not fill up");
}

/// Lets ten seconds pass, and erases what is due then.
pub async fn sweep(session: &Session) {
    session.pass(10_000);
    loop {
        let due = session.due(ReclaimClass::Scheduled, session.now()).await;
        if due.is_empty() {
            return;
        }
        let erasure = |entry: &DueEntry| {
            erase(entry.key.as_str(), Cause::Expired).guard(Guard::Due(entry.locator)).build()
        };
        for entries in due.chunks(1_000) {
            for outcome in session.batch(entries.iter().map(erasure).collect()).await {
                outcome.unwrap();
            }
        }
    }
}

/// In a child whose files may not grow: writes until a write fails, with `expected`, and finds the handle latched.
pub async fn write_until_it_fails(session: &Session, folder: &Path, bytes: usize, expected: ErrorKind) {
    let mut acknowledged = 0;
    let error = loop {
        match session.try_write(put_bytes(&format!("a/{acknowledged}"), &vec![7; bytes])).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 10_000, "no write fails");
    };
    assert_eq!(error.kind(), expected, "{error:?}");
    let error = session.try_batch(vec![put("a/small", "1").build()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned, "{error:?}");
    assert_eq!(session.value("a/0").await.map(|value| value.len()), Some(bytes), "reads go on");
    fs::write(folder.join("acknowledged"), acknowledged.to_string()).unwrap();
}

/// After that child: what it was told is there, and the store is as good as new.
pub async fn nothing_that_was_acknowledged_is_lost(session: &Session, folder: &Path) {
    let acknowledged: usize = fs::read_to_string(folder.join("acknowledged")).unwrap().parse().unwrap();
    let keys = session.keys("a").await.len();
    assert!((acknowledged..=acknowledged + 1).contains(&keys), "{keys} of {acknowledged}");
    session.apply(put("a/again", "1")).await;
    assert_eq!(session.store().verify(Repair::No).await.unwrap().findings, []);
}

/// A copy is another replica, which gives out no version of the original; a file that moved is what it was.
pub async fn a_copied_store_is_another_replica_and_the_moved_one_is_not(
    open: impl Fn(&Path) -> Result<Arc<dyn Store>>,
) {
    let folder = tempfile::tempdir().unwrap();
    let session_at = |name: &str| Session::on(open(&folder.path().join(name)).unwrap());
    let session = session_at("store");
    let before = session.apply(put("a/b", "1")).await;
    let cursor = session.head_cursor().await;
    let original = session.store().info().clone();
    drop(session);
    fs::copy(folder.path().join("store"), folder.path().join("copy")).unwrap();
    let copy = session_at("copy");
    assert_ne!(copy.store().info().replica, original.replica);
    assert_ne!(copy.store().info().incarnation, original.incarnation);
    assert_eq!(copy.value("a/b").await.as_deref(), Some("1"));
    assert!(is_gap(&copy, &cursor).await);
    let version = copy.apply(put("a/b", "2")).await.version;
    assert!(version > before.version + (1 << 32), "{version} may be one that the original gives out");
    fs::rename(folder.path().join("store"), folder.path().join("moved")).unwrap();
    let moved = session_at("moved");
    assert_eq!(moved.store().info().replica, original.replica);
    assert!(moved.feed(&cursor).await.is_empty());
    let version = moved.apply(put("a/b", "3")).await.version;
    assert_eq!(version, before.version + 1, "the original goes on as it did");
}

async fn is_gap(session: &Session, after: &Cursor) -> bool {
    let feed = Feed { after: Some(after.clone()), limit: 1, wait: Duration::ZERO, want: Want::Head };
    matches!(session.store().changes(&feed).await.unwrap(), Changes::Gap(_))
}

/// A file that was cut is refused, and is whole again when what was cut comes back.
pub async fn a_store_that_was_cut_off_is_refused(open: impl Fn(&Path) -> Result<Arc<dyn Store>>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let session = Session::on(open(&path).unwrap());
    for n in 0..200 {
        session.apply(put(&format!("a/{n}"), "\"some value of some length\"")).await;
    }
    drop(session);
    let whole = fs::read(&path).unwrap();
    for length in [0, 1, 99, 512, 4_095, 4_096, 8_192, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let refusal = open(&path).err().unwrap();
        assert_eq!(refusal.kind(), ErrorKind::Corrupt, "cut to {length} bytes");
        assert_eq!(fs::metadata(&path).unwrap().len() as usize, length, "left as it was");
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(Session::on(open(&path).unwrap()).keys("a").await.len(), 200);
}

/// What is no store is refused and left alone.
pub fn what_is_no_database_stays_as_it_is(
    contents: &[&[u8]],
    open: impl Fn(&Path) -> Result<Arc<dyn Store>>,
) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    for content in contents {
        fs::write(&path, content).unwrap();
        let refusal = open(&path).err().unwrap();
        assert_eq!(refusal.kind(), ErrorKind::Corrupt);
        assert_eq!(fs::read(&path).unwrap(), *content);
    }
    assert_eq!(open(folder.path()).err().unwrap().kind(), ErrorKind::Invalid);
}

/// What may not be written can be read.
pub async fn a_store_on_a_read_only_disk_can_be_read(open: impl Fn(&Path) -> Result<Arc<dyn Store>>) {
    let Some(disk) = SmallDisk::mount(8 << 20) else { return };
    let path = disk.path().join("store");
    Session::on(open(&path).unwrap()).apply(put("a/b", "1")).await;
    disk.make_read_only();
    let session = Session::on(open(&path).unwrap());
    assert!(session.store().info().read_only);
    assert_eq!(session.value("a/b").await.as_deref(), Some("1"));
    assert_eq!(session.keys("").await, ["a/b"]);
    assert_eq!(session.store().verify(Repair::No).await.unwrap().findings, []);
    let error = session.try_batch(vec![put("a/b", "2").build()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

/// Of `a/1` to `a/4` the body of the second and the head of the third are damaged.
pub async fn a_damaged_entry_is_named_and_the_others_are_served(session: &Session) {
    for key in ["a/2", "a/3"] {
        let keys = [Key::new(key).unwrap()];
        let error = session.store().get(&keys, Want::Whole).await.unwrap_err();
        assert_eq!((error.kind(), error.key().map(Key::as_str)), (ErrorKind::Corrupt, Some(key)));
    }
    let page = session.store().scan(&Scan { limit: 10, ..Scan::default() }).await.unwrap();
    let is_ok: Vec<bool> = page.records.iter().map(Result::is_ok).collect();
    assert_eq!(is_ok, [true, false, false, true]);
    assert!(page.next.is_none());
    // A batch beside a damaged key goes on; a plain value that does not need the old one replaces it.
    let outcomes =
        session.batch(vec![put("a/1", "1").build(), put("a/3", "3").build(), put("a/2", "2").build()]).await;
    let is_ok: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(is_ok, [true, false, true]);
}

/// What others can read is told.
pub fn a_folder_open_to_others_is_warned_about(open: impl Fn(&Path) -> Result<Arc<dyn Store>>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let store = open(&path).unwrap();
    assert!(store.info().warnings.iter().any(|warning| warning.0.contains("chmod 700")));
    drop(store);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(open(&path).unwrap().info().warnings, []);
}

/// Tasks of one handle, or of several on one store, lose nothing of what each other wrote.
pub async fn writes_of_many_tasks_are_all_there(handles: &[Arc<Session>]) {
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let session = Arc::clone(&handles[n % handles.len()]);
            tokio::spawn(async move {
                for m in 0..50 {
                    session.apply(add("all/count", 1)).await;
                    session.apply(put(&format!("own/{n}/{m}"), "1")).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for handle in handles {
        assert_eq!(handle.value("all/count").await.as_deref(), Some("800"));
        assert_eq!(handle.keys("own").await.len(), 800);
    }
    let verification = handles[0].store().verify(Repair::No).await.unwrap();
    assert_eq!((verification.checked, verification.problems), (801, 0), "{:?}", verification.findings);
}

/// Whoever heard of a change from the feed does not get what was there before it.
pub async fn a_get_shows_what_a_feed_told_of(session: &Arc<Session>) {
    let mut cursor = session.head_cursor().await;
    let writing = Arc::clone(session);
    let writes = tokio::spawn(async move {
        for n in 1..=400 {
            writing.apply(put("a/b", &n.to_string())).await;
        }
    });
    let seq_of = |item: &FeedItem| match item {
        FeedItem::Record(record) => record.head.seq,
        FeedItem::Removed(removal) => removal.seq,
    };
    let mut last = 0;
    loop {
        let is_over = writes.is_finished();
        let page = session.feed_page(Some(cursor), 10).await;
        cursor = page.next;
        let Some(heard) = page.items.iter().map(seq_of).max() else {
            if is_over {
                break;
            }
            continue;
        };
        let fetched = session.store().get(&[Key::new("a/b").unwrap()], Want::Whole).await.unwrap();
        let record = fetched.slots[0].as_ref().unwrap();
        assert!(record.head.seq >= heard, "{} is there and the feed told of {heard}", record.head.seq);
        last = String::from_utf8_lossy(&record.body().unwrap().payload()).parse().unwrap();
    }
    writes.await.unwrap();
    assert_eq!(last, 400, "the feed tells of the last write, too");
}

/// Waiting takes no runtime with a timer, and as long as asked.
#[allow(clippy::disallowed_methods, reason = "a caller's patience is real elapsed time")]
pub fn a_waiting_feed_needs_no_runtime_and_ends_in_time(session: &Session) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let after = Some(runtime.block_on(session.head_cursor()));
    let feed = Feed { after, limit: 10, wait: Duration::from_millis(30), want: Want::Whole };
    let began = Instant::now();
    match runtime.block_on(session.store().changes(&feed)).unwrap() {
        Changes::Page(page) => assert!(page.items.is_empty()),
        Changes::Gap(_) => panic!("nothing is missing"),
    }
    assert!(began.elapsed() >= feed.wait, "it waits");
}

/// Removals that are old and more than are kept go, and who has not read them is told.
pub async fn old_removals_are_forgotten_and_their_readers_told(session: &Session) {
    let beginning = session.head_cursor().await;
    let churn = |from: usize, to: usize| (from..to).map(|n| format!("a/b/{n}")).collect::<Vec<_>>();
    let mut early = None;
    for start in (0..104_000).step_by(8_000) {
        come_and_go(session, &churn(start, start + 8_000)).await;
        early.get_or_insert(session.head_cursor().await);
    }
    let late = session.head_cursor().await;
    assert!(!is_gap(session, &beginning).await, "young removals are kept however many there are");
    session.pass(25 * HOUR_MS);
    for keys in [churn(0, 5_000), churn(5_000, 10_000), churn(10_000, 15_000)] {
        come_and_go(session, &keys).await;
    }
    assert!(is_gap(session, &beginning).await);
    assert!(is_gap(session, early.as_ref().unwrap()).await);
    assert!(!is_gap(session, &late).await);
    assert_eq!(session.store().verify(Repair::No).await.unwrap().findings, []);
}

async fn come_and_go(session: &Session, keys: &[String]) {
    session.batch(keys.iter().map(|key| put(key, "1").build()).collect()).await;
    session.batch(keys.iter().map(|key| erase(key, Cause::Purged).build()).collect()).await;
}
