//! Headers: asking for them, checking them, handing them to chain.

use bitcoin::block::Header;
use bitcoin::consensus::deserialize;
use bitcoin::secp256k1::rand::Rng;
use bulkhead_wire::Message;
use bulkhead_wire::message::{Locator, MAX_HEADERS, hash_hex};
use bulkhead_wire::skim::header_hash;

use super::answers::Continuation;
use super::chain_view::{HeadersOutcome, Question, Tip, VerdictKind};
use super::headers_index::{Hash, HeaderRef};
use super::kind::ConnectionKind;
use super::peer::PeerId;
use super::permission::Permissions;
use super::presync::{ChainStart, HeadersSync};
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

    /// Asks for headers after these blocks, whatever was asked before.
    fn send_getheaders(&mut self, id: PeerId, locator: Vec<Hash>) {
        let now = self.now;
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.last_getheaders = now;
        }
        self.send(id, &Message::GetHeaders(Locator { have: locator, stop: [0; 32] }));
    }

    pub(crate) fn on_headers(&mut self, id: PeerId, headers: Result<Vec<[u8; 80]>, u64>, via_compact: bool) {
        let headers = match headers {
            Ok(headers) => headers,
            Err(count) => {
                self.misbehaving(id, &format!("headers message size = {count}"));
                return;
            }
        };
        if headers.is_empty() {
            if let Some(peer) = self.peers.get_mut(&id) {
                // The peer has nothing more to give.
                peer.presync = None;
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
        let full = headers.len() == MAX_HEADERS;
        let (ready, checked) = match self.continue_presync(id, &headers, full) {
            Some(ready) => (ready, true),
            None => (headers, false),
        };
        let trusted = self.peers.get(&id).is_some_and(|peer| peer.may(Permissions::NO_BAN));
        // While a chain is sampled, that asks for more itself; once its headers are released, their last one leads on.
        let sampling = self.peers.get(&id).is_some_and(|peer| peer.presync.is_some());
        let parts = ready.chunks(MAX_HEADERS);
        let last = parts.len().saturating_sub(1);
        for (number, part) in parts.enumerate() {
            let question = Question::SubmitHeaders(part.to_vec(), checked || trusted);
            let full = full && !sampling && number == last;
            let then = Continuation::Headers { peer: id, headers: part.to_vec(), full, via_compact };
            self.ask(question, then, Some(id));
        }
    }

    /// Goes on with the headers of a chain that has not shown its work. Gives those that are ready to be kept; `None`: the
    /// headers do not belong to such a chain.
    fn continue_presync(&mut self, id: PeerId, headers: &[[u8; 80]], full: bool) -> Option<Vec<[u8; 80]>> {
        let peer = self.peers.get_mut(&id)?;
        let sync = peer.presync.as_mut()?;
        let outcome = sync.process(headers, full, &self.config.rules, id);
        let locator = sync.next_locator();
        if let Some(text) = outcome.text {
            tracing::debug!(target: "net", "{text}");
        }
        if sync.is_over() {
            peer.presync = None;
        }
        if !outcome.success {
            return None;
        }
        peer.last_getheaders = 0;
        if outcome.request_more {
            let from = locator.first().map(hash_hex).unwrap_or_default();
            self.send_getheaders(id, locator);
            tracing::debug!(target: "net", "more getheaders (from {from}) to peer={id}");
        }
        self.report_presync();
        Some(outcome.ready)
    }

    /// Logs how far the best of the chains is whose headers are sampled only.
    fn report_presync(&mut self) {
        /// Between two lines, microseconds.
        const PAUSE: i64 = 250_000;
        if !self.chain.tip.initial_download || self.now < self.last_presync_report + PAUSE {
            return;
        }
        let best = self.peers.values().filter_map(|peer| peer.presync.as_ref()?.presynced()).max_by_key(|(.., work)| *work);
        let Some((height, time, _)) = best else { return };
        self.last_presync_report = self.now;
        let left = ((self.seconds() - i64::from(time)) / self.config.spacing.max(1)).max(0);
        #[allow(clippy::cast_precision_loss)]
        let progress = 100.0 * height as f64 / (height + left).max(1) as f64;
        tracing::info!(target: "net", "Pre-synchronizing blockheaders, height: {height} (~{progress:.2}%)");
    }

    fn has_proof_of_work(&self, raw: &[u8; 80]) -> bool {
        deserialize::<Header>(raw).is_ok_and(|header| {
            let target = header.target();
            target <= self.config.pow_limit && header.validate_pow(target).is_ok()
        })
    }

    /// The chain of these headers has little work so far: begins to sample it when the peer has more, else ignores it.
    fn low_work_headers(&mut self, id: PeerId, headers: &[[u8; 80]], start: Tip) {
        if headers.len() < MAX_HEADERS {
            let count = i32::try_from(headers.len()).unwrap_or(i32::MAX);
            let height = start.at.height.saturating_add(count);
            tracing::debug!(target: "net", "Ignoring low-work chain (height={height}) from peer={id}");
            return;
        }
        let then = Continuation::StartPresync { peer: id, headers: headers.to_vec(), start };
        self.ask(Question::Locator(Some(start.at.hash)), then, Some(id));
    }

    pub(crate) fn start_presync(&mut self, id: PeerId, headers: &[[u8; 80]], start: Tip, locator: Vec<Hash>) {
        let random = [self.rng.r#gen(), self.rng.r#gen(), self.rng.r#gen()];
        let wanted = self.chain.work_threshold();
        let from = ChainStart { at: start.at, bits: start.bits, median_time: start.median_time };
        let sync = HeadersSync::new(self.config.sampling, from, locator, wanted, self.seconds(), random);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        tracing::debug!(target: "net", "{}", sync.started_text(id));
        peer.presync = Some(Box::new(sync));
        // Nothing is ready in the first phase.
        self.continue_presync(id, headers, true);
    }

    pub(crate) fn headers_judged(
        &mut self,
        id: PeerId,
        headers: &[[u8; 80]],
        full: bool,
        via_compact: bool,
        outcome: &HeadersOutcome,
    ) {
        let (Some(first), Some(end)) = (headers.first(), headers.last()) else { return };
        let HeadersOutcome { verdict, last, active, is_new, start } = outcome;
        let (last, active) = (*last, *active);
        let end_hash = header_hash(end);
        if verdict.kind == VerdictKind::MissingPrevious {
            self.unconnecting(id, header_hash(first), parent(first), end_hash);
            return;
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.last_getheaders = if peer.presync.is_some() { peer.last_getheaders } else { 0 };
        let inbound = peer.kind.is_inbound();
        if verdict.kind == VerdictKind::LowWork {
            self.low_work_headers(id, headers, *start);
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
            self.punish_for_block(id, verdict, via_compact, "invalid header received");
            return;
        }
        if last.at.hash != end_hash {
            tracing::debug!(target: "net", "chain answered for another header than was asked, peer={id}");
            return;
        }
        self.headers.insert_run(headers, last.at);
        if *is_new {
            self.log_new_header(id, last.at, false);
        }
        if last.at.work > self.chain.best_header.at.work {
            self.chain.best_header = last;
        }
        if full && self.maybe_send_getheaders(id, Some(end_hash), false, true) {
            tracing::debug!(target: "net", "more getheaders ({}) to end to peer={id}", last.at.height);
        }
        self.update_availability(id, &end_hash);
        self.note_received_headers(id, last.at, *is_new, full);
        if self.can_direct_fetch() && self.chain.tip.at.work <= last.at.work && !active {
            self.plan_then_fetch(id, last.at);
        }
    }

    pub(crate) fn log_new_header(&self, id: PeerId, at: HeaderRef, via_compact: bool) {
        let Some(peer) = self.peers.get(&id) else { return };
        let how = if via_compact { "cmpctblock " } else { "" };
        let text = format!("Saw new {how}header hash={} height={} {}", hash_hex(&at.hash), at.height, self.log_peer(peer));
        if self.chain.tip.initial_download {
            tracing::debug!(target: "validation", "{text}");
        } else {
            tracing::info!(target: "net", "{text}");
        }
    }

    fn note_received_headers(&mut self, id: PeerId, last: HeaderRef, new: bool, may_have_more: bool) {
        let now = self.seconds();
        let minimum = self.chain.minimum_work;
        if self.chain.tip.initial_download
            && !may_have_more
            && let Some(peer) = self.peers.get(&id)
            && peer.kind.is_automatic()
            && peer.best_known.is_some_and(|best| best.work < minimum)
        {
            tracing::info!(target: "net", "outbound peer headers chain has insufficient work, {}", self.disconnect_text(id));
            self.drop_peer(id);
        }
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
