//! Permission flags of `-whitebind` and `-whitelist` (Core's `net_permissions.cpp`).

use std::net::IpAddr;

use crate::error::{NodeError, init};

const KNOWN: [&str; 8] = ["bloomfilter", "bloom", "noban", "forcerelay", "mempool", "download", "all", "relay"];

/// Splits "flags@address". The flags are checked; "in" and "out" are directions, for `-whitelist` only.
pub(crate) fn split(option: &str, directions: bool) -> Result<(String, String), NodeError> {
    let Some((flags, address)) = option.rsplit_once('@') else {
        return Ok((String::new(), option.to_owned()));
    };
    let mut kept = Vec::new();
    for flag in flags.split(',') {
        match flag {
            "addr" => kept.push(flag),
            known if KNOWN.contains(&known) => kept.push(known),
            "in" | "out" if directions => kept.push(flag),
            "in" | "out" => {
                return Err(init("whitebind may only be used for incoming connections (\"out\" was passed)"));
            }
            // "a,,b" and "@addr" are tolerated.
            "" => {}
            other => return Err(init(format!("Invalid P2P permission: '{other}'"))),
        }
    }
    // No flag at all is different from no "@": it means none.
    let kept = if kept.is_empty() { "none".to_owned() } else { kept.join(",") };
    Ok((kept, address.to_owned()))
}

/// Checks a `-whitelist` entry: flags, directions and the range that they apply to.
///
/// # Errors
/// Core's texts.
pub(crate) fn check_whitelist(option: &str) -> Result<(), NodeError> {
    let (flags, range) = split(option, true)?;
    let directions = flags.split(',').filter(|flag| matches!(*flag, "in" | "out")).count();
    if directions > 0 && directions == flags.split(',').count() {
        return Err(init(format!("Only direction was set, no permissions: '{option}'")));
    }
    if is_range(&range) { Ok(()) } else { Err(init(format!("Invalid netmask specified in -whitelist: '{range}'"))) }
}

/// Whether the text is an address, with or without the length of a prefix or a mask.
fn is_range(text: &str) -> bool {
    let (host, mask) = text.split_once('/').map_or((text, None), |(host, mask)| (host, Some(mask)));
    let Ok(host) = host.trim_matches(['[', ']']).parse::<IpAddr>() else { return false };
    let bits = if host.is_ipv4() { 32 } else { 128 };
    let contiguous = |mask: IpAddr| match mask {
        IpAddr::V4(mask) => host.is_ipv4() && u32::from(mask).leading_ones() + u32::from(mask).trailing_zeros().min(32) >= 32,
        IpAddr::V6(mask) => host.is_ipv6() && u128::from(mask).leading_ones() + u128::from(mask).trailing_zeros().min(128) >= 128,
    };
    mask.is_none_or(|mask| {
        mask.parse::<u8>().is_ok_and(|length| u32::from(length) <= bits) || mask.parse::<IpAddr>().is_ok_and(contiguous)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_whitelist_needs_permissions_and_a_range() {
        for good in ["127.0.0.1", "noban,out@127.0.0.1/8", "@10.0.0.0/255.0.0.0", "relay@[::1]/64", "all@::/0"] {
            assert!(check_whitelist(good).is_ok(), "{good}");
        }
        let error = |option: &str| check_whitelist(option).unwrap_err().to_string();
        assert_eq!(error("in,out@127.0.0.1"), "Only direction was set, no permissions: 'in,out@127.0.0.1'");
        for bad in ["127.0.0.1:230", "127.0.0.1/33", "10.0.0.0/255.0.255.0", "name", "::1/255.0.0.0"] {
            assert_eq!(error(&format!("noban@{bad}")), format!("Invalid netmask specified in -whitelist: '{bad}'"));
        }
    }

    #[test]
    fn test_split_checks_flags() {
        assert_eq!(split("1.2.3.4:5", false).unwrap(), (String::new(), "1.2.3.4:5".into()));
        assert_eq!(split("noban,relay@1.2.3.4", false).unwrap(), ("noban,relay".into(), "1.2.3.4".into()));
        assert_eq!(split("@1.2.3.4", false).unwrap().0, "none");
        assert_eq!(split("oopsie@1.2.3.4", false).unwrap_err().to_string(), "Invalid P2P permission: 'oopsie'");
        assert!(split("out,noban@1.2.3.4", true).is_ok() && split("out@1.2.3.4", false).is_err());
    }
}
