use super::{Life, Peer};
use crate::compare::operation::Operation;
use crate::compare::place::Place;
use crate::compare::who::Level;
use crate::drive::Pair;
use crate::stage::HOUR_MS;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use memlife::{Clock, SystemClock};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of the instant from which a file's value is over.
const DEADLINE: usize = size_of::<u64>();

/// Plain files.
pub struct RawFiles {
    folder: PathBuf,
    is_synced: bool,
    written: AtomicU64,
}

impl RawFiles {
    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(key.replace('/', "%2F"))
    }
}

impl Peer for RawFiles {
    fn lacks(operation: Operation) -> bool {
        use Operation::*;
        matches!(
            operation,
            PutCompressed
                | GetCompressed
                | Swap
                | AddOwn
                | AddHot
                | ListPage
                | Export
                | Import
                | Sweep(_)
                | Open(_)
        )
    }

    async fn open(place: &Place) -> Result<Self> {
        let folder = place.path("files");
        fs::create_dir_all(&folder)?;
        Ok(RawFiles { folder, is_synced: place.level == Level::Disk, written: AtomicU64::new(0) })
    }

    async fn put(&self, (key, value): &Pair, life: Life) -> Result<()> {
        let now = SystemClock.now();
        let end = match life {
            Life::Hour => now.plus_ms(HOUR_MS),
            Life::Over => now.minus_ms(HOUR_MS),
        };
        let beside = self.folder.join(format!(".{}", self.written.fetch_add(1, Ordering::Relaxed)));
        let mut file = File::create(&beside)?;
        file.write_all(&[&end.ms().to_le_bytes()[..], &value.bytes].concat())?;
        if self.is_synced {
            file.sync_all()?;
        }
        drop(file);
        fs::rename(&beside, self.path(key))?;
        if self.is_synced {
            File::open(&self.folder)?.sync_all()?;
        }
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let mut file = match File::open(self.path(key)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read the file of {key}")),
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let Some((end, _)) = bytes.split_first_chunk::<DEADLINE>() else {
            bail!("the file of {key} is cut short");
        };
        let is_over = u64::from_le_bytes(*end) <= SystemClock.now().ms();
        Ok((!is_over).then(|| Bytes::from(bytes).slice(DEADLINE..)))
    }
}
