/// What one place of a pattern accepts.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    /// This segment.
    Literal(Box<str>),
    /// A segment made of literal pieces with anything between.
    Partial(Partial),
    /// Any one segment.
    One,
    /// Any number of segments, none too.
    Run,
}

/// A segment with `*` in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Partial {
    head: Box<str>,
    middle: Box<[Box<str>]>,
    tail: Box<str>,
}

impl Part {
    pub(super) fn is_run(&self) -> bool {
        *self == Part::Run
    }

    pub(super) fn literal(&self) -> Option<&str> {
        if let Part::Literal(text) = self { Some(text) } else { None }
    }

    /// Whether it accepts `segment`. A run does not stand for one segment: [`glob`] resolves it.
    pub(super) fn fits(&self, segment: &str) -> bool {
        match self {
            Part::Literal(text) => **text == *segment,
            Part::Partial(partial) => partial.fits(segment),
            Part::One => true,
            Part::Run => false,
        }
    }

    /// Whether it accepts every segment that `narrow` accepts.
    pub(super) fn covers(&self, narrow: &Part) -> bool {
        match (self, narrow) {
            (Part::Run, _) | (_, Part::Run) => false,
            (Part::One, _) => true,
            (_, Part::Literal(text)) => self.fits(text),
            (Part::Partial(wide), Part::Partial(narrow)) => wide.covers(narrow),
            _ => false,
        }
    }
}

impl Partial {
    /// From the pieces between the stars: the first and the last may be empty, the others are not.
    pub(super) fn new(mut pieces: Vec<String>) -> Self {
        let tail = pieces.pop().unwrap_or_default().into();
        let mut pieces = pieces.into_iter().map(Box::from);
        Partial { head: pieces.next().unwrap_or_default(), middle: pieces.collect(), tail }
    }

    fn fits(&self, segment: &str) -> bool {
        let inner = segment.strip_prefix(&*self.head).and_then(|rest| rest.strip_suffix(&*self.tail));
        let Some(mut rest) = inner else {
            return false;
        };
        // The leftmost place for each piece leaves the most room for the next, so no other need be tried.
        self.middle.iter().all(|piece| match rest.split_once(&**piece) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    }

    fn covers(&self, narrow: &Partial) -> bool {
        let wide = self.characters();
        glob(&wide, narrow.characters().iter(), Option::is_none, |wide, narrow| wide == *narrow)
    }

    /// The segment as characters, with `None` for each star.
    fn characters(&self) -> Vec<Option<char>> {
        let mut characters: Vec<_> = self.head.chars().map(Some).collect();
        for piece in self.middle.iter().chain([&self.tail]) {
            characters.push(None);
            characters.extend(piece.chars().map(Some));
        }
        characters
    }
}

/// Whether `pattern` accepts `items`, where each part for which `is_run` holds takes any number of them.
///
/// The usual greedy walk: only the last run seen is ever lengthened, because a shorter match of the runs before it
/// leaves it at least as much. So it takes at most `pattern` times `items` steps.
pub(super) fn glob<P, I>(
    pattern: &[P],
    mut items: I,
    is_run: impl Fn(&P) -> bool,
    accepts: impl Fn(&P, &I::Item) -> bool,
) -> bool
where
    I: Iterator + Clone,
{
    let mut at = 0;
    let mut last_run: Option<(usize, I)> = None;
    loop {
        if pattern.get(at).is_some_and(&is_run) {
            at += 1;
            if at == pattern.len() {
                return true;
            }
            last_run = Some((at, items.clone()));
            continue;
        }
        match (pattern.get(at), items.next()) {
            (None, None) => return true,
            (Some(_), None) => return false,
            (Some(part), Some(item)) if accepts(part, &item) => at += 1,
            _ => {
                let Some((after_run, rest)) = &mut last_run else {
                    return false;
                };
                if rest.next().is_none() {
                    return false;
                }
                at = *after_run;
                items = rest.clone();
            }
        }
    }
}
