use std::io::{self, BufRead, Read};

/// Lines of at most some length; what is longer is passed over without being kept.
pub struct Lines<R> {
    source: R,
    limit: usize,
    buffer: Vec<u8>,
}

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// Its text.
    Text(&'a str),
    /// It is longer than allowed.
    TooLong,
    /// It is not valid UTF-8.
    NotText,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `source`, each of at most `limit` bytes.
    pub fn new(source: R, limit: usize) -> Self {
        Lines { source, limit, buffer: Vec::new() }
    }

    /// The next line; `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        let most = (self.limit as u64).saturating_add(1);
        if self.source.by_ref().take(most).read_until(b'\n', &mut self.buffer)? == 0 {
            return Ok(None);
        }
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
        } else if self.buffer.len() > self.limit {
            self.source.skip_until(b'\n')?;
            return Ok(Some(Line::TooLong));
        }
        Ok(Some(std::str::from_utf8(&self.buffer).map_or(Line::NotText, Line::Text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_passed_over() {
        let mut lines = Lines::new(&b"12345\n123456\n\n\xff\nend"[..], 5);
        assert_eq!(lines.next().unwrap(), Some(Line::Text("12345")));
        assert_eq!(lines.next().unwrap(), Some(Line::TooLong));
        assert_eq!(lines.next().unwrap(), Some(Line::Text("")));
        assert_eq!(lines.next().unwrap(), Some(Line::NotText));
        assert_eq!(lines.next().unwrap(), Some(Line::Text("end")));
        assert_eq!(lines.next().unwrap(), None);
    }

    #[test]
    fn a_line_without_an_end_is_not_kept() {
        let source = io::BufReader::new(io::repeat(b'x').take(1 << 20));
        let mut lines = Lines::new(source, 10);
        assert_eq!(lines.next().unwrap(), Some(Line::TooLong));
        assert!(lines.buffer.capacity() < 1 << 10);
        assert_eq!(lines.next().unwrap(), None);
    }
}
