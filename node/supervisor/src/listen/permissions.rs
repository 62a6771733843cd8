//! Permission flags of `-whitebind` and `-whitelist` (Core's `net_permissions.cpp`).

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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn test_split_checks_flags() {
        assert_eq!(split("1.2.3.4:5", false).unwrap(), (String::new(), "1.2.3.4:5".into()));
        assert_eq!(split("noban,relay@1.2.3.4", false).unwrap(), ("noban,relay".into(), "1.2.3.4".into()));
        assert_eq!(split("@1.2.3.4", false).unwrap().0, "none");
        assert_eq!(split("oopsie@1.2.3.4", false).unwrap_err().to_string(), "Invalid P2P permission: 'oopsie'");
        assert!(split("out,noban@1.2.3.4", true).is_ok() && split("out@1.2.3.4", false).is_err());
    }
}
