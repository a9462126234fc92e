use std::borrow::Cow;
use std::fmt::Write as _;

/// `text` with everything escaped that could steer a terminal, hide itself or turn the reading direction: control
/// characters but the tabulator and the line feed, bidirectional marks, invisible and tag characters.
pub fn sanitise(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_steering) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_steering(character) {
            // Writing to a string never fails.
            let _ = write!(safe, "\\u{{{:x}}}", u32::from(character));
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

fn is_steering(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => true,
        '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{e0000}'..='\u{e007f}' => true,
        other => other.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::sanitise;

    #[test]
    fn leaves_plain_text_alone() {
        for text in ["", "plain", "tab\tand\nline", "Grüße, 世界 👩‍👩‍👧"] {
            assert_eq!(sanitise(text), text);
        }
    }

    #[test]
    fn escapes_what_steers_a_terminal() {
        for (text, safe) in [
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("over\rwritten", "over\\u{d}written"),
            ("bell\u{7}\u{0}\u{7f}", "bell\\u{7}\\u{0}\\u{7f}"),
            ("a\u{202e}b\u{2066}c", "a\\u{202e}b\\u{2066}c"),
            ("hid\u{200b}den\u{e0041}", "hid\\u{200b}den\\u{e0041}"),
        ] {
            assert_eq!(sanitise(text), safe);
        }
    }
}
