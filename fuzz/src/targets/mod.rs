//! The table of targets.

mod answers;
mod codecs;
#[cfg(feature = "engine")]
mod consensus;
mod edges;
mod files;
mod links;
mod peers;
#[cfg(feature = "engine")]
mod stored;
mod texts;
mod vault;

#[cfg(feature = "engine")]
pub use links::ask;

use crate::Target;

/// Name of a target (also of its folder in `corpus/`), and the function.
pub const TARGETS: &[(&str, Target)] = &[
    // Edges, in both directions.
    ("control_to_child", edges::control_to_child),
    ("control_from_child", edges::control_from_child),
    ("keystore_request", edges::keystore_request),
    ("keystore_reply", edges::keystore_reply),
    ("net_chain_frames", edges::net_chain_frames),
    ("rpc_chain_frames", edges::rpc_chain_frames),
    ("notify_frames", edges::notify_frames),
    // Whole conversations with a live end, and what a live end hears from one that was taken over.
    ("keystore_sequence", vault::keystore_sequence),
    ("net_chain_client", links::net_chain_client),
    ("wallet_chain_client", links::wallet_chain_client),
    ("rpc_chain_client", links::rpc_chain_client),
    ("rpc_net_client", links::rpc_net_client),
    ("rpc_wallet_client", links::rpc_wallet_client),
    ("gui_client", links::gui_client),
    ("echo_server", links::echo_server),
    ("rpc_net_server", links::rpc_net_server),
    ("net_chain_events", links::net_chain_events),
    // Codecs of the network and of the front door.
    ("p2p_frame", codecs::p2p_frame),
    ("p2p_message", codecs::p2p_message),
    ("peer_state_machine", peers::peer_state_machine),
    ("p2p_skim", codecs::p2p_skim),
    ("v2_stream", codecs::v2_stream),
    ("v2_contents", codecs::v2_contents),
    ("socks5_reply", answers::socks5_reply),
    ("sam_reply", answers::sam_reply),
    ("tor_control_reply", answers::tor_control_reply),
    ("router_answer", answers::router_answer),
    ("dns_answer", answers::dns_answer),
    ("resolver_files", answers::resolver_files),
    ("http_request", codecs::http_request),
    ("json_rpc", codecs::json_rpc),
    ("rpc_arguments", codecs::rpc_arguments),
    // Files.
    ("config_file", files::config_file),
    ("settings_file", files::settings_file),
    ("wallet_record", files::wallet_record),
    ("peers_file", files::peers_file),
    ("anchors_file", files::anchors_file),
    ("ban_list", files::ban_list),
    ("asmap_file", files::asmap_file),
    // Texts of users.
    ("psbt", texts::psbt),
    ("descriptor", texts::descriptor),
    ("wallet_descriptor", texts::wallet_descriptor),
    ("address", texts::address),
    ("bech32", texts::bech32),
    ("network_address", texts::network_address),
    ("raw_transaction", texts::raw_transaction),
    ("script_text", texts::script_text),
    ("amount", texts::amount),
    ("spending_rules", texts::spending_rules),
    ("notify_template", texts::notify_template),
    // What needs RocksDB: values of the databases, of block files and of files, and chain itself.
    #[cfg(feature = "engine")]
    ("stored_coin", stored::coin),
    #[cfg(feature = "engine")]
    ("stored_undo", stored::undo),
    #[cfg(feature = "engine")]
    ("stored_block_record", stored::block_record),
    #[cfg(feature = "engine")]
    ("stored_tx_position", stored::tx_position),
    #[cfg(feature = "engine")]
    ("compressed_amount", stored::compressed_amount),
    #[cfg(feature = "engine")]
    ("mempool_file", stored::mempool_file),
    #[cfg(feature = "engine")]
    ("snapshot_file", stored::snapshot_file),
    #[cfg(feature = "engine")]
    ("net_chain_server", links::net_chain_server),
    #[cfg(feature = "engine")]
    ("rpc_chain_server", links::rpc_chain_server),
    #[cfg(feature = "engine")]
    ("wallet_chain_server", links::wallet_chain_server),
    // The front door and the wallet before that chain.
    #[cfg(feature = "engine")]
    ("outside_rpc_server", links::outside_rpc_server),
    #[cfg(feature = "engine")]
    ("gui_rpc_server", links::gui_rpc_server),
    #[cfg(feature = "engine")]
    ("rpc_chain_events", links::rpc_chain_events),
    #[cfg(feature = "engine")]
    ("rpc_wallet_server", links::rpc_wallet_server),
    #[cfg(feature = "engine")]
    ("gui_wallet_server", links::gui_wallet_server),
    #[cfg(feature = "engine")]
    ("wallet_chain_events", links::wallet_chain_events),
    // Rust beside libbitcoinkernel.
    #[cfg(feature = "engine")]
    ("script_engines", consensus::script_engines),
    #[cfg(feature = "engine")]
    ("transaction_codec", consensus::transaction_codec),
    #[cfg(feature = "engine")]
    ("block_checks", consensus::block_checks),
];
