//! Descriptors against facts from Bitcoin Core's own test vectors (src/test/descriptor_tests.cpp).
#![allow(clippy::unwrap_used, clippy::panic)]

use bitcoin::{Network, NetworkKind};
use bulkhead_descriptor::{Cache, Descriptor, Form, Keys, split_multipath, with_checksum};

fn lines(name: &str, own: &'static str) -> String {
    // The whole set of Core can be tried without being kept here.
    std::env::var(name).map_or_else(|_| own.to_owned(), |path| std::fs::read_to_string(path).unwrap())
}

/// Columns: private form, public form, normalized form, scripts per index, id.
#[test]
fn forms_scripts_and_ids_are_core_s() {
    let mut failures = Vec::new();
    for line in lines("DESCRIPTORS_GOOD", include_str!("data/descriptors.tsv")).lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [private, public, normalized, scripts, id] = columns[..] else { panic!("{line}") };
        if let Err(text) = check(private, public, normalized, scripts, id) {
            failures.push(format!("{public}: {text}"));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

fn same(what: &str, found: Option<String>, expected: &str) -> Result<(), String> {
    let expected = with_checksum(expected);
    if found.as_deref() == Some(expected.as_str()) { Ok(()) } else { Err(format!("{what}: {found:?} instead of {expected}")) }
}

fn check(private: &str, public: &str, normalized: &str, scripts: &str, id: &str) -> Result<(), String> {
    let mut keys = Keys::default();
    let descriptor = Descriptor::parse(private, &mut keys).map_err(|error| error.to_string())?;
    same("public", Some(descriptor.public()), public)?;
    let reparsed =
        Descriptor::parse_with_checksum(&descriptor.public(), &mut Keys::default()).map_err(|error| error.to_string())?;
    if reparsed.public() != descriptor.public() {
        return Err("the public form is another descriptor".into());
    }
    if !keys.is_empty() {
        same("private", descriptor.print(Form::Private(&keys), NetworkKind::Main), private)?;
    }
    let mut reversed = descriptor.id();
    reversed.reverse();
    if !id.is_empty() && hex::encode(reversed) != id {
        return Err(format!("id {} instead of {id}", hex::encode(reversed)));
    }
    let mut cache = Cache::default();
    for (index, expected) in (0..).zip(scripts.split(';')) {
        descriptor.fill_cache(index, &keys, &mut cache).map_err(|error| format!("index {index}: {error}"))?;
        let found = descriptor.expand(index, &cache).map_err(|error| format!("index {index}: {error}"))?.scripts;
        let found: Vec<String> = found.iter().map(|script| hex::encode(script.as_bytes())).collect();
        if found.join(",") != expected {
            return Err(format!("index {index}: {found:?} instead of {expected}"));
        }
    }
    same("normalized", descriptor.print(Form::Normalized(&Keys::default(), &cache), NetworkKind::Main), normalized)
}

/// Columns: private form, public form, Core's text.
#[test]
fn what_core_refuses_is_refused_with_its_text() {
    let mut failures = Vec::new();
    for line in lines("DESCRIPTORS_BAD", include_str!("data/refused.tsv")).lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [_, public, expected] = columns[..] else { panic!("{line}") };
        let parsed = split_multipath(public, false, Network::Bitcoin).and_then(|texts| {
            texts.iter().map(|text| Descriptor::parse(text, &mut Keys::default())).collect::<Result<Vec<_>, _>>()
        });
        match parsed {
            Ok(_) => failures.push(format!("{public}: accepted, {expected}")),
            Err(error) if error.to_string() != expected => failures.push(format!("{public}: {error} instead of {expected}")),
            Err(_) => {}
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn multipath_stands_for_several_descriptors() {
    let split = |text: &str, checksum| {
        split_multipath(&text.replace('X', XPUB), checksum, Network::Bitcoin).map_err(|error| error.to_string())
    };
    let texts = |texts: &[&str]| Ok(texts.iter().map(|text| text.replace('X', XPUB)).collect::<Vec<_>>());
    assert_eq!(
        split("wsh(multi(1,X/<0;1>/*,X/1/<2;3>/*))", false),
        texts(&["wsh(multi(1,X/0/*,X/1/2/*))", "wsh(multi(1,X/1/*,X/1/3/*))"])
    );
    assert_eq!(split("pkh(X/<0h;1'>/*)", false), texts(&["pkh(X/0'/*)", "pkh(X/1'/*)"]));
    assert_eq!(split("pkh(X/*)", false), texts(&["pkh(X/*)"]));
    for (text, error) in [
        ("pkh(X/<0>)", "pkh(): Multipath key path specifiers must have at least two items"),
        ("pkh(X/<0;0>)", "pkh(): Duplicated key path value 0 in multipath specifier"),
        ("pkh(X/<0;*>)", "pkh(): Key path value '*' is not a valid uint32"),
        ("pkh(X/<0;1>h)", "pkh(): Key path value '<0;1>' is not a valid uint32"),
        ("pkh(X/<0;1>/<0;1>)", "pkh(): Multiple multipath key path specifiers found"),
        (
            "pkh([aabbccdd/<0;1>]X)",
            "pkh(): Key path value '<0;1>' specifies multipath in a section where multipath is not allowed",
        ),
        ("tr(X/<0;1>,pk(X/<0;1;2>))", "tr(): Multipath internal key mismatches multipath subscripts lengths"),
        ("tr(X,{pk(X/<0;1>),pk(X/<0;1;2>)})", "tr(): Multipath subscripts have mismatched lengths"),
        ("wsh(and_v(v:pk(X/<0;1>),pk(X/<2;3;4>)))", "Miniscript: Multipath derivation paths have mismatched lengths"),
        ("tr(musig(X/<0;1>,X/<0;1;2>))", "tr(): musig(): Multipath derivation paths have mismatched lengths"),
    ] {
        assert_eq!(split(text, false), Err(error.to_owned()), "{text}");
    }
    assert_eq!(split("pkh(X/*)", true), Err("Missing checksum".into()));
}

#[test]
fn keys_and_addresses_of_other_networks_are_refused() {
    for (text, error) in [
        (format!("pkh({XPUB})"), format!("pkh(): key '{XPUB}' is not valid")),
        (format!("pkh({WIF})"), format!("pkh(): key '{WIF}' is not valid")),
        ("addr(1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2)".into(), "Address is not valid".into()),
        ("addr(bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4)".into(), "Address is not valid".into()),
    ] {
        assert!(split_multipath(&text, false, Network::Bitcoin).is_ok(), "{text}");
        assert_eq!(split_multipath(&text, false, Network::Regtest).unwrap_err().to_string(), error);
    }
}

const XPUB: &str =
    "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap6r1D3tgFxHmwMkQTPH";
const WIF: &str = "L4rK1yDtCWekvXuE6oXD9jCYfFNV2cWRpVuPLBcCU2z8TrisoyY1";

const KEYS: [&str; 3] = [
    "03a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd",
    "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5",
    "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9",
];

fn with_keys(text: &str) -> String {
    KEYS.iter().zip(["A", "B", "C"]).fold(text.to_owned(), |text, (key, name)| text.replace(name, key))
}

fn parse(text: &str) -> Result<Descriptor, String> {
    Descriptor::parse(&with_keys(text), &mut Keys::default()).map_err(|error| error.to_string())
}

fn script(text: &str) -> String {
    parse(text).unwrap().expand(0, &Cache::default()).unwrap().scripts[0].to_hex_string()
}

#[test]
fn sorted_multisigs_are_written_as_given_and_sorted_in_scripts() {
    for (sorted, plain) in [
        ("wsh(sortedmulti(2,A,B))", "wsh(multi(2,B,A))"),
        ("sortedmulti(1,A,C,B)", "multi(1,B,C,A)"),
        ("tr(A,sortedmulti_a(2,A,B))", "tr(A,multi_a(2,A,B))"),
        ("tr(A,{pk(A),sortedmulti_a(2,B,A,C)})", "tr(A,{pk(A),multi_a(2,A,B,C)})"),
    ] {
        assert_eq!(parse(sorted).unwrap().public(), with_checksum(&with_keys(sorted)));
        assert_eq!(script(sorted), script(plain), "{sorted}");
    }
    // What is said of one output names the keys in the order of its script.
    let expansion = parse("wsh(sortedmulti(2,A,B))").unwrap().expand(0, &Cache::default()).unwrap();
    let inferred = expansion.solution(0).unwrap().descriptor();
    assert!(inferred.starts_with("wsh(multi(2,["), "{inferred}");
    assert!(inferred.find(KEYS[1]) < inferred.find(KEYS[0]), "{inferred}");
}

#[test]
fn unused_keys_make_no_script() {
    let unused = parse("unused(A)").unwrap();
    assert!(!unused.has_scripts() && unused.is_single_type() && !unused.is_range());
    assert!(unused.expand(0, &Cache::default()).unwrap().scripts.is_empty());
    assert_eq!(unused.output_type(), None);
    assert_eq!(parse("wsh(unused(A))").unwrap_err(), "Can only have unused at top level");
}

#[test]
fn scripts_that_are_not_sane_are_refused_with_core_s_reasons() {
    for (text, end) in [
        ("wsh(and_v(v:older(1),older(2)))", "is not sane: witnesses without signature exist"),
        ("wsh(and_b(pk(A),s:pk(A)))", "is not sane: contains duplicate public keys"),
        (
            "wsh(and_v(v:pk(A),and_v(v:older(4194305),older(2))))",
            "is not sane: contains mixes of timelocks expressed in blocks and seconds",
        ),
        ("wsh(0)", "0 is not satisfiable"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.ends_with(end), "{text}: {error}");
    }
    assert_eq!(parse("sh(and_v(v:pk(A),pk(B)))").unwrap_err(), "Miniscript expressions can only be used in wsh or tr.");
    assert_eq!(parse("wsh(and_v(pk(A)))").unwrap_err(), "A function is needed within P2WSH");
    // A part that cannot be satisfied alone, beside one that can.
    assert!(parse("wsh(thresh(2,pk(A),s:pk(B),sln:after(104)))").is_ok());
    let warnings = parse("wsh(and_v(v:pk(A),older(65536)))").unwrap().warnings();
    assert_eq!(warnings, ["height-based relative locktime: older(65536) > 65535 blocks is unsafe"]);
}
