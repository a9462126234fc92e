use std::future::poll_fn;
use std::io;
use std::process::exit;
use std::task::Poll;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// Ready when SIGTERM or SIGINT comes. A second one ends the process there and then.
///
/// Listening begins with the call, which has to be made inside a runtime.
pub fn stop() -> io::Result<impl Future<Output = ()>> {
    let mut signals = Signals::listen()?;
    let (told, stopped) = oneshot::channel();
    tokio::spawn(async move {
        signals.next().await;
        // Nobody waits any more when the run ended by itself.
        let _ = told.send(());
        let kind = signals.next().await;
        exit(128 + kind.as_raw_value());
    });
    Ok(async move {
        // The sender goes only with the runtime, and then it is time to stop as well.
        let _ = stopped.await;
    })
}

struct Signals([(SignalKind, Signal); 2]);

impl Signals {
    fn listen() -> io::Result<Self> {
        let listen = |kind| Ok::<_, io::Error>((kind, signal(kind)?));
        Ok(Signals([listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?]))
    }

    async fn next(&mut self) -> SignalKind {
        poll_fn(|context| {
            let mut came = self.0.iter_mut().filter_map(|(kind, signal)| {
                matches!(signal.poll_recv(context), Poll::Ready(Some(()))).then_some(*kind)
            });
            came.next().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}
