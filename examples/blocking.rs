//! Plain programs: no asynchronous runtime, and one file that several of them share.

use memlife::{ListOptions, blocking};
use std::error::Error;
use std::thread;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite:{}", folder.path().join("store.db").display());

    // Each thread opens the file for itself, as a process of its own would.
    let workers: Vec<_> = (1..=4)
        .map(|worker| {
            let url = url.clone();
            thread::spawn(move || -> memlife::Result<()> {
                let memory = blocking::open(&url)?;
                for step in 1..=5 {
                    memory.put(format!("coordination/worker{worker}/step"), &step)?;
                    memory.update("project/steps", |steps: Option<u32>| Some(steps.unwrap_or(0) + 1))?;
                }
                memory.close()
            })
        })
        .collect();
    for worker in workers {
        worker.join().map_err(|_| "a worker ended early")??;
    }

    let memory = blocking::open(&url)?;
    println!("steps in all: {:?}", memory.get::<u32>("project/steps")?);
    for entry in memory.list(ListOptions::new().pattern("coordination/**")?) {
        let entry = entry?;
        println!("{} is at version {}, {} bytes", entry.key, entry.version, entry.raw_len);
    }
    Ok(())
}
