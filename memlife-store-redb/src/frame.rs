//! Rows of numbers, and the checksum that some of them stand under.

/// Numbers one after the other, the lowest byte first.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn plain(self) -> Vec<u8> {
        self.0
    }

    /// What was written, and a CRC-32 of it.
    pub(crate) fn sealed(mut self) -> Vec<u8> {
        let check = crc32fast::hash(&self.0);
        self.0.extend_from_slice(&check.to_le_bytes());
        self.0
    }
}

/// Reads what a [`Writer`] wrote.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn plain(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    /// What is under the seal; `None` when the seal is not that of these bytes.
    pub(crate) fn sealed(bytes: &'a [u8]) -> Option<Self> {
        let (bytes, check) = bytes.split_last_chunk::<4>()?;
        (u32::from_le_bytes(*check) == crc32fast::hash(bytes)).then_some(Reader(bytes))
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}
