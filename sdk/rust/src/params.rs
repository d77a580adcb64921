/// What the strategy gives a plugin: a JSON object, which holds to the schema in the manifest, and in which the schema's defaults are filled in. Members that are objects or lists are for a crate that
/// reads JSON.
#[derive(Clone, Copy)]
pub struct Params<'a>(pub &'a str);

impl<'a> Params<'a> {
    /// A member that the schema says is a number; `None` where there is none by that name.
    pub fn number(&self, name: &str) -> Option<f64> {
        let value = self.member(name)?;
        let end = value.find(|c: char| c == ',' || c == '}' || c == ']' || c.is_ascii_whitespace()).unwrap_or(value.len());
        value[..end].parse().ok()
    }

    /// A member that the schema says is a bool; `None` where there is none by that name.
    pub fn flag(&self, name: &str) -> Option<bool> {
        Some(self.member(name)?.starts_with("true"))
    }

    /// A member that the schema says is a string; `None` where there is none by that name.
    pub fn text(&self, name: &str) -> Option<Text<'a>> {
        let rest = self.member(name)?.strip_prefix('"')?;
        Some(Text(&rest[..quoted(rest)?]))
    }

    /// The text from a member's value on.
    fn member(&self, name: &str) -> Option<&'a str> {
        let (mut rest, mut depth) = (self.0, 0);
        loop {
            let at = rest.find(|c| matches!(c, '{' | '[' | '}' | ']' | '"'))?;
            let mark = rest.as_bytes()[at];
            rest = &rest[at + 1..];
            match mark {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {
                    let end = quoted(rest)?;
                    let word = &rest[..end];
                    rest = &rest[end + 1..];
                    match rest.trim_start().strip_prefix(':') {
                        Some(value) if depth == 1 && word == name => return Some(value.trim_start()),
                        _ => {}
                    }
                }
            }
        }
    }
}

/// Where the quote is that ends a string, which begins a text.
fn quoted(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|c| {
        let ends = c == b'"' && !escaped;
        escaped = c == b'\\' && !escaped;
        ends
    })
}

/// A string of the parameters. It compares with strings, `params.text("mode")? == "mean"`, and gives its characters.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// Its characters, one by one.
    pub fn chars(&self) -> impl Iterator<Item = char> + 'a {
        let mut rest = self.0.chars();
        core::iter::from_fn(move || {
            let c = rest.next()?;
            if c != '\\' {
                return Some(c);
            }
            Some(match rest.next()? {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let first = unit(&mut rest);
                    let mut pair = rest.clone();
                    match first {
                        0xd800..=0xdbff if pair.next() == Some('\\') && pair.next() == Some('u') => match unit(&mut pair) {
                            second @ 0xdc00..=0xdfff => {
                                rest = pair;
                                char::from_u32(0x10000 + ((first & 0x3ff) << 10 | second & 0x3ff))
                            }
                            _ => None,
                        },
                        _ => char::from_u32(first),
                    }
                    .unwrap_or(char::REPLACEMENT_CHARACTER)
                }
                other => other,
            })
        })
    }
}

/// The 16-bit unit of four hexadecimal digits.
fn unit(digits: &mut core::str::Chars) -> u32 {
    digits.take(4).fold(0, |sum, c| sum << 4 | c.to_digit(16).unwrap_or(0))
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.chars().eq(other.chars())
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

#[cfg(test)]
mod tests {
    use super::Params;

    #[test]
    fn members() {
        let p = Params(r#"{"in": {"gamma": 9, "list": ["gamma", "}"]}, "of": "gamma", "gamma": 2,"delta":-1.5e-3, "on" : true,"off":false, "a": 7 }"#);
        assert_eq!(p.number("gamma"), Some(2.0));
        assert_eq!(p.number("delta"), Some(-1.5e-3));
        assert_eq!(p.number("a"), Some(7.0));
        assert_eq!(p.number("amma"), None);
        assert_eq!(p.number("list"), None);
        assert_eq!((p.flag("on"), p.flag("off"), p.flag("of_")), (Some(true), Some(false), None));
        assert!(p.text("of").unwrap() == "gamma");
        assert!(p.text("gamma").is_none());
        assert_eq!(Params("{}").number("gamma"), None);
        assert_eq!(Params(r#"{"gamma"#).number("gamma"), None);
    }

    #[test]
    fn texts() {
        let p = Params(r#"{"a": "\u003cü\ud83d\ude00\"\\\n\/>", "b": "\ud83d!", "c": "\ud83d\u0041", "": "none"}"#);
        assert!(p.text("a").unwrap() == "<ü😀\"\\\n/>");
        assert!(p.text("b").unwrap() == "\u{fffd}!");
        assert!(p.text("c").unwrap() == "\u{fffd}A");
        assert!(p.text("").unwrap() == "none");
        assert!(p.text("").unwrap() != "nona");
    }
}
