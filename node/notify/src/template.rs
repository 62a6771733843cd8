//! Putting values into a command so that they stay values.

use bulkhead_planted::{Fault, planted};

/// How a value may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Hashes, heights, "unconfirmed": `[0-9A-Za-z_.-]`, as it is.
    Word,
    /// A message: everything but harmless characters is left out, in single quotes (Core's `SanitizeString`).
    Message,
    /// A wallet name: any text, escaped for the shell (Core's `ShellEscape`).
    Name,
}

fn kind(template: &str, key: char) -> Option<Kind> {
    match (template, key) {
        ("blocknotify", 's') | ("walletnotify", 's' | 'b' | 'h') => Some(Kind::Word),
        ("alertnotify", 's') => Some(Kind::Message),
        ("walletnotify", 'w') => Some(Kind::Name),
        _ => None,
    }
}

fn safe(kind: Kind, value: &str) -> Option<String> {
    match kind {
        Kind::Word => {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            (!value.is_empty() && value.bytes().all(allowed)).then(|| value.to_owned())
        }
        Kind::Message => {
            let allowed = |c: &char| c.is_ascii_alphanumeric() || " .,;-_/:?@()".contains(*c);
            Some(format!("'{}'", value.chars().filter(allowed).collect::<String>()))
        }
        Kind::Name if planted(Fault::QuoteInName) => Some(format!("'{value}'")),
        Kind::Name => (!value.contains('\0')).then(|| format!("'{}'", value.replace('\'', "'\"'\"'"))),
    }
}

/// The command with its values. `None`: a value is not allowed. Each placeholder is replaced once, so a value that
/// looks like a placeholder stays as it is.
pub(crate) fn fill(template: &str, command: &str, values: &[(char, &str)]) -> Option<String> {
    let mut out = String::new();
    let mut rest = command;
    while let Some(position) = rest.find('%') {
        out.push_str(rest.get(..position)?);
        rest = rest.get(position + 1..)?;
        let key = rest.chars().next();
        let value = key.and_then(|key| values.iter().find(|(have, _)| *have == key));
        match (key, value) {
            (Some(key), Some((_, value))) if kind(template, key).is_some() => {
                out.push_str(&safe(kind(template, key)?, value)?);
                rest = rest.get(key.len_utf8()..)?;
            }
            _ => out.push('%'),
        }
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_fill_replaces_known_placeholders_once() {
        let filled =
            fill("walletnotify", "x %s %w %b %h %z 5%", &[('s', "ab"), ('w', "my %s"), ('b', "unconfirmed"), ('h', "-1")]);
        assert_eq!(filled.as_deref(), Some("x ab 'my %s' unconfirmed -1 %z 5%"));
    }

    #[test]
    fn test_fill_refuses_or_defuses_shell_syntax() {
        for bad in ["", "a b", "$(id)", "a;b", "`id`", "a'b", "../x/"] {
            assert_eq!(fill("blocknotify", "c %s", &[('s', bad)]), None, "{bad}");
        }
        assert_eq!(fill("alertnotify", "c %s", &[('s', "a'; $(id) `x` \"y\"")]).as_deref(), Some("c 'a; (id) x y'"));
        assert_eq!(fill("walletnotify", "c %w", &[('w', "a'b")]).as_deref(), Some("c 'a'\"'\"'b'"));
        assert_eq!(fill("walletnotify", "c %w", &[('w', "a\0b")]), None);
    }
}
