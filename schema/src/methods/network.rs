//! Peers and addresses.

use super::Kind::{Bool, Hex, Num, Str};
use super::Need::{Default, Hint, Required};
use super::Owner::Net;
use super::{Method, a, m};

/// Methods of this family.
pub(super) const METHODS: &[Method] = &[
    m(
        "addconnection",
        "hidden",
        Net,
        "Opens an outbound connection of a given type. For tests on regtest.",
        &[
            a("address", Str, Required, "The address"),
            a("connection_type", Str, Required, "Type of the connection"),
            a("v2transport", Bool, Required, "Try the encrypted transport (BIP 324)"),
        ],
    ),
    m(
        "addnode",
        "network",
        Net,
        "Adds or removes a peer that the node tries to stay connected to, or connects to it once.",
        &[
            a("node", Str, Required, "The address of the peer"),
            a("command", Str, Required, "What to do"),
            a("v2transport", Bool, Hint("set by -v2transport"), "Try the encrypted transport (BIP 324)"),
        ],
    ),
    m(
        "addpeeraddress",
        "hidden",
        Net,
        "Adds an address to the address manager. For tests.",
        &[
            a("address", Str, Required, "The address"),
            a("port", Num, Required, "The port"),
            a("tried", Bool, Default("false"), "Put it into the table of tried addresses"),
        ],
    ),
    m("clearbanned", "network", Net, "Removes every ban.", &[]),
    m(
        "disconnectnode",
        "network",
        Net,
        "Disconnects from one peer, named by address or by id.",
        &[a("address", Str, Hint("by nodeid"), "The address"), a("nodeid", Num, Hint("by address"), "The id of the peer")],
    ),
    m("exportasmap", "network", Net, "Writes the built-in AS map to a file.", &[a("path", Str, Required, "The file")]),
    m(
        "getaddednodeinfo",
        "network",
        Net,
        "Returns the peers that were added with addnode.",
        &[a("node", Str, Hint("all nodes"), "The address of the peer")],
    ),
    m("getaddrmaninfo", "network", Net, "Returns how many addresses of each network are known.", &[]),
    m("getconnectioncount", "network", Net, "Returns the number of connected peers.", &[]),
    m("getnettotals", "network", Net, "Returns the bytes sent and received since the start.", &[]),
    m(
        "getnetworkinfo",
        "network",
        Net,
        "Returns the state of the P2P network, for each of (ipv4, ipv6, onion, i2p, cjdns) too.",
        &[],
    ),
    m(
        "getnodeaddresses",
        "network",
        Net,
        "Returns known addresses of peers, chosen at random.",
        &[a("count", Num, Default("1"), "How many"), a("network", Str, Hint("all networks"), "Only this network")],
    ),
    m(
        "getorphantxs",
        "hidden",
        Net,
        "Returns the transactions that wait for their parents. Its form may change.",
        &[a("verbosity", Num, Default("0"), "How much detail").unchecked()],
    ),
    m(
        "getpeerinfo",
        "network",
        Net,
        "Returns what is known of each connected peer. Its network is one of (ipv4, ipv6, onion, i2p, cjdns, not_publicly_routable).",
        &[],
    ),
    m("getrawaddrman", "hidden", Net, "Returns every entry of the address manager's tables. For tests.", &[]),
    m("listbanned", "network", Net, "Returns the banned addresses and subnets.", &[]),
    m("ping", "network", Net, "Pings every peer, to measure the time until they answer. The results appear in getpeerinfo.", &[]),
    m(
        "sendmsgtopeer",
        "hidden",
        Net,
        "Sends a raw P2P message to a peer. For tests.",
        &[
            a("peer_id", Num, Required, "The id of the peer"),
            a("msg_type", Str, Required, "The type of message"),
            a("msg", Hex, Required, "The message in hex"),
        ],
    ),
    m(
        "setban",
        "network",
        Net,
        "Bans an address or subnet, or lifts a ban.",
        &[
            a("subnet", Str, Required, "Address or subnet"),
            a("command", Str, Required, "What to do"),
            a("bantime", Num, Default("0"), "Seconds of the ban, or its end as a time (0: the default of 24 hours)"),
            a("absolute", Bool, Default("false"), "Take the timestamp as an absolute time"),
        ],
    ),
    m("setnetworkactive", "network", Net, "Switches all P2P activity on or off.", &[a("state", Bool, Required, "The new state")]),
];
