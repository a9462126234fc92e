use redb::StorageBackend;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is kept of a change at once.
const BLOCK_BYTES: usize = 4_096;

type Block = [u8; BLOCK_BYTES];

/// The file as it is, under changes that stay in memory.
///
/// redb's check of a file mends it, too: it goes back to the commit before where a page of the last one is damaged, and
/// cannot be told not to. On a view it does that to nobody's harm.
#[derive(Debug)]
pub(crate) struct View {
    file: File,
    changed: Mutex<Changed>,
}

#[derive(Debug)]
struct Changed {
    len: u64,
    /// How much of the file still shows: less once it was cut, however long it was made again.
    shown: u64,
    blocks: BTreeMap<u64, Box<Block>>,
}

impl View {
    pub(crate) fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(View { file, changed: Mutex::new(Changed { len, shown: len, blocks: BTreeMap::new() }) })
    }

    fn changed(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The block with the number `number`.
    fn block(&self, changed: &Changed, number: u64) -> io::Result<Box<Block>> {
        if let Some(block) = changed.blocks.get(&number) {
            return Ok(block.clone());
        }
        let mut block = Box::new([0; BLOCK_BYTES]);
        let start = number * BLOCK_BYTES as u64;
        let shown = changed.shown.saturating_sub(start).min(BLOCK_BYTES as u64) as usize;
        self.file.read_exact_at(&mut block[..shown], start)?;
        Ok(block)
    }
}

/// Calls `visit` with the number of each block in `len` bytes from `offset`, and where in the block and in these bytes
/// they meet.
fn each_block(
    offset: u64,
    len: usize,
    mut visit: impl FnMut(u64, usize, std::ops::Range<usize>) -> io::Result<()>,
) -> io::Result<()> {
    let mut done = 0;
    while done < len {
        let at = offset + done as u64;
        let within = (at % BLOCK_BYTES as u64) as usize;
        let part = (BLOCK_BYTES - within).min(len - done);
        visit(at / BLOCK_BYTES as u64, within, done..done + part)?;
        done += part;
    }
    Ok(())
}

impl StorageBackend for View {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changed().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changed = self.changed();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > changed.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        each_block(offset, out.len(), |number, within, place| {
            let part = within..within + place.len();
            out[place].copy_from_slice(&self.block(&changed, number)?[part]);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut changed = self.changed();
        if len < changed.len {
            // What was cut off is nothing when the file grows again.
            let (last, within) = (len / BLOCK_BYTES as u64, (len % BLOCK_BYTES as u64) as usize);
            changed.shown = changed.shown.min(len);
            changed.blocks.split_off(&(last + 1));
            if let Some(block) = changed.blocks.get_mut(&last) {
                block[within..].fill(0);
            }
        }
        changed.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut changed = self.changed();
        each_block(offset, data.len(), |number, within, place| {
            let mut block = self.block(&changed, number)?;
            block[within..within + place.len()].copy_from_slice(&data[place]);
            changed.blocks.insert(number, block);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(view: &View, offset: u64, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        view.read(offset, &mut out).unwrap();
        out
    }

    #[test]
    fn changes_are_seen_and_the_file_stays() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        io::Write::write_all(&mut file, &[7; 10_000]).unwrap();
        let view = View::new(file.reopen().unwrap()).unwrap();
        view.write(4_090, &[1; 12]).unwrap();
        assert_eq!(read(&view, 4_088, 16), [7, 7, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 7, 7]);
        view.set_len(4_095).unwrap();
        assert!(view.read(4_090, &mut [0; 6]).is_err());
        view.set_len(20_000).unwrap();
        assert_eq!(read(&view, 4_092, 6), [1, 1, 1, 0, 0, 0], "what was cut off does not come back");
        assert_eq!(read(&view, 9_000, 2), [0, 0]);
        assert!(std::fs::read(file.path()).unwrap() == [7; 10_000]);
    }
}
