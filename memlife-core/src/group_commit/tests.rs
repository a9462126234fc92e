use super::*;
use crate::record::{Body, Compression, Content, Kind};
use crate::store::{Change, Guard, Op, Placement, Reply};
use crate::{Encoding, Key, Timestamp};
use std::future::poll_fn;
use std::sync::mpsc;
use std::task::Poll;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(usize, Patience, String)>>>);

impl Log {
    fn sizes(&self) -> Vec<usize> {
        lock(&self.0).iter().map(|(size, ..)| *size).collect()
    }
}

struct Committer {
    log: Log,
    on_commit: Box<dyn FnMut(Patience) -> Result<(), Busy> + Send>,
}

impl Commit for Committer {
    fn commit(&mut self, batches: &[&Batch], patience: Patience) -> Result<Vec<Answer>, Busy> {
        (self.on_commit)(patience)?;
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        lock(&self.log.0).push((batches.len(), patience, thread));
        Ok(batches
            .iter()
            .map(|batch| Ok(batch.writes.iter().map(|_| Ok(Outcome::Unchanged { current: None })).collect()))
            .collect())
    }
}

fn group(
    log: &Log,
    on_commit: impl FnMut(Patience) -> Result<(), Busy> + Send + 'static,
) -> GroupCommit<Committer> {
    let committer = Committer { log: log.clone(), on_commit: Box::new(on_commit) };
    GroupCommit::new("test-writer", committer, Durability::Process)
}

fn batch(durability: Durability, body_bytes: usize) -> Batch {
    let raw = vec![b'1'; body_bytes];
    let body = Body::pack(Content::Value(Encoding::Bytes), &raw, Compression::NONE).unwrap();
    let placement = Placement::permanent("", Kind::Lww);
    let write = Write {
        key: Key::new("a/b").unwrap(),
        guard: Guard::Any,
        change: Change::Op(Op::Put(body)),
        placement: Arc::new(placement),
        writer: None,
        reply: Reply::Outcome,
    };
    Batch { now: Timestamp::from_ms(1), durability, token: None, writes: vec![write] }
}

#[tokio::test]
async fn a_lone_task_commits_on_its_own_thread() {
    let log = Log::default();
    let commits = group(&log, |_| Ok(()));
    commits.submit(&batch(Durability::Process, 1)).await.unwrap();
    let seen = lock(&log.0).clone();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].0, seen[0].1), (1, Patience::Never));
    assert_ne!(seen[0].2, "test-writer");
    assert!(lock(&commits.writer).thread.is_none(), "no thread was needed");
}

#[tokio::test]
async fn a_busy_store_and_a_disk_level_are_the_writer_threads() {
    let log = Log::default();
    let commits = group(&log, |patience| if patience == Patience::Never { Err(Busy) } else { Ok(()) });
    commits.submit(&batch(Durability::Process, 1)).await.unwrap();
    commits.submit(&batch(Durability::Disk, 1)).await.unwrap();
    for (_, patience, thread) in lock(&log.0).iter() {
        assert_eq!((*patience, thread.as_str()), (Patience::Wait, "test-writer"));
    }
}

#[tokio::test]
#[allow(clippy::await_holding_lock, reason = "the lock is a commit that takes as long as the test wants")]
async fn concurrent_tasks_share_commits() {
    let log = Log::default();
    let commits = Arc::new(group(&log, |_| Ok(())));
    let under_way = lock(&commits.shared.committer);
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let commits = Arc::clone(&commits);
            tokio::spawn(async move {
                for _ in 0..20 {
                    commits.submit(&batch(Durability::Process, 1)).await.unwrap();
                }
            })
        })
        .collect();
    while commits.shared.queue().pending.len() < tasks.len() {
        tokio::task::yield_now().await;
    }
    drop(under_way);
    for task in tasks {
        task.await.unwrap();
    }
    let sizes = log.sizes();
    assert_eq!(sizes[0], 64, "what queued while a commit was under way is one commit");
    assert_eq!(sizes.iter().sum::<usize>(), 64 * 20);
}

#[tokio::test]
async fn who_was_alone_for_long_finds_company_again() {
    let log = Log::default();
    let commits = Arc::new(group(&log, |_| Ok(())));
    let writer = |count: u32| {
        let commits = Arc::clone(&commits);
        async move {
            for _ in 0..count {
                commits.submit(&batch(Durability::Process, 1)).await.unwrap();
            }
        }
    };
    writer(100).await;
    assert_eq!(log.sizes(), [1; 100]);
    let tasks: Vec<_> = (0..8).map(|_| tokio::spawn(writer(20))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    let sizes = log.sizes();
    assert_eq!(sizes.iter().sum::<usize>(), 100 + 8 * 20);
    assert!(sizes.iter().any(|size| *size > 1), "nobody shared a commit");
}

#[tokio::test]
async fn big_batches_are_split_over_commits_and_small_ones_still_fit() {
    let log = Log::default();
    let (go, gate) = mpsc::channel::<()>();
    let commits = Arc::new(group(&log, move |_| {
        gate.recv().unwrap();
        Ok(())
    }));
    let mib = 1 << 20;
    let tasks: Vec<_> = (0..40)
        .map(|_| {
            let commits = Arc::clone(&commits);
            tokio::spawn(async move { commits.submit(&batch(Durability::Disk, mib)).await.unwrap() })
        })
        .collect();
    tokio::task::yield_now().await;
    for _ in 0..40 {
        let _ = go.send(());
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(log.sizes().iter().all(|size| *size <= 16), "{:?}", log.sizes());
}

#[tokio::test]
async fn a_panic_reaches_the_submitter_and_the_next_commit_works() {
    let log = Log::default();
    let mut first = true;
    let commits = group(&log, move |_| {
        assert!(!std::mem::take(&mut first), "the first commit fails");
        Ok(())
    });
    for durability in [Durability::Disk, Durability::Process] {
        let answer = commits.submit(&batch(durability, 1)).await;
        match durability {
            Durability::Disk => assert_eq!(answer.unwrap_err().kind(), ErrorKind::Indeterminate),
            _ => assert_eq!(answer.unwrap().len(), 1),
        }
    }
}

#[tokio::test]
async fn what_was_submitted_is_committed_though_nobody_waits() {
    let log = Log::default();
    let (go, gate) = mpsc::channel::<()>();
    let commits = group(&log, move |_| {
        gate.recv().unwrap();
        Ok(())
    });
    {
        let request = batch(Durability::Disk, 1);
        let mut submit = Box::pin(commits.submit(&request));
        poll_fn(|context| {
            assert!(submit.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
    }
    go.send(()).unwrap();
    drop(commits);
    assert_eq!(log.sizes(), [1]);
}

#[tokio::test]
async fn a_store_that_stays_locked_says_so() {
    let commits = group(&Log::default(), |_| Err(Busy));
    let answer = commits.submit(&batch(Durability::Process, 1)).await;
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Locked);
}
