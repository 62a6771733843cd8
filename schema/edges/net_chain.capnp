# Edge: net - chain. Net calls, chain serves; chain calls back through NetEvents. Everything that net says
# is untrusted. Hashes are 32 bytes in internal order.
@0xaf304ff4c5acb97a;

using Types = import "types.capnp";

interface NetChain {
  subscribe @0 (events :NetEvents) -> (tip :Types.Tip);
  # Once per connection; a second call is an error.
  locator @1 (from :Data) -> (hashes :List(Data));
  # Block locator from the given block (empty: the best header). At most 101 hashes.
  submitHeaders @2 (headers :Data, minPowChecked :Bool) -> (verdict :Types.Verdict, last :Types.Tip, inActiveChain :Bool);
  # 80-byte headers back to back, at most 2000; otherwise the call fails. last: the last known header.
  submitBlock @3 (block :Data, requested :Bool) -> (verdict :Types.Verdict, isNew :Bool);
  # At most 4,000,000 bytes. Answers after validation.
  submitTransaction @4 (transaction :Data) -> (verdict :Types.Verdict, txid :Data, wtxid :Data, feeRate :UInt64, missingParents :List(Data));
  # feeRate in satoshi per 1000 vbyte. At most 400,000 bytes.
  findHeaders @5 (locator :List(Data), stop :Data, limit :UInt32) -> (headers :Data);
  # At most 2000 headers of the active chain, 80 bytes each.
  findHashes @6 (locator :List(Data), stop :Data, limit :UInt32) -> (hashes :List(Data));
  # At most 500 hashes of the active chain (getblocks).
  getBlock @7 (hash :Data) -> (block :Data);
  # Consensus serialization with witness; empty when not on disk.
  getTransaction @8 (id :Data, isWitnessId :Bool) -> (transaction :Data);
  # From the mempool or the newest block; empty when unknown.
  haveTransaction @9 (id :Data, isWitnessId :Bool) -> (have :Bool);
  # In the mempool, recently confirmed or recently rejected.
  missingBlocks @10 (best :Data, limit :UInt32) -> (blocks :List(WantedBlock));
  # Blocks on the way from the active chain to the header `best` whose data we lack, lowest first; when none is missing,
  # those below a snapshot that `best` builds on. At most 1024.
  headerInfo @11 (hash :Data) -> (known :Bool, tip :Types.Tip, haveData :Bool, inActiveChain :Bool, valid :Bool);
  mempoolIds @12 (minFeeRate :UInt64) -> (wtxids :List(Data));
  # At most 50,000.
  state @13 () -> (tip :Types.Tip, bestHeader :Types.Tip, mempoolMinFee :UInt64, loadingBlocks :Bool, headersPresyncWork :Data, warnings :List(Text), historyMissing :Bool);
  # warnings: what users should know about the chain or this node; at most 16 of at most 1000 bytes. historyMissing: blocks
  # below a snapshot are on their way, so that they can't be offered to peers and must be fetched.
  ping @14 () -> ();
}

struct WantedBlock {
  hash @0 :Data;
  height @1 :Int32;
}

interface NetEvents {
  # Served by net. One call in flight each; chain drops to the newest tip when net is slow.
  updatedTip @0 (tip :Types.Tip, headers :List(Data)) -> ();
  # headers: up to 8 new block hashes, oldest first, for announcement.
  transactionAccepted @1 (txid :Data, wtxid :Data, feeRate :UInt64, vsize :UInt32) -> ();
  # Into the mempool: relay it.
  blockChecked @2 (hash :Data, verdict :Types.Verdict) -> ();
  headersTip @3 (tip :Types.Tip) -> ();
}
