//! The engine for plain programs: the same verbs, each of which returns when it is done.
//!
//! An embedded store answers a read on the calling thread, without any runtime in between. Works inside an
//! asynchronous runtime, too, where it blocks the thread it is called on.

use crate::engine::{
    self, ApplyReport, Entry, Events, ListOptions, Progress, PutOptions, ReadOptions, Receipt, Stats,
    SweepOptions, SweepReport, TouchMode, Touched, TrainOptions, Training, Written,
};
use crate::key::IntoKey;
use crate::store::{Cursor, Expiry, Guard, Repair, Verification};
use crate::{Error, ErrorKind, Result, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;
use tokio::runtime::Runtime;

/// A [`Memory`](crate::Memory) whose verbs block.
#[derive(Clone)]
pub struct Memory {
    memory: engine::Memory,
    runtime: Arc<Driver>,
}

/// Drives timers and connections that a store may use, on a thread of its own.
struct Driver(Option<Runtime>);

impl Drop for Driver {
    fn drop(&mut self) {
        // Dropping a runtime waits for it, which is not allowed inside another one.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Memory {
    /// The blocking front of `memory`.
    ///
    /// # Errors
    /// `Unavailable` when no thread can be started.
    pub fn new(memory: engine::Memory) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("memlife-blocking")
            .enable_time()
            .build()
            .map_err(|error| {
                Error::new(ErrorKind::Unavailable, "no thread could be started").because(error)
            })?;
        Ok(Memory { memory, runtime: Arc::new(Driver(Some(runtime))) })
    }

    /// The asynchronous memory behind this one.
    pub fn inner(&self) -> &engine::Memory {
        &self.memory
    }

    /// Runs `future` to its end on this thread.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        let _timers = self.runtime.0.as_ref().map(Runtime::enter);
        block_on(future)
    }

    /// See [`engine::Memory::put`].
    ///
    /// # Errors
    /// The same.
    pub fn put<T: Serialize + ?Sized>(&self, key: impl IntoKey, value: &T) -> Result<Receipt> {
        self.wait(self.memory.put(key, value))
    }

    /// See [`engine::Memory::put_with`].
    ///
    /// # Errors
    /// The same.
    pub fn put_with<T: Serialize + ?Sized>(
        &self,
        key: impl IntoKey,
        value: &T,
        options: PutOptions,
    ) -> Result<Written> {
        self.wait(self.memory.put_with(key, value, options))
    }

    /// See [`engine::Memory::put_value`].
    ///
    /// # Errors
    /// The same.
    pub fn put_value(&self, key: impl IntoKey, value: Value, options: PutOptions) -> Result<Written> {
        self.wait(self.memory.put_value(key, value, options))
    }

    /// See [`engine::Memory::get`].
    ///
    /// # Errors
    /// The same.
    pub fn get<T: DeserializeOwned>(&self, key: impl IntoKey) -> Result<Option<T>> {
        self.wait(self.memory.get(key))
    }

    /// See [`engine::Memory::get_value`].
    ///
    /// # Errors
    /// The same.
    pub fn get_value(&self, key: impl IntoKey) -> Result<Option<Value>> {
        self.wait(self.memory.get_value(key))
    }

    /// See [`engine::Memory::entry_with`].
    ///
    /// # Errors
    /// The same.
    pub fn entry(&self, key: impl IntoKey, options: ReadOptions) -> Result<Option<Entry>> {
        self.wait(self.memory.entry_with(key, options))
    }

    /// See [`engine::Memory::update`].
    ///
    /// # Errors
    /// The same.
    pub fn update<T, F>(&self, key: impl IntoKey, change: F) -> Result<Option<Receipt>>
    where
        T: Serialize + DeserializeOwned,
        F: FnMut(Option<T>) -> Option<T>,
    {
        self.wait(self.memory.update(key, change))
    }

    /// See [`engine::Memory::delete`].
    ///
    /// # Errors
    /// The same.
    pub fn delete(&self, key: impl IntoKey) -> Result<bool> {
        self.wait(self.memory.delete(key))
    }

    /// See [`engine::Memory::delete_if`].
    ///
    /// # Errors
    /// The same.
    pub fn delete_if(&self, key: impl IntoKey, guard: Guard) -> Result<Written> {
        self.wait(self.memory.delete_if(key, guard))
    }

    /// See [`engine::Memory::delete_within`].
    ///
    /// # Errors
    /// The same.
    pub fn delete_within(&self, prefix: impl IntoKey) -> Result<u64> {
        self.wait(self.memory.delete_within(prefix))
    }

    /// See [`engine::Memory::touch`].
    ///
    /// # Errors
    /// The same.
    pub fn touch(&self, key: impl IntoKey, expiry: Expiry, mode: TouchMode) -> Result<Touched> {
        self.wait(self.memory.touch(key, expiry, mode))
    }

    /// Adds to the counter at `key`; see [`engine::CounterHandle::add`].
    ///
    /// # Errors
    /// The same.
    pub fn add(&self, key: impl IntoKey, amount: i64) -> Result<i128> {
        let counter = self.memory.counter(key)?;
        self.wait(counter.add(amount))
    }

    /// The entries of [`engine::Memory::list`], one after the other.
    pub fn list(&self, options: ListOptions) -> impl Iterator<Item = Result<Entry>> {
        let mut listing = self.memory.list(options);
        let memory = self.clone();
        std::iter::from_fn(move || memory.wait(listing.next()).transpose())
    }

    /// See [`engine::Memory::sweep`].
    ///
    /// # Errors
    /// The same.
    pub fn sweep(&self, options: SweepOptions) -> Result<SweepReport> {
        self.wait(self.memory.sweep(options))
    }

    /// See [`engine::Memory::changes`].
    ///
    /// # Errors
    /// The same.
    pub fn changes(&self, cursor: Option<Cursor>, limit: usize, wait: Duration) -> Result<Events> {
        self.wait(self.memory.changes(cursor, limit, wait))
    }

    /// See [`engine::Memory::stats`].
    ///
    /// # Errors
    /// The same.
    pub fn stats(&self) -> Result<Stats> {
        self.wait(self.memory.stats())
    }

    /// See [`engine::Memory::verify`].
    ///
    /// # Errors
    /// The same.
    pub fn verify(&self, repair: Repair) -> Result<Verification> {
        self.wait(self.memory.verify(repair))
    }

    /// See [`engine::Memory::apply_policy`].
    ///
    /// # Errors
    /// The same.
    pub fn apply_policy(&self, progress: Option<Progress>) -> Result<ApplyReport> {
        self.wait(self.memory.apply_policy(progress))
    }

    /// See [`engine::Memory::train`].
    ///
    /// # Errors
    /// The same.
    pub fn train(&self, options: &TrainOptions, progress: Option<Progress>) -> Result<Vec<Training>> {
        self.wait(self.memory.train(options, progress))
    }

    /// See [`engine::Memory::close`].
    ///
    /// # Errors
    /// The same.
    pub fn close(&self) -> Result<()> {
        self.wait(self.memory.close())
    }
}

/// Wakes a parked thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    // Most answers of an embedded store are there at once: no waker, no allocation.
    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return output;
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
