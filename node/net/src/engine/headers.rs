//! Headers: asking for them, checking them, handing them to chain.

use bitcoin::block::Header;
use bitcoin::consensus::deserialize;
use bulkhead_wire::Message;
use bulkhead_wire::message::{Locator, MAX_HEADERS, hash_hex};
use bulkhead_wire::skim::header_hash;

use super::answers::Continuation;
use super::chain_view::{Question, Tip, Verdict, VerdictKind};
use super::headers_index::{Hash, HeaderRef};
use super::kind::ConnectionKind;
use super::peer::PeerId;
use super::permission::Permissions;
use super::{Engine, SECOND};

/// A `getheaders` may be repeated after this long.
const RESPONSE_TIME: i64 = 120 * SECOND;
/// Outbound peers with a good chain that are exempt from the lagging-chain rule.
const MAX_PROTECTED: usize = 4;

fn parent(header: &[u8; 80]) -> Hash {
    let mut prev = [0; 32];
    prev.copy_from_slice(&header[4..36]);
    prev
}

impl Engine {
    /// Asks the peer for headers after `from` (`None`: our best header), unless we did so a moment ago.
    /// `before`: start one block earlier, so that an up-to-date peer has something to answer.
    pub(crate) fn maybe_send_getheaders(&mut self, id: PeerId, from: Option<Hash>, before: bool, blocking: bool) -> bool {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        if peer.last_getheaders != 0 && now - peer.last_getheaders <= RESPONSE_TIME {
            return false;
        }
        peer.last_getheaders = now;
        self.ask(Question::Locator(from), Continuation::GetHeaders { peer: id, before }, blocking.then_some(id));
        true
    }

    pub(crate) fn locator_ready(&mut self, id: PeerId, mut hashes: Vec<Hash>, before: bool) {
        if before && hashes.len() > 1 {
            hashes.remove(0);
        }
        self.send(id, &Message::GetHeaders(Locator { have: hashes, stop: [0; 32] }));
    }

    pub(crate) fn on_headers(&mut self, id: PeerId, headers: Result<Vec<[u8; 80]>, u64>) {
        let headers = match headers {
            Ok(headers) => headers,
            Err(count) => {
                self.misbehaving(id, &format!("headers message size = {count}"));
                return;
            }
        };
        if headers.is_empty() {
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.last_getheaders = 0;
            }
            return;
        }
        if !headers.iter().all(|raw| self.has_proof_of_work(raw)) {
            self.misbehaving(id, "header with invalid proof of work");
            return;
        }
        if !headers.windows(2).all(|pair| parent(&pair[1]) == header_hash(&pair[0])) {
            self.misbehaving(id, "non-continuous headers sequence");
            return;
        }
        let trusted = self.peers.get(&id).is_some_and(|peer| peer.may(Permissions::NO_BAN));
        let question = Question::SubmitHeaders(headers.clone(), trusted);
        self.ask(question, Continuation::Headers { peer: id, headers }, Some(id));
    }

    fn has_proof_of_work(&self, raw: &[u8; 80]) -> bool {
        deserialize::<Header>(raw).is_ok_and(|header| {
            let target = header.target();
            target <= self.config.pow_limit && header.validate_pow(target).is_ok()
        })
    }

    pub(crate) fn headers_judged(&mut self, id: PeerId, headers: &[[u8; 80]], verdict: &Verdict, last: Tip, active: bool) {
        let (Some(first), Some(end)) = (headers.first(), headers.last()) else { return };
        let end_hash = header_hash(end);
        if verdict.kind == VerdictKind::MissingPrevious {
            self.unconnecting(id, header_hash(first), parent(first), end_hash);
            return;
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.last_getheaders = 0;
        let inbound = peer.kind.is_inbound();
        if verdict.kind == VerdictKind::LowWork {
            let count = i32::try_from(headers.len()).unwrap_or(i32::MAX);
            let start = self.headers.get(&parent(first)).map_or(last.at.height, |at| at.height);
            tracing::debug!(
                target: "net",
                "Ignoring low-work chain (height={}) from peer={id}", start.saturating_add(count)
            );
            return;
        }
        if !verdict.accepted {
            if !inbound && verdict.kind == VerdictKind::CachedInvalid {
                tracing::warn!(
                    target: "net",
                    "{} (received from peer={id}). If this happens with all peers, consider database corruption (that -reindex may fix) or a potential consensus incompatibility.",
                    verdict.debug
                );
            }
            self.punish_for_block(id, verdict, false, "invalid header received");
            return;
        }
        if last.at.hash != end_hash {
            tracing::debug!(target: "net", "chain answered for another header than was asked, peer={id}");
            return;
        }
        let new = self.headers.get(&end_hash).is_none() && !active && self.chain.best_header.at.hash != end_hash;
        self.headers.insert_run(headers, last.at);
        if new {
            self.log_new_header(id, last.at);
        }
        if last.at.work > self.chain.best_header.at.work {
            self.chain.best_header = last;
        }
        if headers.len() == MAX_HEADERS && self.maybe_send_getheaders(id, Some(end_hash), false, true) {
            tracing::debug!(target: "net", "more getheaders ({}) to end to peer={id}", last.at.height);
        }
        self.update_availability(id, &end_hash);
        self.note_received_headers(id, last.at, new);
        if self.can_direct_fetch() && self.chain.tip.at.work <= last.at.work && !active {
            self.plan_then_fetch(id, last.at);
        }
    }

    fn log_new_header(&self, id: PeerId, at: HeaderRef) {
        let Some(peer) = self.peers.get(&id) else { return };
        let text = format!("Saw new header hash={} height={} {}", hash_hex(&at.hash), at.height, self.log_peer(peer));
        if self.chain.tip.initial_download {
            tracing::debug!(target: "validation", "{text}");
        } else {
            tracing::info!(target: "net", "{text}");
        }
    }

    fn note_received_headers(&mut self, id: PeerId, last: HeaderRef, new: bool) {
        let now = self.seconds();
        let tip_work = self.chain.tip.at.work;
        let protected = self.peers.values().filter(|peer| peer.chain_sync.protect).count();
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if new && last.work > tip_work {
            peer.last_announcement = now;
        }
        let good = peer.best_known.is_some_and(|best| best.work >= tip_work);
        if !peer.disconnect
            && peer.is(ConnectionKind::OutboundFullRelay)
            && protected < MAX_PROTECTED
            && good
            && !peer.chain_sync.protect
        {
            tracing::debug!(target: "net", "Protecting outbound peer={id} from eviction");
            peer.chain_sync.protect = true;
        }
    }

    fn unconnecting(&mut self, id: PeerId, first: Hash, prev: Hash, last: Hash) {
        let height = self.chain.best_header.at.height;
        if self.maybe_send_getheaders(id, None, false, true) {
            tracing::debug!(
                target: "net",
                "received header {}: missing prev block {}, sending getheaders ({height}) to end (peer={id})",
                hash_hex(&first), hash_hex(&prev)
            );
        }
        self.update_availability(id, &last);
    }

    /// The peer has the block with this hash.
    pub(crate) fn update_availability(&mut self, id: PeerId, hash: &Hash) {
        self.resolve_unknown(id);
        let known = self.headers.get(hash);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        match known {
            Some(at) => {
                if peer.best_known.is_none_or(|best| at.work >= best.work) {
                    peer.best_known = Some(at);
                }
            }
            None => peer.last_unknown = Some(*hash),
        }
    }

    /// A block that the peer announced before we knew it may be known by now.
    pub(crate) fn resolve_unknown(&mut self, id: PeerId) {
        let Some(hash) = self.peers.get(&id).and_then(|peer| peer.last_unknown) else { return };
        let Some(at) = self.headers.get(&hash) else { return };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.best_known.is_none_or(|best| at.work >= best.work) {
            peer.best_known = Some(at);
        }
        peer.last_unknown = None;
    }

    /// Whether the peer has this header, as far as we can tell.
    pub(crate) fn peer_has_header(&self, id: PeerId, at: &HeaderRef) -> bool {
        self.peers.get(&id).is_some_and(|peer| {
            [peer.best_known, peer.best_sent].into_iter().flatten().any(|best| self.headers.is_ancestor(at, &best))
        })
    }

    /// Whether our tip is recent enough to fetch announced blocks at once.
    pub(crate) fn can_direct_fetch(&self) -> bool {
        self.chain.ready && self.chain.tip.time > self.seconds() - self.config.spacing * 20
    }

    /// Whether headers and blocks may be fetched from this peer during initial download.
    pub(crate) fn may_sync_from(&self, id: PeerId) -> bool {
        let Some(peer) = self.peers.get(&id) else { return false };
        if peer.preferred_download {
            return true;
        }
        let preferred = self.peers.values().any(|other| other.preferred_download);
        peer.can_serve_blocks() && !peer.is(ConnectionKind::AddrFetch) && (!preferred || self.block_requests.is_empty())
    }

    pub(crate) fn maybe_start_sync(&mut self, id: PeerId) {
        if !self.chain.ready || self.chain.loading {
            return;
        }
        let started = self.peers.values().filter(|peer| peer.sync_started).count();
        let recent = self.chain.best_header.time > self.seconds() - 24 * 60 * 60;
        let allowed = self.may_sync_from(id);
        let Some(peer) = self.peers.get(&id) else { return };
        if peer.sync_started || !peer.can_serve_blocks() || !((started == 0 && allowed) || recent) {
            return;
        }
        let height = self.chain.best_header.at.height;
        if !self.maybe_send_getheaders(id, None, height > 0, false) {
            return;
        }
        tracing::debug!(target: "net", "initial getheaders ({}) to peer={id}", (height - 1).max(0));
        let missing = (self.seconds() - self.chain.best_header.time).max(0) / self.config.spacing.max(1);
        let timeout = self.now.saturating_add(15 * 60 * SECOND).saturating_add(missing.saturating_mul(1000));
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.sync_started = true;
            peer.headers_timeout = timeout;
        }
    }
}
