//! What a peer may do beyond the ordinary (Core: `net_permissions.h`), and how `-whitelist`, `-whitebind` name it.

use bulkhead_wire::Subnet;

/// A set of permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u32);

impl Permissions {
    /// None.
    pub const NONE: Self = Self(0);
    /// May load a bloom filter although `-peerbloomfilters` is off.
    pub const BLOOM: Self = Self(1 << 1);
    /// Its transactions are relayed although `-blocksonly` is on.
    pub const RELAY: Self = Self(1 << 3);
    /// Its transactions are relayed although they are in the mempool already.
    pub const FORCE_RELAY: Self = Self(1 << 2 | 1 << 3);
    /// May download beyond the upload limit and during initial block download.
    pub const DOWNLOAD: Self = Self(1 << 6);
    /// Is not disconnected or discouraged for misbehaviour.
    pub const NO_BAN: Self = Self(1 << 4 | 1 << 6);
    /// May ask for the mempool.
    pub const MEMPOOL: Self = Self(1 << 5);
    /// May ask for and send addresses without limits.
    pub const ADDR: Self = Self(1 << 7);
    /// No list was given: the defaults apply.
    pub const IMPLICIT: Self = Self(1 << 31);
    /// Everything that `all` stands for.
    pub const ALL: Self = Self(1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7);

    /// Whether every bit of `other` is set.
    #[must_use]
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Adds permissions.
    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    fn clear(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    /// Resolves [`Permissions::IMPLICIT`] as `-whitelistrelay` and `-whitelistforcerelay` say.
    pub fn resolve_implicit(&mut self, relay: bool, force_relay: bool) {
        if !self.has(Self::IMPLICIT) {
            return;
        }
        self.clear(Self::IMPLICIT);
        if force_relay {
            self.add(Self::FORCE_RELAY);
        }
        if relay {
            self.add(Self::RELAY);
        }
        self.add(Self::MEMPOOL);
        self.add(Self::NO_BAN);
    }

    /// Names as RPCs show them.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        [
            (Self::BLOOM, "bloomfilter"),
            (Self::NO_BAN, "noban"),
            (Self::FORCE_RELAY, "forcerelay"),
            (Self::RELAY, "relay"),
            (Self::MEMPOOL, "mempool"),
            (Self::DOWNLOAD, "download"),
            (Self::ADDR, "addr"),
        ]
        .into_iter()
        .filter(|(flag, _)| self.has(*flag))
        .map(|(_, name)| name)
        .collect()
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "bloomfilter" | "bloom" => Self::BLOOM,
            "noban" => Self::NO_BAN,
            "forcerelay" => Self::FORCE_RELAY,
            "mempool" => Self::MEMPOOL,
            "download" => Self::DOWNLOAD,
            "all" => Self::ALL,
            "relay" => Self::RELAY,
            "addr" => Self::ADDR,
            _ => return None,
        })
    }
}

/// One `-whitelist` entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whitelisted {
    /// Range that it applies to.
    pub range: Subnet,
    /// What it grants.
    pub permissions: Permissions,
    /// For peers that connect to us.
    pub incoming: bool,
    /// For peers that we connect to by hand.
    pub outgoing: bool,
}

/// Splits `permissions@rest`. Without `@`, the permissions are [`Permissions::IMPLICIT`]. `None` for a name that
/// does not exist; the supervisor has refused such a configuration before.
#[must_use]
pub fn split_permissions(text: &str) -> Option<(Permissions, bool, bool, &str)> {
    let Some((list, rest)) = text.split_once('@') else {
        return Some((Permissions::IMPLICIT, true, false, text));
    };
    let mut flags = Permissions::NONE;
    let (mut incoming, mut outgoing) = (false, false);
    for name in list.split(',').filter(|name| !name.is_empty()) {
        match name {
            "in" => incoming = true,
            "out" => outgoing = true,
            _ => flags.add(Permissions::named(name)?),
        }
    }
    Some((flags, incoming || !outgoing, outgoing, rest))
}

/// Reads a `-whitelist` entry.
#[must_use]
pub fn parse_whitelist(text: &str) -> Option<Whitelisted> {
    let (permissions, incoming, outgoing, rest) = split_permissions(text)?;
    Some(Whitelisted { range: Subnet::parse(rest)?, permissions, incoming, outgoing })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn whitelist_entries_are_read() {
        let entry = parse_whitelist("noban,out@127.0.0.1/8").unwrap();
        assert_eq!(entry.permissions.names(), ["noban", "download"]);
        assert!(entry.outgoing && !entry.incoming);
        assert!(parse_whitelist("oops@127.0.0.1").is_none());
    }

    #[test]
    fn implicit_grants_the_defaults() {
        let mut flags = parse_whitelist("127.0.0.1").unwrap().permissions;
        flags.resolve_implicit(true, false);
        assert_eq!(flags.names(), ["noban", "relay", "mempool", "download"]);
    }
}
