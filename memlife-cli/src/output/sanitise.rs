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

/// JSON `text` with the same escaped as JSON does it, so that it stays the same JSON.
pub fn sanitise_json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_steering) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            // A string of JSON holds none of these, so it stands between two values.
            '\r' => safe.push(' '),
            steering if is_steering(steering) => {
                for unit in steering.encode_utf16(&mut [0; 2]) {
                    let _ = write!(safe, "\\u{unit:04x}");
                }
            }
            other => safe.push(other),
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
    use super::{sanitise, sanitise_json};

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

    #[test]
    fn json_stays_the_same_json() {
        let text = "{\"a\u{202e}\":\r[\"\u{7f}\u{9b}2J\u{e0041}\"]}";
        let safe = sanitise_json(text);
        assert!(safe.is_ascii(), "{safe}");
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(parse(&safe), parse(text));
        assert_eq!(sanitise_json("[\n1]"), "[\n1]");
    }
}
