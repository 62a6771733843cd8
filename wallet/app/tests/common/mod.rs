//! A supervisor that runs real key stores on threads, and a chain that lives in a vector.

use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash;
use bitcoin::script::Builder;
use bitcoin::{
    Address, Amount, Block, BlockHash, CompactTarget, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode,
    TxOut, Txid, Witness, absolute, block, transaction,
};
use bitcoin_wallet::app::App;
use bitcoin_wallet::ipc::chain::Chain;
use bitcoin_wallet::ipc::events::Events;
use bitcoin_wallet::ipc::supervisor::Supervisor;
use bulkhead_control::{Answer, ControlError, Request as ControlRequest, WalletConfig};
use bulkhead_keystore_edge::{Request, wire};
use bulkhead_link::Peer;
use bulkhead_schema::wire::wallet_chain_capnp::{wallet_chain, wallet_events};
use keystore::database::Location;
use keystore::service::{Cost, Keystore, Settings};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::str::FromStr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub struct FakeSupervisor {
    folder: PathBuf,
    /// The key stores' ends of the streams, so that a test can cut one.
    streams: Mutex<HashMap<String, UnixStream>>,
    /// Closed when the key store of that name has ended.
    running: Mutex<HashMap<String, Receiver<()>>>,
    /// Wallets that were said to be loaded (`true`) or not any more.
    told: Mutex<Vec<(String, bool)>>,
}

/// How long a wallet that is let go of may keep its key store.
const PATIENCE: Duration = Duration::from_secs(5);

fn serve_keystore(stream: &OwnedFd, settings: Settings) {
    let mut keystore = Keystore::new(settings).unwrap();
    while let Ok((content, beside)) = wire::receive(stream) {
        let request = Request::decode(&content).unwrap();
        let reply = keystore.handle(request, beside);
        if wire::send(stream, &reply.encode().unwrap(), None).is_err() {
            return;
        }
    }
}

impl Supervisor for FakeSupervisor {
    fn request(&self, request: ControlRequest) -> Result<Answer, ControlError> {
        match request {
            ControlRequest::OpenKeystore(open) => {
                let directory = self.folder.join(&open.name);
                // As the real one: a second key store of a wallet waits for the end of the first.
                if let Some(first) = self.running.lock().unwrap().remove(&open.name)
                    && first.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout)
                {
                    return Err(ControlError::Refused { code: -35, message: "the key store does not end".into() });
                }
                if open.create {
                    std::fs::create_dir(&directory).unwrap();
                } else if !directory.exists() {
                    return Err(ControlError::Refused { code: -18, message: "Path does not exist.".into() });
                }
                let (ours, theirs) = UnixStream::pair().unwrap();
                self.streams.lock().unwrap().insert(open.name.clone(), theirs.try_clone().unwrap());
                let (alive, ended) = channel();
                self.running.lock().unwrap().insert(open.name.clone(), ended);
                let settings = Settings {
                    network: Network::Regtest,
                    name: open.name,
                    location: Some(Location {
                        directory,
                        file: "wallet.dat".into(),
                        magic: [0xfa, 0xbf, 0xb5, 0xda],
                        unsafe_sync: true,
                    }),
                    keypool: 2,
                    cost: Cost::Measured,
                    now: bulkhead_control::clock::now,
                };
                std::thread::spawn(move || {
                    let _alive: Sender<()> = alive;
                    serve_keystore(&OwnedFd::from(theirs), settings);
                });
                Ok(Answer { text: String::new(), descriptors: vec![OwnedFd::from(ours)] })
            }
            ControlRequest::UpdateSetting { .. } => Ok(Answer { text: String::new(), descriptors: Vec::new() }),
            _ => Err(ControlError::Refused { code: -1, message: "not in this test".into() }),
        }
    }

    fn notify(&self, _: &str, _: &[(&str, &str)]) {}
    fn init_message(&self, _: &str) {}
    fn warning(&self, _: &str) {}
    fn wallet_loaded(&self, name: &str, loaded: bool) {
        self.told.lock().unwrap().push((name.to_owned(), loaded));
    }
}

#[derive(Default)]
struct State {
    blocks: Vec<Block>,
    stale: HashMap<BlockHash, (Block, i32)>,
    mempool: Vec<Transaction>,
    events: Option<wallet_events::Client>,
    /// Events that the wallet has not taken yet.
    unanswered: Vec<tokio::task::JoinHandle<()>>,
}

impl State {
    fn output(&self, outpoint: &OutPoint) -> Option<TxOut> {
        let confirmed = self.blocks.iter().flat_map(|block| &block.txdata);
        let tx = confirmed.chain(&self.mempool).find(|tx| tx.compute_txid() == outpoint.txid)?;
        tx.output.get(outpoint.vout as usize).cloned()
    }

    fn height(&self) -> i32 {
        self.blocks.len() as i32 - 1
    }
}

struct FakeChain(Rc<RefCell<State>>);

fn fill_tip(state: &State, mut tip: bulkhead_schema::wire::types_capnp::tip::Builder<'_>) {
    let last = state.blocks.last().unwrap();
    tip.set_hash(last.block_hash().as_byte_array());
    tip.set_height(state.height());
    tip.set_time(i64::from(last.header.time));
    tip.set_median_time(i64::from(last.header.time));
}

impl wallet_chain::Server for FakeChain {
    async fn subscribe(
        self: Rc<Self>,
        params: wallet_chain::SubscribeParams,
        mut results: wallet_chain::SubscribeResults,
    ) -> Result<(), capnp::Error> {
        self.0.borrow_mut().events = Some(params.get()?.get_events()?);
        fill_tip(&self.0.borrow(), results.get().init_tip());
        Ok(())
    }

    async fn get_block(
        self: Rc<Self>,
        params: wallet_chain::GetBlockParams,
        mut results: wallet_chain::GetBlockResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let state = self.0.borrow();
        let wanted = params.get_hash()?;
        let position = if wanted.is_empty() {
            usize::try_from(params.get_height()).ok().filter(|height| *height < state.blocks.len())
        } else {
            state.blocks.iter().position(|block| block.block_hash().as_byte_array() == wanted)
        };
        let mut out = results.get();
        let (block, height, active) = match position {
            Some(height) => (&state.blocks[height], height as i32, true),
            None => match state.stale.iter().find(|(hash, _)| hash.as_byte_array() == wanted) {
                Some((_, (block, height))) => (block, *height, false),
                None => return Ok(()),
            },
        };
        out.set_block(&serialize(block));
        out.set_hash(block.block_hash().as_byte_array());
        out.set_height(height);
        out.set_time(i64::from(block.header.time));
        out.set_median_time(i64::from(block.header.time));
        out.set_in_active_chain(active);
        Ok(())
    }

    async fn clusters(
        self: Rc<Self>,
        params: wallet_chain::ClustersParams,
        mut results: wallet_chain::ClustersResults,
    ) -> Result<(), capnp::Error> {
        let state = self.0.borrow();
        // One cluster of everything: who asks for one transaction may be told of more.
        if params.get()?.get_txids()?.is_empty() {
            return Ok(());
        }
        let txids: Vec<Txid> = state.mempool.iter().map(Transaction::compute_txid).collect();
        let mut list = results.get().init_transactions(txids.len() as u32);
        for (index, tx) in state.mempool.iter().enumerate() {
            let mut entry = list.reborrow().get(index as u32);
            let spent: u64 = tx.input.iter().map(|input| state.output(&input.previous_output).unwrap().value.to_sat()).sum();
            let paid: u64 = tx.output.iter().map(|output| output.value.to_sat()).sum();
            entry.set_txid(txids[index].as_byte_array());
            entry.set_vsize(tx.vsize() as i64);
            entry.set_fee((spent - paid) as i64);
            let parents: Vec<u32> = (0..)
                .zip(&txids)
                .filter(|(_, txid)| tx.input.iter().any(|input| input.previous_output.txid == **txid))
                .map(|(position, _)| position)
                .collect();
            let mut out = entry.init_parents(parents.len() as u32);
            for (place, position) in (0..).zip(parents) {
                out.set(place, position);
            }
        }
        Ok(())
    }

    async fn blocks_from(
        self: Rc<Self>,
        _: wallet_chain::BlocksFromParams,
        mut results: wallet_chain::BlocksFromResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_height(0);
        Ok(())
    }

    async fn block_filter(
        self: Rc<Self>,
        params: wallet_chain::BlockFilterParams,
        mut results: wallet_chain::BlockFilterResults,
    ) -> Result<(), capnp::Error> {
        let params = params.get()?;
        let state = self.0.borrow();
        let wanted = params.get_hash()?;
        let found = state.blocks.iter().enumerate().find(|(height, block)| match wanted.is_empty() {
            true => i32::try_from(*height) == Ok(params.get_height()),
            false => block.block_hash().as_byte_array() == wanted,
        });
        if let Some((_, block)) = found {
            results.get().set_hash(block.block_hash().as_byte_array());
        }
        Ok(())
    }

    async fn find_fork(
        self: Rc<Self>,
        params: wallet_chain::FindForkParams,
        mut results: wallet_chain::FindForkResults,
    ) -> Result<(), capnp::Error> {
        let state = self.0.borrow();
        for hash in params.get()?.get_locator()? {
            let hash = hash?;
            if let Some(height) = state.blocks.iter().position(|block| block.block_hash().as_byte_array() == hash) {
                results.get().set_hash(hash);
                results.get().set_height(height as i32);
                return Ok(());
            }
        }
        results.get().set_height(-1);
        Ok(())
    }

    async fn broadcast(
        self: Rc<Self>,
        params: wallet_chain::BroadcastParams,
        mut results: wallet_chain::BroadcastResults,
    ) -> Result<(), capnp::Error> {
        let tx: Transaction = bitcoin::consensus::deserialize(params.get()?.get_transaction()?).unwrap();
        let inputs: Vec<Option<TxOut>> = tx.input.iter().map(|input| self.0.borrow().output(&input.previous_output)).collect();
        if inputs.iter().any(Option::is_none) {
            results.get().init_verdict().set_reason("bad-txns-inputs-missingorspent");
            return Ok(());
        }
        verify(&tx, &inputs.into_iter().flatten().collect::<Vec<_>>());
        let events = self.0.borrow().events.clone();
        self.0.borrow_mut().mempool.push(tx.clone());
        if let Some(events) = events {
            let mut request = events.transaction_added_request();
            request.get().set_transaction(&serialize(&tx));
            // Not awaited: the wallet holds its state while it waits for us.
            let sent = tokio::task::spawn_local(async move { drop(request.send().promise.await) });
            self.0.borrow_mut().unanswered.push(sent);
        }
        results.get().init_verdict().set_accepted(true);
        Ok(())
    }

    async fn verify_inputs(
        self: Rc<Self>,
        _: wallet_chain::VerifyInputsParams,
        _: wallet_chain::VerifyInputsResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }

    async fn coins(
        self: Rc<Self>,
        params: wallet_chain::CoinsParams,
        mut results: wallet_chain::CoinsResults,
    ) -> Result<(), capnp::Error> {
        let wanted = params.get()?.get_outpoints()?;
        let mut list = results.get().init_coins(wanted.len());
        for (index, entry) in wanted.iter().enumerate() {
            let txid = Txid::from_byte_array(entry.get_txid()?.try_into().unwrap());
            if let Some(output) = self.0.borrow().output(&OutPoint { txid, vout: entry.get_vout() }) {
                let mut coin = list.reborrow().get(index as u32);
                coin.set_found(true);
                coin.set_amount(output.value.to_sat() as i64);
                coin.set_script(output.script_pubkey.as_bytes());
            }
        }
        Ok(())
    }

    async fn in_mempool(
        self: Rc<Self>,
        params: wallet_chain::InMempoolParams,
        mut results: wallet_chain::InMempoolResults,
    ) -> Result<(), capnp::Error> {
        let txid = Txid::from_byte_array(params.get()?.get_txid()?.try_into().unwrap());
        let found = self.0.borrow().mempool.iter().any(|tx| tx.compute_txid() == txid);
        results.get().set_in_mempool(found);
        results.get().set_ancestors(1);
        results.get().set_descendants(1);
        Ok(())
    }

    async fn state(
        self: Rc<Self>,
        _: wallet_chain::StateParams,
        mut results: wallet_chain::StateResults,
    ) -> Result<(), capnp::Error> {
        let mut out = results.get();
        fill_tip(&self.0.borrow(), out.reborrow().init_tip());
        out.set_mempool_min_fee(1000);
        out.set_relay_min_fee(1000);
        out.set_incremental_fee(1000);
        out.set_dust_fee(3000);
        Ok(())
    }

    async fn estimate_fee(
        self: Rc<Self>,
        _: wallet_chain::EstimateFeeParams,
        mut results: wallet_chain::EstimateFeeResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_fee_rate(-1);
        Ok(())
    }

    async fn mempool(
        self: Rc<Self>,
        _: wallet_chain::MempoolParams,
        mut results: wallet_chain::MempoolResults,
    ) -> Result<(), capnp::Error> {
        let state = self.0.borrow();
        let mut list = results.get().init_transactions(state.mempool.len() as u32);
        for (index, tx) in state.mempool.iter().enumerate() {
            list.set(index as u32, &serialize(tx));
        }
        Ok(())
    }

    async fn barrier(
        self: Rc<Self>,
        _: wallet_chain::BarrierParams,
        _: wallet_chain::BarrierResults,
    ) -> Result<(), capnp::Error> {
        let unanswered = std::mem::take(&mut self.0.borrow_mut().unanswered);
        for sent in unanswered {
            sent.await.unwrap();
        }
        Ok(())
    }
}

/// Checks every input with miniscript's interpreter: signatures included.
fn verify(tx: &Transaction, spent: &[TxOut]) {
    let secp = bitcoin::secp256k1::Secp256k1::verification_only();
    let prevouts = bitcoin::sighash::Prevouts::All(spent);
    for (index, (input, output)) in tx.input.iter().zip(spent).enumerate() {
        let interpreter = miniscript::interpreter::Interpreter::from_txdata(
            &output.script_pubkey,
            &input.script_sig,
            &input.witness,
            input.sequence,
            tx.lock_time,
        )
        .unwrap();
        for step in interpreter.iter(&secp, tx, index, &prevouts) {
            step.unwrap();
        }
    }
}

pub struct World {
    app: Rc<App>,
    chain: Rc<RefCell<State>>,
    supervisor: Arc<FakeSupervisor>,
    _folder: tempfile::TempDir,
}

fn block_on(previous: Option<&Block>, height: i32, script: ScriptBuf, txs: Vec<Transaction>, salt: u32) -> Block {
    let coinbase = Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: Builder::new().push_int(i64::from(height)).push_int(i64::from(salt)).into_script(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut { value: Amount::from_btc(50.0).unwrap(), script_pubkey: script }],
    };
    let mut txdata = vec![coinbase];
    txdata.extend(txs);
    let time = u32::try_from(bulkhead_control::clock::now()).unwrap() - 10_000 + height as u32;
    let header = block::Header {
        version: block::Version::TWO,
        prev_blockhash: previous.map_or(BlockHash::all_zeros(), Block::block_hash),
        merkle_root: TxMerkleNode::all_zeros(),
        time,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: salt,
    };
    let mut out = Block { header, txdata };
    out.header.merkle_root = out.compute_merkle_root().unwrap();
    out
}

fn config() -> WalletConfig {
    WalletConfig {
        network: "regtest".into(),
        keypool: 2,
        fallbackfee: 20_000,
        mintxfee: 1000,
        discardfee: 10_000,
        consolidatefeerate: 10_000,
        maxtxfee: 10_000_000,
        txconfirmtarget: 6,
        walletrbf: true,
        spendzeroconfchange: true,
        walletbroadcast: true,
        walletrejectlongchains: true,
        limitancestorcount: 25,
        limitdescendantcount: 25,
        limitclustercount: 64,
        limitclustersize: 101_000,
        again: false,
        walletrbf_given: false,
        ..WalletConfig::default()
    }
}

pub async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let supervisor = Arc::new(FakeSupervisor {
        folder: folder.path().to_owned(),
        streams: Mutex::default(),
        running: Mutex::default(),
        told: Mutex::default(),
    });
    let chain = Rc::new(RefCell::new(State::default()));
    chain.borrow_mut().blocks.push(block_on(None, 0, ScriptBuf::new(), Vec::new(), 0));
    let (ours, theirs) = UnixStream::pair().unwrap();
    let server: wallet_chain::Client = capnp_rpc::new_client(FakeChain(chain.clone()));
    bulkhead_link::serve(OwnedFd::from(theirs), "wallet-chain", server.client).unwrap();
    let connection = bulkhead_link::connect::<wallet_chain::Client>(OwnedFd::from(ours), "wallet-chain", None).unwrap();
    let client = connection.client.clone();
    let peer = Peer::new("chain");
    peer.set(connection);
    let app = Rc::new(App::new(config(), Network::Regtest, supervisor.clone(), Chain::new(peer)));
    let events: wallet_events::Client = capnp_rpc::new_client(Events { app: app.clone() });
    let mut request = client.subscribe_request();
    request.get().set_events(events);
    request.send().promise.await.unwrap();
    World { app, chain, supervisor, _folder: folder }
}

impl World {
    async fn call(&self, wallet: &str, method: &str, params: Value) -> Value {
        let uri = if wallet.is_empty() { "/".to_owned() } else { format!("/wallet/{wallet}") };
        let request = json!({"method": method, "params": params}).to_string();
        serde_json::from_str(&bitcoin_wallet::rpc::execute(&self.app, &request, &uri).await).unwrap()
    }

    pub async fn ok(&self, wallet: &str, method: &str, params: Value) -> Value {
        let mut answer = self.call(wallet, method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    pub async fn err(&self, wallet: &str, method: &str, params: Value) -> (i64, String) {
        let answer = self.call(wallet, method, params).await;
        let error = answer.get("error").unwrap_or_else(|| panic!("{method} should have failed: {answer}"));
        (error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned())
    }

    /// Mines blocks to an address; the first takes the mempool along.
    pub async fn mine(&self, address: &str, count: usize) {
        let script = Address::from_str(address).unwrap().assume_checked().script_pubkey();
        for _ in 0..count {
            let (block, height, events) = {
                let mut state = self.chain.borrow_mut();
                let txs = std::mem::take(&mut state.mempool);
                let height = state.height() + 1;
                let salt = 1 + state.stale.len() as u32;
                let block = block_on(state.blocks.last(), height, script.clone(), txs, salt);
                state.blocks.push(block.clone());
                (block, height, state.events.clone().unwrap())
            };
            let mut request = events.block_connected_request();
            request.get().set_hash(block.block_hash().as_byte_array());
            request.get().set_height(height);
            request.get().set_block(&serialize(&block));
            request.send().promise.await.unwrap();
        }
    }

    /// Takes blocks off the tip.
    pub async fn disconnect(&self, count: usize) {
        for _ in 0..count {
            let (block, height, events) = {
                let mut state = self.chain.borrow_mut();
                let height = state.height();
                let block = state.blocks.pop().unwrap();
                state.stale.insert(block.block_hash(), (block.clone(), height));
                (block, height, state.events.clone().unwrap())
            };
            let mut request = events.block_disconnected_request();
            request.get().set_hash(block.block_hash().as_byte_array());
            request.get().set_height(height);
            request.get().set_block(&serialize(&block));
            request.send().promise.await.unwrap();
        }
    }

    /// The file of a wallet.
    pub fn file(&self, name: &str) -> PathBuf {
        self.supervisor.folder.join(name).join("wallet.dat")
    }

    /// What the supervisor was told about loaded wallets since the last time: name, and whether it is loaded.
    pub fn told(&self) -> Vec<(String, bool)> {
        std::mem::take(&mut *self.supervisor.told.lock().unwrap())
    }

    /// Cuts the stream to a key store, as its death would.
    pub fn kill_keystore(&self, name: &str) {
        let stream = self.supervisor.streams.lock().unwrap().remove(name).unwrap();
        stream.shutdown(std::net::Shutdown::Both).unwrap();
    }
}
