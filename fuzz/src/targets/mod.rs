//! The table of targets.

mod codecs;
mod edges;
mod files;
mod peers;

/// Name of a target (also of its folder in `corpus/`), and the function.
pub const TARGETS: &[(&str, fn(&[u8]))] = &[
    // Edges, in both directions.
    ("control_to_child", edges::control_to_child),
    ("control_from_child", edges::control_from_child),
    ("keystore_request", edges::keystore_request),
    ("keystore_reply", edges::keystore_reply),
    ("net_chain_frames", edges::net_chain_frames),
    ("rpc_chain_frames", edges::rpc_chain_frames),
    // Codecs of the network and of the front door.
    ("p2p_frame", codecs::p2p_frame),
    ("p2p_message", codecs::p2p_message),
    ("peer_state_machine", peers::peer_state_machine),
    ("http_request", codecs::http_request),
    ("json_rpc", codecs::json_rpc),
    // Files.
    ("config_file", files::config_file),
    ("settings_file", files::settings_file),
    ("wallet_record", files::wallet_record),
];
