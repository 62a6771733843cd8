//! Descriptors against facts from Bitcoin Core's own test vectors (src/test/descriptor_tests.cpp).
#![allow(clippy::unwrap_used, clippy::panic)]

use bitcoin::NetworkKind;
use bulkhead_wallet_core::Descriptor;
use bulkhead_wallet_core::descriptor::{Cache, Form, Keys, split_multipath, with_checksum};

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
        let parsed = split_multipath(public, false).and_then(|texts| {
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
    let text = "wsh(multi(1,xpubA/<0;1>/*,xpubB/1/<2;3h>/*))";
    assert_eq!(
        split_multipath(text, false).unwrap(),
        ["wsh(multi(1,xpubA/0/*,xpubB/1/2/*))", "wsh(multi(1,xpubA/1/*,xpubB/1/3h/*))"]
    );
    assert_eq!(split_multipath("pkh(xpub/*)", false).unwrap(), ["pkh(xpub/*)"]);
    assert!(split_multipath("pkh(xpub/*)", true).is_err());
}
