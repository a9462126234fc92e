use crate::server::Server;
use futures_util::StreamExt;
use memlife_core::Result;
use memlife_core::store::{Changes, Feed};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How often somebody who waits looks by himself: messages are lost while the connection is.
const LOOK: Duration = Duration::from_millis(500);
/// The same where nobody tells.
const LOOK_UNTOLD: Duration = Duration::from_millis(20);

/// Wakes who waits for changes when the server tells of a commit.
#[derive(Default)]
pub(crate) struct Wake {
    told: Notify,
    listens: AtomicBool,
    is_heard: AtomicBool,
}

impl Wake {
    /// What changed, at once or after a while.
    pub(crate) async fn changes(self: Arc<Self>, server: Arc<Server>, query: &Feed) -> Result<Changes> {
        let after = server.positions(query).await?;
        let deadline = Instant::now() + query.wait;
        loop {
            let mut told = std::pin::pin!(self.told.notified());
            if !query.wait.is_zero() {
                self.listen(&server);
                // Enlisted before looking, so that a change between looking and waiting is not missed.
                told.as_mut().enable();
            }
            let answer = server.changes_now(after.as_deref(), query).await?;
            let is_empty = matches!(&answer, Changes::Page(page) if page.items.is_empty());
            let now = Instant::now();
            if !is_empty || now >= deadline {
                return Ok(answer);
            }
            let look = if self.is_heard.load(Ordering::Relaxed) { LOOK } else { LOOK_UNTOLD };
            let until = deadline.min(now + look);
            // Whether told or not: whoever wakes looks.
            let _ = tokio::time::timeout_at(until, told).await;
        }
    }

    /// Listens until the connection is lost; the next who waits listens anew.
    fn listen(self: &Arc<Self>, server: &Arc<Server>) {
        if self.listens.swap(true, Ordering::AcqRel) {
            return;
        }
        let (wake, server) = (Arc::downgrade(self), server.clone());
        tokio::spawn(async move {
            let channel = server.layout.channel();
            let subscribed = server.link.subscribe(&channel).await;
            drop(server);
            if let Ok(listener) = subscribed {
                let mut messages = listener.into_on_message();
                if let Some(wake) = wake.upgrade() {
                    wake.is_heard.store(true, Ordering::Relaxed);
                }
                while messages.next().await.is_some() {
                    let Some(wake) = wake.upgrade() else { return };
                    wake.told.notify_waiters();
                }
            } else {
                tokio::time::sleep(LOOK).await;
            }
            if let Some(wake) = wake.upgrade() {
                wake.is_heard.store(false, Ordering::Relaxed);
                wake.listens.store(false, Ordering::Release);
            }
        });
    }
}
