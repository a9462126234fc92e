use super::glob::{Part, Partial, glob};
use crate::{Error, ErrorKind, Key, MAX_KEY_SEGMENTS, Result};
use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;
use unicode_normalization::is_nfc;

/// The most bytes a pattern may have.
pub const MAX_PATTERN_BYTES: usize = 256;
/// The most `*` a pattern may have.
pub const MAX_PATTERN_STARS: usize = 16;

/// Which keys a rule is for, or which a listing shows.
///
/// `*` stands for part of a segment or one whole segment; `**`, or a `*` that ends the pattern after `/`, for one
/// or more whole segments; `*` alone covers everything. A pattern without wildcards covers the key itself and all
/// below it. A backslash makes the next character literal; no other character has a meaning. Memlife's own keys
/// match no pattern.
///
/// ```
/// use memlife_core::{Key, policy::Pattern};
/// let pattern = Pattern::parse("task/*/status").unwrap();
/// assert!(pattern.matches(&Key::new("task/7/status").unwrap()));
/// assert!(!pattern.matches(&Key::new("task/7/8/status").unwrap()));
/// assert_eq!(pattern.literal_prefix(), Some("task"));
/// ```
#[derive(Clone)]
pub struct Pattern {
    text: Arc<str>,
    compiled: Arc<Compiled>,
}

struct Compiled {
    /// The leading literal segments, joined.
    prefix: Box<str>,
    /// How many of `parts` the prefix stands for.
    prefix_parts: usize,
    parts: Box<[Part]>,
    specificity: Specificity,
}

/// How narrow a pattern is; the greater is the more specific: more literal segments, then more literal characters,
/// then fewer wildcards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Specificity {
    /// Segments without a wildcard.
    pub literal_segments: usize,
    /// Characters that stand for themselves; slashes do not count.
    pub literal_chars: usize,
    /// Wildcards; `**` is one.
    pub wildcards: Reverse<usize>,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// `Invalid`, with what is wrong and what to write instead.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > MAX_PATTERN_BYTES {
            let message =
                format!("a pattern has {} bytes; at most {MAX_PATTERN_BYTES} are allowed", text.len());
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let segments = tokenize(text)?;
        check(text, &segments)?;
        Ok(Pattern { text: text.into(), compiled: Arc::new(compile(&segments)) })
    }

    /// The pattern `*`, which covers every key.
    pub fn everything() -> Self {
        Pattern { text: "*".into(), compiled: Arc::new(compile(&[vec![Token::Star]])) }
    }

    /// The pattern of the default rule: covers every key, and its text is empty, which no other pattern's is.
    pub(super) fn of_default() -> Self {
        Pattern { text: "".into(), ..Pattern::everything() }
    }

    /// The pattern as written.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Whether it covers `key`. Takes time linear in the key for each wildcard, whatever the pattern.
    pub fn matches(&self, key: &Key) -> bool {
        !key.is_system() && self.compiled.matches(key.as_str())
    }

    /// How narrow it is.
    pub fn specificity(&self) -> Specificity {
        self.compiled.specificity
    }

    /// The whole segments that every matching key lies within, where the pattern begins with any.
    pub fn literal_prefix(&self) -> Option<&str> {
        Some(&*self.compiled.prefix).filter(|prefix| !prefix.is_empty())
    }

    /// Whether every key that `other` covers is covered by this pattern. Never true wrongly; may be false where
    /// only several wildcards together make it so.
    pub fn covers(&self, other: &Pattern) -> bool {
        glob(&self.compiled.parts, other.compiled.parts.iter(), Part::is_run, |wide, narrow| {
            wide.covers(narrow)
        })
    }

    /// Whether both are the same pattern, perhaps written differently: `a/*` is `a/**`.
    pub(super) fn is_same(&self, other: &Pattern) -> bool {
        self.compiled.parts == other.compiled.parts
    }
}

impl Compiled {
    fn matches(&self, key: &str) -> bool {
        let Some(rest) = below(key, &self.prefix) else {
            return false;
        };
        let segments = rest.into_iter().flat_map(|rest| rest.split('/'));
        glob(&self.parts[self.prefix_parts..], segments, Part::is_run, |part, segment| part.fits(segment))
    }
}

/// What follows the whole segments of `prefix` in `key`: `Some(None)` when nothing does.
fn below<'a>(key: &'a str, prefix: &str) -> Option<Option<&'a str>> {
    if prefix.is_empty() {
        return Some(Some(key));
    }
    let rest = key.strip_prefix(prefix)?;
    if rest.is_empty() { Some(None) } else { rest.strip_prefix('/').map(Some) }
}

#[derive(Clone, Copy, PartialEq)]
enum Token {
    Literal(char),
    Star,
}

fn invalid<T>(text: &str, problem: &str) -> Result<T> {
    Err(Error::new(ErrorKind::Invalid, format!("the pattern {text:?} {problem}")))
}

/// The pattern as segments of characters, each known to be literal or not.
fn tokenize(text: &str) -> Result<Vec<Vec<Token>>> {
    let mut segments = vec![Vec::new()];
    let mut chars = text.chars();
    while let Some(next) = chars.next() {
        let token = match next {
            '/' => {
                segments.push(Vec::new());
                continue;
            }
            '*' => Token::Star,
            '\\' => match chars.next() {
                Some('/') => {
                    return invalid(text, "has `\\/`: a `/` always separates, leave out the backslash");
                }
                Some(literal) => Token::Literal(literal),
                None => return invalid(text, "ends in a backslash: write `\\\\` for a literal one"),
            },
            other => Token::Literal(other),
        };
        if let Some(segment) = segments.last_mut() {
            segment.push(token);
        }
    }
    Ok(segments)
}

fn check(text: &str, segments: &[Vec<Token>]) -> Result<()> {
    if text.is_empty() {
        return invalid(text, "is empty: write `*` to cover every key");
    }
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        let problem = format!("has the control character U+{:04X}: leave it out", u32::from(control));
        return invalid(text, &problem);
    }
    let stars = segments.iter().flatten().filter(|&&token| token == Token::Star).count();
    if stars > MAX_PATTERN_STARS {
        return invalid(text, &format!("has {stars} `*`; at most {MAX_PATTERN_STARS} are allowed"));
    }
    if segments.len() > MAX_KEY_SEGMENTS {
        let problem = format!("has {} segments; keys have at most {MAX_KEY_SEGMENTS}", segments.len());
        return invalid(text, &problem);
    }
    segments.iter().try_for_each(|segment| check_segment(text, segment))
}

fn check_segment(text: &str, segment: &[Token]) -> Result<()> {
    if segment.is_empty() {
        return invalid(text, "has an empty segment: leave out the extra `/`");
    }
    if segment.len() > 1
        && segment != [Token::Star; 2]
        && segment.windows(2).any(|pair| pair == [Token::Star; 2])
    {
        return invalid(text, "has `**` beside other characters: inside a segment write a single `*`");
    }
    for piece in pieces(segment) {
        if matches!(&*piece, "." | "..") && !segment.contains(&Token::Star) {
            return invalid(text, &format!("has the segment {piece:?}: no key has one"));
        }
        if !is_nfc(&piece) {
            return invalid(text, "is not in Unicode normal form C, as keys are: normalise it first");
        }
    }
    Ok(())
}

/// The literal text between the stars of a segment.
fn pieces(segment: &[Token]) -> Vec<String> {
    let literals = |piece: &[Token]| {
        piece.iter().filter_map(|token| if let Token::Literal(c) = token { Some(*c) } else { None }).collect()
    };
    segment.split(|&token| token == Token::Star).map(literals).collect()
}

fn compile(segments: &[Vec<Token>]) -> Compiled {
    let mut parts = Vec::with_capacity(segments.len() + 1);
    let mut literal_segments = 0;
    let mut wildcards = 0;
    for (at, segment) in segments.iter().enumerate() {
        let stars = segment.iter().filter(|&&token| token == Token::Star).count();
        let is_last = at + 1 == segments.len();
        match (stars, segment.len()) {
            (0, _) => {
                literal_segments += 1;
                parts.push(Part::Literal(pieces(segment).concat().into()));
            }
            (1, 1) if !is_last => parts.push(Part::One),
            (1, 1) | (2, 2) => parts.extend([Part::One, Part::Run]),
            _ => parts.push(Part::Partial(Partial::new(pieces(segment)))),
        }
        wildcards += if segment == &[Token::Star; 2] { 1 } else { stars };
    }
    if wildcards == 0 {
        parts.push(Part::Run);
    }
    let literal_chars = segments.iter().flatten().filter(|&&token| token != Token::Star).count();
    let specificity = Specificity { literal_segments, literal_chars, wildcards: Reverse(wildcards) };
    let parts = ones_before_runs(parts);
    let leading: Vec<&str> = parts.iter().map_while(Part::literal).collect();
    Compiled {
        prefix: leading.join("/").into(),
        prefix_parts: leading.len(),
        parts: parts.into(),
        specificity,
    }
}

/// One spelling for each run of wildcards: `**/*` and `*/**` both are two segments or more.
fn ones_before_runs(parts: Vec<Part>) -> Vec<Part> {
    let mut ordered = Vec::with_capacity(parts.len());
    let mut run_pending = false;
    for part in parts {
        match part {
            Part::Run => run_pending = true,
            Part::One => ordered.push(Part::One),
            literal => {
                if std::mem::take(&mut run_pending) {
                    ordered.push(Part::Run);
                }
                ordered.push(literal);
            }
        }
    }
    if run_pending {
        ordered.push(Part::Run);
    }
    ordered
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Pattern::parse(text)
    }
}
