//! Help texts in Core's layout (src/rpc/util.cpp): usage line, description, arguments.

use super::{Arg, Kind, Method, Need, all};

/// What surrounds an argument while it is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outer {
    Call,
    Array,
    Object,
}

/// Two columns; the right one is aligned over the whole table.
#[derive(Default)]
struct Columns {
    rows: Vec<(String, String)>,
}

impl Columns {
    fn push(&mut self, left: String, right: String) {
        self.rows.push((left, right));
    }

    fn print(&self, out: &mut String) {
        let width = self.rows.iter().map(|(left, _)| left.chars().count()).max().unwrap_or(0) + 4;
        for (left, right) in &self.rows {
            out.push_str(left);
            if !right.is_empty() {
                out.extend(core::iter::repeat_n(' ', width - left.chars().count()));
                out.push_str(right);
            }
            out.push('\n');
        }
    }

    /// The structure inside an argument, one line per element.
    fn push_inside(&mut self, arg: &Arg, indent: usize, outer: Outer) {
        let space = " ".repeat(indent);
        let key = if outer == Outer::Object { format!("\"{}\": ", arg.first_name()) } else { String::new() };
        let right = if outer == Outer::Call { String::new() } else { description(arg, outer == Outer::Object) };
        let comma = if outer == Outer::Call { "" } else { "," };
        let (open, close, inner) = match arg.kind {
            Kind::Obj | Kind::UserKeys => ("{", "}", Outer::Object),
            Kind::Arr => ("[", "]", Outer::Array),
            _ => {
                if outer != Outer::Call {
                    let value = match arg.typed {
                        Some((value, _)) if outer == Outer::Object => value.to_owned(),
                        _ => value(arg, outer),
                    };
                    self.push(format!("{space}{key}{value},"), right);
                }
                return;
            }
        };
        self.push(format!("{space}{key}{open}"), right);
        for element in arg.inner {
            self.push_inside(element, indent + 2, inner);
        }
        if arg.kind != Kind::Obj {
            self.push(format!("{space}  ..."), String::new());
        }
        self.push(format!("{space}{close}{comma}"), String::new());
    }
}

fn value(arg: &Arg, outer: Outer) -> String {
    if outer != Outer::Object {
        return usage(arg);
    }
    match arg.kind {
        Kind::Str => "\"str\"".into(),
        Kind::Hex => "\"hex\"".into(),
        Kind::Num => "n".into(),
        Kind::Range => "n or [n,n]".into(),
        Kind::Amount => "amount".into(),
        Kind::Bool => "bool".into(),
        _ => usage(arg),
    }
}

/// How an argument looks in the usage line.
fn usage(arg: &Arg) -> String {
    if let Some(text) = arg.oneline {
        return text.into();
    }
    let name = arg.first_name();
    match arg.kind {
        Kind::Str | Kind::Hex => format!("\"{name}\""),
        Kind::Num | Kind::Range | Kind::Amount | Kind::Bool => name.into(),
        Kind::Obj | Kind::Named | Kind::UserKeys => {
            let keys: Vec<_> = arg.inner.iter().map(usage_of_key).collect();
            let more = if arg.kind == Kind::Obj { "" } else { ",..." };
            format!("{{{}{more}}}", keys.join(","))
        }
        Kind::Arr => {
            let elements: String = arg.inner.iter().map(|element| usage(element) + ",").collect();
            format!("[{elements}...]")
        }
    }
}

fn usage_of_key(arg: &Arg) -> String {
    let inside = match arg.kind {
        Kind::Arr => usage(arg),
        _ => value(arg, Outer::Object),
    };
    format!("\"{}\":{inside}", arg.first_name())
}

/// Type, necessity and description: `(numeric, required) The height`.
fn description(arg: &Arg, is_named: bool) -> String {
    let kind = match (arg.typed, arg.kind) {
        (Some((_, kind)), _) => kind,
        (None, Kind::Str | Kind::Hex) => "string",
        (None, Kind::Num) => "numeric",
        (None, Kind::Amount) => "numeric or string",
        (None, Kind::Range) => "numeric or array",
        (None, Kind::Bool) => "boolean",
        (None, Kind::Obj | Kind::Named | Kind::UserKeys) => "json object",
        (None, Kind::Arr) => "json array",
    };
    let need = match arg.need {
        Need::Required => ", required".to_owned(),
        Need::Optional if is_named => ", optional".to_owned(),
        Need::Optional => String::new(),
        Need::Hint(text) | Need::Default(text) => format!(", optional, default={text}"),
    };
    let named = if arg.kind == Kind::Named { " Its keys can also be given as named arguments; see below." } else { "" };
    let about = if arg.about.is_empty() { String::new() } else { format!(" {}", arg.about) };
    format!("({kind}{need}){named}{about}")
}

/// The usage line: `getblock "blockhash" ( verbosity )`.
#[must_use]
pub fn usage_line(method: &Method) -> String {
    let mut line = method.name.to_owned();
    let mut optional = false;
    for arg in method.args.iter().take_while(|arg| !arg.hidden) {
        line.push_str(match (optional, arg.is_optional()) {
            (false, true) => " ( ",
            (true, false) => " ) ",
            _ => " ",
        });
        optional = arg.is_optional();
        line.push_str(&usage(arg));
    }
    if optional {
        line.push_str(" )");
    }
    line
}

/// The whole help text of one method, ending with a newline.
#[must_use]
pub fn help_of(method: &Method) -> String {
    let mut text = format!("{}\n\n{}\n", usage_line(method), method.about);
    let mut positions = Columns::default();
    let mut named = Columns::default();
    for (index, arg) in method.args.iter().enumerate().take_while(|(_, arg)| !arg.hidden) {
        positions.push(format!("{}. {}", index + 1, arg.first_name()), description(arg, true));
        positions.push_inside(arg, 5, Outer::Call);
        if arg.kind == Kind::Named {
            for key in arg.inner {
                named.push(key.first_name().to_owned(), description(key, true));
                named.push_inside(key, 5, Outer::Call);
            }
        }
    }
    if !positions.rows.is_empty() {
        text.push_str("\nArguments:\n");
        positions.print(&mut text);
    }
    if !named.rows.is_empty() {
        text.push_str("\nNamed Arguments:\n");
        named.print(&mut text);
    }
    text
}

/// What `help` prints without an argument: usage lines by category. `shown` decides which methods exist.
#[must_use]
pub fn command_list(shown: impl Fn(&Method) -> bool) -> String {
    let mut methods: Vec<_> = all().filter(|method| method.category != "hidden" && shown(method)).collect();
    methods.sort_by_key(|method| (method.category, method.name));
    let mut text = String::new();
    let mut category = "";
    for method in methods {
        if method.category != category {
            if !category.is_empty() {
                text.push('\n');
            }
            category = method.category;
            let mut letters = category.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase()).into_iter();
            text.push_str("== ");
            text.extend(first.chain(letters));
            text.push_str(" ==\n");
        }
        text.push_str(&usage_line(method));
        text.push('\n');
    }
    text.truncate(text.trim_end_matches('\n').len());
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::super::find;
    use super::*;

    #[test]
    fn usage_lines_look_like_cores() {
        for (name, line) in [
            ("getblockcount", "getblockcount"),
            ("getblockhash", "getblockhash height"),
            ("getnewaddress", "getnewaddress ( \"label\" \"address_type\" )"),
            ("stop", "stop"),
            ("getblockstats", "getblockstats hash_or_height ( stats )"),
            (
                "createrawtransaction",
                "createrawtransaction [{\"txid\":\"hex\",\"vout\":n,\"sequence\":n},...] [{\"address\":amount,...},{\"data\":\"hex\"},...] ( locktime replaceable version )",
            ),
        ] {
            assert_eq!(usage_line(find(name).unwrap()), line);
        }
    }

    #[test]
    fn help_names_type_and_need_of_each_argument() {
        let text = help_of(find("getblockhash").unwrap());
        assert!(text.starts_with("getblockhash height\n\n"), "{text}");
        assert!(text.contains("\nArguments:\n1. height    (numeric, required) The height\n"), "{text}");
    }

    #[test]
    fn the_list_has_every_category_in_order_and_no_hidden_method() {
        let text = command_list(|_| true);
        let titles: Vec<_> = text.lines().filter(|line| line.starts_with("== ")).collect();
        assert_eq!(
            titles,
            [
                "== Blockchain ==",
                "== Control ==",
                "== Mining ==",
                "== Network ==",
                "== Rawtransactions ==",
                "== Signer ==",
                "== Util ==",
                "== Wallet ==",
                "== Zmq ==",
            ]
        );
        assert!(!text.contains("generatetoaddress") && !text.ends_with('\n'));
    }
}
