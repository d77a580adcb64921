/// What the strategy gives a plugin: a JSON object, which holds to the schema in the manifest, and in which the schema's defaults are filled in.
#[derive(Clone, Copy)]
pub struct Params<'a>(pub &'a str);

impl Params<'_> {
    /// A member that the schema says is a number; `None` where there is none by that name.
    pub fn number(&self, name: &str) -> Option<f64> {
        let mut rest = self.0;
        loop {
            rest = &rest[rest.find('"')? + 1..];
            if let Some(value) = rest.strip_prefix(name).and_then(|r| r.strip_prefix('"')) {
                let value = value.trim_start_matches(|c| c == ' ' || c == ':');
                let end = value.find(|c| c == ',' || c == '}' || c == ' ').unwrap_or(value.len());
                return value[..end].parse().ok();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Params;

    #[test]
    fn numbers() {
        let p = Params(r#"{"gamma": 2,"delta":-1.5e-3, "a": 7 }"#);
        assert_eq!(p.number("gamma"), Some(2.0));
        assert_eq!(p.number("delta"), Some(-1.5e-3));
        assert_eq!(p.number("a"), Some(7.0));
        assert_eq!(p.number("amma"), None);
        assert_eq!(Params("{}").number("gamma"), None);
    }
}
