use memlife_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

/// Runs what takes long beside the caller's tasks.
///
/// # Errors
/// Those of `work`, and `Unavailable` where the system has no thread.
pub async fn on_own_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (reply, answer) = oneshot::channel();
    let builder = std::thread::Builder::new().name("memlife-verify".to_owned());
    // Nobody waits for the answer any more when the caller went away.
    let spawned = builder.spawn(move || drop(reply.send(work())));
    if let Err(error) = spawned {
        let message = "the system has no thread to give: try again later";
        return Err(Error::new(ErrorKind::Unavailable, message).because(error));
    }
    let ended = || Error::new(ErrorKind::Internal, "the check ended by a bug in memlife: report it");
    answer.await.map_err(|_| ended())?
}
